"""`pydp rotate-keys` struck at system calls: every cell still decrypts, before it is resumed and after."""

import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pydp_cli.errors import PydpError
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.unlock import Unlock
from pydp_cli.rotation.usage import usage
from tests.crash.conftest import CSV, KEYS, TABLE
from tests.crash.harness import Fault, calls_on, faults, pydp, strays, strike

ROTATE = ("rotate-keys", "data", "--mode", "reencrypt", "--jobs", "1")
CELLS = 1200


@pytest.fixture
def rotating(here):
    here.prepare(
        ("encrypt", "data/people.csv", "--in-place", "--set", "email=random", "--set", "note=deterministic"),
        ("encrypt", "data/pay.parquet", "--in-place", "--set", "email=deterministic", "--set", "pay=random"),
    )
    here.fresh()
    return here


def ring():
    return open_keyring(Path("ring"), Unlock(key_file=Path("key")))


def moved():
    """Count the cells under the primary version."""
    current = ring()
    return usage(current, paths=["data"]).of(current.primary("cell").key_id).cells


def lost(here):
    """Say what is lost: cells under keys that do not exist, files that do not decrypt to what they held."""
    used = usage(ring(), paths=["data/people.csv", "data/pay.parquet"])
    found = [f"unknown key {key}" for key in used.unknown] + [f"unreadable {path}" for path, _ in used.unreadable]
    cells = sum(one.cells for one in used.keys)
    found += [f"{CELLS - cells} cells gone"] * (cells != CELLS)
    for name, clear in (("people.csv", "clear.csv"), ("pay.parquet", "clear.parquet")):
        target = here.folder.parent / clear
        target.unlink(missing_ok=True)
        if here.again("decrypt", f"data/{name}", "-o", target) != 0:
            found.append(f"{name} does not decrypt")
        elif name.endswith("csv"):
            found += [f"{name} differs"] * (target.read_text() != CSV)
        else:
            found += [f"{name} differs"] * (pq.read_table(target).to_pydict() != TABLE)
    return found


def test_no_fault_loses_a_cell_and_the_next_run_finishes(rotating, subtests):
    command = pydp(*ROTATE, *KEYS, "-q")
    calls = calls_on(rotating.folder, command)
    assert {"fsync", "rename", "write", "openat"} <= {call.name for call in calls}
    for fault in faults(calls, 14):
        with subtests.test(str(fault)):
            rotating.fresh()
            before = {version.key_id for version in ring().versions()}
            strike(rotating.folder, command, fault)
            assert lost(rotating) == [], f"after {fault}"
            assert before <= {version.key_id for version in ring().versions()}, f"after {fault}"
            assert rotating.again(*ROTATE) == 0, f"again after {fault}"
            assert lost(rotating) == [], f"again after {fault}"
            cells = {
                one.version.state: one.cells for one in usage(ring(), paths=["data"]).keys if one.version.name == "cell"
            }
            assert cells["primary"] == CELLS, f"again after {fault}"
            assert strays(rotating.folder) == [], f"again after {fault}"
            assert not list(Path(".pydp/journal").glob("*.jsonl")), f"again after {fault}"


JOINED = """version: 1
keyring: ring
datasets:
  all:
    path: joined/*.csv
    other_columns: keep
    columns: {id: {encrypt: {mode: deterministic, domain: person}}}
"""
FILES = ("a", "b", "c")


@pytest.fixture
def joining(here):
    (here.template / "joined").mkdir()
    Path("pydp.yml").write_text(JOINED)
    for name in FILES:
        Path(f"joined/{name}.csv").write_text("id,of\n" + "".join(f"{n},{name}\n" for n in range(50)))
    here.prepare(("encrypt", "--in-place", "-p", "pydp.yml", *(f"joined/{name}.csv" for name in FILES)))
    here.fresh()
    return here


def joins():
    """Tell whether what was equal in the files of a group is equal still."""
    columns = {
        tuple(line.split(",")[0] for line in Path(f"joined/{name}.csv").read_text().splitlines()) for name in FILES
    }
    return len(columns) == 1


def decided():
    """Tell whether a run had committed, so that the next one has to finish it."""
    return any('"commit"' in path.read_text() for path in Path(".pydp/journal").glob("*.jsonl"))


def test_a_join_group_is_whole_before_it_is_decided_and_after_the_next_run(joining, subtests):
    rotate = ("rotate-keys", "--mode", "reencrypt", "--jobs", "1", "-p", "pydp.yml")
    command = pydp(*rotate, *KEYS, "-q")
    calls = calls_on(joining.folder, command)
    swaps = [Fault(call.name, call.when, "signal=KILL") for call in calls if call.name.startswith("rename")]
    assert len(swaps) >= len(FILES)
    between = 0
    for fault in swaps + faults(calls, 6):
        with subtests.test(str(fault)):
            joining.fresh()
            strike(joining.folder, command, fault)
            assert joins() or decided(), f"after {fault}"
            between += not joins()
            assert joining.again(*rotate) == 0, f"again after {fault}"
            assert joins(), f"again after {fault}"
            current = ring()
            under = usage(current, paths=["joined"]).of(current.primary("cell").key_id)
            assert (under.files, under.cells) == (3, 150), f"again after {fault}"
            assert strays(joining.folder) == [], f"again after {fault}"
    assert between, "no fault struck between two swaps"


NAIVE = """
import sys
from pathlib import Path
for name in ("ring", "data/people.csv", "data/pay.parquet"):
    new = (Path(sys.argv[1]) / name).read_bytes()
    with open(name, "wb", buffering=0) as file:
        for start in range(0, len(new), 4096):
            file.write(new[start : start + 4096])
"""


def test_the_same_harness_finds_what_a_naive_loop_loses(rotating):
    assert rotating.again(*ROTATE) == 0
    rotated = rotating.folder.parent / "rotated"
    shutil.copytree(rotating.folder, rotated)
    rotating.fresh()
    command = [sys.executable, "-S", "-c", NAIVE, str(rotated)]
    calls = [call for call in calls_on(rotating.folder, command) if call.name == "write"]
    losses = 0
    for fault in faults(calls, 4):
        rotating.fresh()
        assert strike(rotating.folder, command, fault, tracebacks=False) != 0
        losses += bool(found_lost(rotating))
    assert losses


def found_lost(here):
    """Say what is lost, also where the keyring itself no longer opens."""
    try:
        return lost(here)
    except PydpError as error:
        return [str(error)]
