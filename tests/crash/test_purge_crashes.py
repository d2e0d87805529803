"""`pydp purge` struck at its system calls: nothing is lost that the rules keep, and running it again finishes it."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.policy.loader import load_policy
from pydp_cli.subjects.purge import plan_purge, rules_digest
from tests.crash.conftest import KEYS
from tests.crash.harness import calls_on, faults, pydp, strays, strike

POLICY = """version: 1
keyring: ring
datasets:
  visits:
    path: data/visits/*.parquet
    retention: {clock: day, keep: P3Y}
  orders:
    path: data/orders.csv
    retention: {clock: day, keep: P3Y, on_null_clock: quarantine}
    columns:
      note: {anonymize: redact, retention: {clock: day, keep: P1Y, then: null}}
    other_columns: keep
"""
ORDERS = "id,day,note\n1,2020-01-01,old\n2,2026-06-01,new\n3,2024-05-05,mid\n4,,none\n"
LEFT = "id,day,note\n2,2026-06-01,new\n3,2024-05-05,\n"
ASIDE = "id,day,note\n4,,none\n"
OLD, NEW = dt.date(2018, 1, 1), dt.date(2026, 1, 1)


@pytest.fixture
def expired(here):
    (here.template / "pydp.yml").write_text(POLICY)
    (here.template / "data/orders.csv").write_text(ORDERS)
    (here.template / "data/visits").mkdir()
    for name, days in (("gone", [OLD] * 4), ("mixed", [OLD, OLD, NEW, NEW]), ("new", [NEW] * 4)):
        table = pa.table({"id": range(4), "day": days})
        pq.write_table(table, here.template / f"data/visits/{name}.parquet", row_group_size=2)
    return here


def contents():
    visits = {path.name: path.read_bytes() for path in sorted(Path("data/visits").glob("[!.]*"))}
    return Path("data/orders.csv").read_bytes(), visits


def set_aside():
    return [path.read_text() for path in sorted(Path(".pydp/quarantine").rglob("*.csv"))]


def command():
    digest = rules_digest(plan_purge(load_policy(Path("pydp.yml")), dt.date(2026, 11, 20), keyring=None))
    options = ("--as-of", "2026-11-20", "--max-delete-fraction", "1", "--confirm", digest)
    return ("purge", "--apply", *options)


def test_a_purge_that_was_struck_is_finished_by_the_next_one(expired, subtests):
    expired.fresh()
    before, arguments = contents(), command()
    line = pydp(*arguments, *KEYS, "-q")
    calls = calls_on(expired.folder, line)
    after = contents()
    assert (after[0].decode(), sorted(after[1]), set_aside()) == (LEFT, ["mixed.parquet", "new.parquet"], [ASIDE])
    for fault in faults(calls, 9):
        with subtests.test(str(fault)):
            expired.fresh()
            strike(expired.folder, line, fault)
            found, aside = contents(), set_aside()
            for name, data in found[1].items():
                assert data in {before[1][name], after[1].get(name)}, f"after {fault}"
            assert found[0] in {before[0], after[0]}, f"after {fault}"
            assert found[0] == before[0] or aside == [ASIDE], f"a row was lost after {fault}"
            assert expired.again(*arguments, "--resume") == 0, f"again after {fault}"
            assert contents() == after, f"again after {fault}"
            assert set_aside() == [ASIDE], f"again after {fault}"
            assert strays(expired.folder) == [], f"again after {fault}"
            assert expired.again("audit", "verify") == 0, f"again after {fault}"
            log = "".join(path.read_text() for path in Path(".pydp/audit").glob("*.jsonl"))
            assert '"purge.done"' in log or '"purge.resumed"' in log, f"the log misses it after {fault}"


def test_a_purge_that_was_not_committed_can_be_undone(expired, subtests):
    expired.fresh()
    before, arguments = contents(), command()
    line = pydp(*arguments, *KEYS, "-q")
    undone = 0
    for fault in faults(calls_on(expired.folder, line), 3):
        with subtests.test(str(fault)):
            expired.fresh()
            strike(expired.folder, line, fault)
            if contents() == before and expired.again("purge", "--abort") == 0:
                undone += 1
                assert contents() == before, f"after {fault}"
                assert (set_aside(), strays(expired.folder)) == ([], []), f"after {fault}"
    assert undone
