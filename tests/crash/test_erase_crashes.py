"""`pydp erase-user` struck at system calls: then resumed, or given up; nobody else loses a row."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.cli.app import run
from tests.crash.conftest import CSV, KEYS, TABLE
from tests.crash.harness import calls_on, faults, pydp, strays, strike

POLICY = """version: 1
keyring: ring
identities: {person: {}, email: {}}
datasets:
  people:
    path: data/people.csv
    identifiers: {id: person, email: email}
    columns: {id: keep, email: keep, note: keep}
  pay:
    path: data/pay.parquet
    identifiers: {email: email}
    erase: {action: mask, set: {email: {pseudonymise: hmac}, pay: null}, because: books}
    columns: {id: keep, email: keep, pay: keep}
"""
ERASE = ("erase-user", "--subject", "email=p3@example.com", "--yes")
KEPT_LINES = [line for line in CSV.splitlines() if "p3@" not in line]
HITS = [n for n, email in enumerate(TABLE["email"]) if email == "p3@example.com"]


@pytest.fixture
def erasing(here):
    (here.template / "pydp.yml").write_text(POLICY)
    here.fresh()
    return here


def files():
    return {path: path.read_bytes() for path in sorted(Path("data").iterdir()) if not path.name.startswith(".")}


def harm():
    """Say what the others lost, and what of each file is half done."""
    lines = Path("data/people.csv").read_text().splitlines()
    found = [] if lines in (CSV.splitlines(), KEPT_LINES) else ["people.csv is neither the old nor the new one"]
    table = pq.read_table("data/pay.parquet")
    found += [f"rows of pay: {table.num_rows}"] * (table.num_rows != len(TABLE["id"]))
    others = table.filter(pa.array([n not in HITS for n in range(table.num_rows)])).to_pydict()
    expected = {name: [v for n, v in enumerate(values) if n not in HITS] for name, values in TABLE.items()}
    return found + ["pay of others differs"] * (others != expected)


def left():
    """Say what is left of the person in the data, and of the run in the folders."""
    found = [str(path) for path in files() if b"p3@example.com" in path.read_bytes()]
    table = pq.read_table("data/pay.parquet").to_pydict()
    found += ["pay"] * any(table["email"][n] == "p3@example.com" or table["pay"][n] is not None for n in HITS)
    found += [str(path) for path in Path(".pydp").rglob("*") if path.is_file() and b"p3@" in path.read_bytes()]
    found += [str(path) for path in Path(".pydp").rglob("*.jsonl") if path.parent.name == "journal"]
    return found + strays(Path.cwd())


def certified():
    """Verify the certificates, and give what the last one counted."""
    made = sorted(Path(".pydp/certificates").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    assert made
    for path in made:
        assert run(["certificate", "verify", str(path), *KEYS[2:]]) == 0
    said = json.loads(made[-1].read_bytes())
    return said["verdict"], said["totals"]["deleted"], said["totals"]["changed"]


COMMAND = pydp(*ERASE, *KEYS, "-q")


def faults_of(erasing, count):
    calls = calls_on(erasing.folder, COMMAND)
    assert {"fsync", "rename", "write", "openat"} <= {call.name for call in calls}
    return faults(calls, count)


def struck(erasing, fault):
    """Erase with one fault; give the files as they were, and the exit code."""
    erasing.fresh()
    before = files()
    code = strike(erasing.folder, COMMAND, fault)
    assert harm() == [], f"after {fault}"
    return before, code


def test_what_is_struck_is_finished_by_resume(erasing, subtests):
    for fault in faults_of(erasing, 16):
        with subtests.test(str(fault)):
            before, code = struck(erasing, fault)
            assert erasing.again("erase-user", "--resume") == 0, f"resume after {fault}"
            assert harm() == [], f"resume after {fault}"
            if files() == before or code == 0:  # it had not begun, or was over
                assert erasing.again(*ERASE) == 0, f"again after {fault}"
            else:
                assert certified() == ("erased", 1, {"email": len(HITS), "pay": len(HITS)}), f"resume after {fault}"
            assert (harm(), left()) == ([], []), f"again after {fault}"
            assert certified()[0] == "erased", f"again after {fault}"
            done = files()
            assert erasing.again(*ERASE) == 0, f"once more after {fault}"
            assert files() == done, f"once more after {fault}"


def test_what_is_struck_before_the_commit_is_given_up_without_a_trace(erasing, subtests):
    given_up = 0
    for fault in faults_of(erasing, 12):
        with subtests.test(str(fault)):
            before, _ = struck(erasing, fault)
            code = erasing.again("erase-user", "--abort")
            assert code in {0, 3}, f"abort after {fault}"
            if code == 3:
                assert erasing.again("erase-user", "--resume") == 0, f"resume after {fault}"
            elif files() == before:
                given_up += 1
                assert strays(erasing.folder) == [], f"abort after {fault}"
                assert erasing.again(*ERASE) == 0, f"again after {fault}"
            assert (harm(), left()) == ([], []), f"in the end after {fault}"
    assert given_up
