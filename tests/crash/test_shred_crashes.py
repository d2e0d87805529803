"""`pydp erase-user` with people's own keys, struck at system calls: the erased one's is gone, and nobody else's."""

import csv
import sqlite3
from pathlib import Path

import pytest

from pydp_cli.cli.app import run
from tests.crash.conftest import CSV, KEYS
from tests.crash.harness import calls_on, faults, pydp, strays, strike

POLICY = """version: 1
keyring: ring
subject_keys: people.db
identities: {person: {}}
datasets:
  people:
    path: data/people.csv
    identifiers: {id: person}
    columns: {id: keep, email: {encrypt: {per_subject: true}}, note: {encrypt: {per_subject: true}}}
"""
ERASE = ("erase-user", "--subject", "person=003", "--yes")
HEADING, *LINES = CSV.splitlines()
OTHERS = [line for line in LINES if not line.startswith("003,")]


@pytest.fixture
def erasing(here):
    (here.template / "pydp.yml").write_text(POLICY)
    here.prepare(("encrypt", "--in-place"))
    backup = (here.template / "data/people.csv").read_bytes()
    (here.template / "backup.csv").write_bytes(backup)
    here.fresh()
    return here


def readable(source):
    """Give the lines of a file of which anything can be read."""
    out = Path("read.csv")
    named = ("decrypt", source, "--dataset", "people", "-o", str(out), "--on-error", "null", "--force")
    assert run([*named, *KEYS, "-q"]) == 0, source
    with out.open(newline="") as file:
        _, *rows = csv.reader(file)
    out.unlink()
    return [",".join(row) for row in rows if row[1] or row[2]]


def lost():
    """Name the rows of others that cannot be read any more, in the data or in its backup."""
    return [line for source in ("data/people.csv", "backup.csv") for line in _missing(readable(source))]


def _missing(lines):
    return sorted(set(OTHERS) - set(lines))


def test_what_is_struck_is_finished_by_resume(erasing, subtests):
    command = pydp(*ERASE, *KEYS, "-q")
    calls = calls_on(erasing.folder, command)
    assert {"pwrite64", "fdatasync", "rename", "write", "unlink"} <= {call.name for call in calls}
    for fault in faults(calls, 20):
        with subtests.test(str(fault)):
            erasing.fresh()
            code = strike(erasing.folder, command, fault)
            assert lost() == [], f"after {fault}"
            assert erasing.again("erase-user", "--resume") == 0, f"resume after {fault}"
            if "003" in Path("data/people.csv").read_text() or code == 0:  # it had not begun, or was over
                assert erasing.again(*ERASE) == 0, f"again after {fault}"
            assert lost() == [], f"in the end after {fault}"
            assert readable("data/people.csv") == readable("backup.csv") == OTHERS, f"in the end after {fault}"
            with sqlite3.connect("people.db") as store:
                counts = store.execute("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM gone)").fetchone()
            assert counts == (len(OTHERS), 1), f"in the end after {fault}"
            assert strays(Path.cwd()) == [], f"in the end after {fault}"
            ring = Path("ring").read_text()
            assert ring.count('"destroyed"') == 1, f"in the end after {fault}"
