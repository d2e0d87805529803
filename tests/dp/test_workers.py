"""Workers change how long a query takes, and nothing else: not one total, and not what is on disk."""

import os
import signal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from pydp_cli.datasets.locations import find_inputs
from pydp_cli.dp import engine, workers
from pydp_cli.dp.engine import Seams, exact_totals
from pydp_cli.dp.queries import GroupColumn, Question
from pydp_cli.dp.scan import Scan
from pydp_cli.dp.shards import Shards
from pydp_cli.errors import InputError, TemporaryFailure
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.policy.statistics import Measure

MEASURES = (
    ("people", Measure("count_users")),
    ("n", Measure("count")),
    ("total", Measure("std", "x", (0.0, 100.0))),
    ("typical", Measure("median", "x", (0.0, 100.0))),
)
PUBLIC = GroupColumn("g", ("a", "b", "c"))
UNKNOWN = GroupColumn("g", None)


def question(group, *, where=None):
    return Question("q", "d", "who", 2, 3, (group,), where, MEASURES, Fraction(1), None, Fraction(1, 10**6))


def table(rows, seed=5):
    rng = np.random.default_rng(seed)
    names = [*"abcdefgh", None]
    return pa.table(
        {
            "unused": pa.array(["x" * 10] * rows),
            "who": pa.array(rng.integers(0, max(1, rows // 20), rows), mask=rng.random(rows) < 0.01),
            "g": pa.array([names[place] for place in rng.integers(0, len(names), rows)]),
            "x": pa.array(np.round(rng.normal(50, 40, rows), 2), mask=rng.random(rows) < 0.05),
        }
    )


def parquet(path, rows=20_000, group=1500):
    pq.write_table(table(rows), path, row_group_size=group)
    return path


def csv(path):
    pacsv.write_csv(table(250_000), path)
    return path


def some_files(path):
    path.mkdir()
    for number, rows in enumerate((3000, 0, 10, 5000)):
        pq.write_table(table(rows, number), path / f"{number}.parquet", row_group_size=900)
    return path


def plain(keys, totals):
    """Give all numbers, whatever holds them."""
    bins = {
        feature: [(cell, int(one)) for cell, one in (found.items() if isinstance(found, dict) else enumerate(found))]
        for feature, found in totals.bins.items()
    }
    found = (totals.people.tolist(), totals.rows.tolist(), totals.sums, totals.squares)
    return keys, found, {feature: one.tolist() for feature, one in totals.present.items()}, bins


@pytest.mark.parametrize("group", [PUBLIC, UNKNOWN], ids=["public keys", "unknown keys"])
@pytest.mark.parametrize("make", [parquet, csv, some_files])
def test_totals_are_the_same_whatever_the_number_of_workers(tmp_path, make, group):
    files = find_inputs([str(make(tmp_path / f"in.{make.__name__}"))])
    asked = question(group)
    one, two, three = (
        plain(*exact_totals(asked, files, DatasetPolicy(), tmp_path, workers=count, seams=Seams(seed=11)))
        for count in (1, 2, 3)
    )
    assert sum(one[1][0]) > 100
    assert one == two == three


def test_the_choice_of_rows_is_fresh_in_each_run(tmp_path):
    files = find_inputs([str(parquet(tmp_path / "in.parquet"))])
    first, second = (
        plain(*exact_totals(question(PUBLIC), files, DatasetPolicy(), tmp_path, workers=2)) for _ in range(2)
    )
    assert first != second


def test_workers_that_run_out_of_memory_spill_and_read_each_other(tmp_path, monkeypatch):
    files = find_inputs([str(parquet(tmp_path / "in.parquet"))])
    asked, seams, scratch = question(UNKNOWN), Seams(seed=3), tmp_path / "scratch"
    scratch.mkdir()
    expected = plain(*exact_totals(asked, files, DatasetPolicy(), scratch, workers=2, seams=seams))
    spilled = []

    class Small(Shards):
        def __init__(self, width, folder, *, stores):
            super().__init__(width, folder, 5000, stores=stores)

        def close(self):
            spilled.extend(os.fstat(store._file).st_size for store in self._stores)
            super().close()

    monkeypatch.setattr(engine, "Shards", Small)
    for count in (1, 2):
        found = exact_totals(asked, files, DatasetPolicy(), scratch, workers=count, seams=seams)
        assert plain(*found) == expected
    assert sum(spilled) > 2 * 20_000 * 8
    assert list(scratch.iterdir()) == []


def test_only_the_columns_that_are_asked_for_are_decoded(tmp_path, monkeypatch):
    files = find_inputs([str(parquet(tmp_path / "in.parquet"))])
    seen = set()
    of = Scan.of
    monkeypatch.setattr(Scan, "of", lambda scan, batch: (seen.update(batch.schema.names), of(scan, batch))[1])
    exact_totals(question(PUBLIC, where="x > 10"), files, DatasetPolicy(), tmp_path)
    assert seen == {"who", "g", "x"}


def test_a_question_without_any_column_counts_rows(tmp_path):
    files = find_inputs([str(parquet(tmp_path / "in.parquet"))])
    asked = Question("q", "d", None, 1, 1, (), None, (("n", Measure("count")),), Fraction(1), None, Fraction(0))
    for count in (1, 2):
        assert exact_totals(asked, files, DatasetPolicy(), tmp_path, workers=count)[1].rows.tolist() == [20_000]


def test_a_worker_that_is_killed_ends_the_run_as_a_temporary_failure(tmp_path, monkeypatch):
    files = find_inputs([str(parquet(tmp_path / "in.parquet"))])
    parent = os.getpid()

    def killed(scan, batch):
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Scan, "of", killed)
    with pytest.raises(TemporaryFailure, match="killed"):
        exact_totals(question(PUBLIC), files, DatasetPolicy(), tmp_path, workers=2)


def test_an_error_in_a_worker_is_the_error_of_the_run(tmp_path, monkeypatch):
    path = parquet(tmp_path / "in.parquet")
    files = find_inputs([str(path)])
    begin = workers._start_scattering

    def changed(*arguments):
        os.utime(path, ns=(1, 1))
        begin(*arguments)

    monkeypatch.setattr(workers, "_start_scattering", changed)
    with pytest.raises(InputError, match="changed while it was read"):
        exact_totals(question(PUBLIC), files, DatasetPolicy(), tmp_path, workers=2)
