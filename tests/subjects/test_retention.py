"""Retention counts on the calendar, keeps what is in doubt, and decides by statistics only what they prove."""

import calendar
import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pydp_cli.datasets.locations import find_inputs
from pydp_cli.errors import InputError, UsageError
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.policy.rights import Retention
from pydp_cli.subjects import retention
from pydp_cli.subjects.durations import after_duration, in_words, last_day_over
from pydp_cli.subjects.retention import NO_DAY, Rule, days_of, due_rows

TODAY = dt.date(2026, 11, 23)
days = st.dates(dt.date(1900, 1, 1), dt.date(2200, 12, 31))
durations = st.builds(
    lambda years, months, weeks, rest: f"P{years}Y{months}M{weeks}W{rest}D",
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(0, 9),
    st.integers(0, 99),
)


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        ("P3Y", "3 years"),
        ("P1Y6M", "1 year and 6 months"),
        ("P1Y1M10D", "1 year, 1 month and 10 days"),
        ("P2W", "2 weeks"),
        ("PT36H", "36 hours"),
        ("P0D", "0 days"),
    ],
)
def test_durations_in_words(duration, words):
    assert in_words(duration) == words


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2024-02-29", "P1Y", "2025-02-28"),
        ("2024-02-29", "P4Y", "2028-02-29"),
        ("2026-01-31", "P1M", "2026-02-28"),
        ("2026-01-31", "P1M1D", "2026-03-01"),
        ("2026-11-23", "P2W", "2026-12-07"),
        ("2026-11-23", "PT1H", "2026-11-24"),
        ("2026-11-23", "P1DT24H", "2026-11-25"),
        ("9999-01-01", "P1Y", "9999-12-31"),
        ("9999-12-30", "P99D", "9999-12-31"),
    ],
)
def test_durations_end_on_the_calendar(start, duration, end):
    assert after_duration(dt.date.fromisoformat(start), duration).isoformat() == end


def slowly(day, text):
    """Count a duration day by day, months by name: an independent reading of the same rule."""
    import re

    years, months, weeks, rest = map(int, re.findall(r"\d+", text))
    year, month = day.year + years, day.month
    for _ in range(months):
        month += 1
        if month > 12:
            year, month = year + 1, 1
    last = calendar.monthrange(year, month)[1]
    return dt.date(year, month, min(day.day, last)) + dt.timedelta(weeks=weeks, days=rest)


@given(days, durations)
@example(dt.date(2024, 2, 29), "P1Y0M0W0D")
def test_durations_are_those_of_a_slow_count(day, duration):
    assert after_duration(day, duration) == slowly(day, duration)


@given(days, durations, st.integers(-3, 3))
def test_the_last_day_over_is_the_last(today, duration, near):
    last = last_day_over(today, duration)
    assert last is not None
    day = last + dt.timedelta(days=near)
    assert (slowly(day, duration) < today) == (near <= 0)


def test_where_nothing_can_be_over_nothing_is():
    assert last_day_over(dt.date(5, 1, 1), "P9Y") is None


def written(tmp_path, column, name="f.parquet", **options):
    path = tmp_path / name
    if name.endswith(".csv"):
        path.write_text("id,day\n" + "".join(f"{n},{value}\n" for n, value in enumerate(column)))
    else:
        pq.write_table(pa.table({"id": range(len(column)), "day": column}), path, **options)
    [file] = find_inputs([str(path)])
    return file


def due(file, today=TODAY, **said):
    rule = Rule("d", None, Retention.model_validate({"clock": "day", "keep": "P3Y", **said}))
    return due_rows(rule, DatasetPolicy.model_validate({}), file, today)


CLOCKS = ["2023-11-21", "2023-11-22", "2023-11-23", "2023-11-24", None, "2020-02-29"]


@pytest.mark.parametrize(
    "kind", [pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.string()]
)
@pytest.mark.parametrize("statistics", [True, False])
def test_a_row_stays_through_the_day_on_which_its_time_ends(tmp_path, kind, statistics):
    column = pa.array(CLOCKS, pa.string())
    column = column if kind == pa.string() else column.cast(pa.timestamp("s")).cast(kind)
    for size in (1, 2, 6):
        found = due(written(tmp_path, column, row_group_size=size, write_statistics=statistics))
        assert (found.rows.tolist(), found.undated.tolist(), found.num_rows) == ([0, 1, 5], [4], 6)
    later = due(written(tmp_path, column), grace="P1D")
    assert later.rows.tolist() == [0, 5]


def test_csv_dates_are_read_and_what_is_none_is_never_due(tmp_path):
    file = written(tmp_path, ["2023-11-21", "", "soon", "2023-11-21T23:59:59+14:00", "2026-01-01", "  "], "f.csv")
    found = due(file)
    assert (found.rows.tolist(), found.undated.tolist(), found.unreadable) == ([0, 3], [1, 5], 1)


@pytest.mark.parametrize(
    "text", ["2019-2-3", "03.02.2019", "20190203", "0000-00-00", "2019-02-30", "1549152000", "2019"]
)
def test_text_that_may_be_a_date_to_somebody_is_not_guessed_at(tmp_path, text):
    found = due(written(tmp_path, [text, "2019-01-01"], "f.csv"), on_null_clock="delete")
    assert (found.rows.tolist(), found.undated.tolist(), found.unreadable) == ([1], [], 1)


@pytest.mark.parametrize(
    ("text", "is_due"),
    [
        ("2023-11-22T23:59:59Z", True),
        ("2023-11-22 18:59:59-05:00", True),
        ("2023-11-22T19:00:00-0500", False),
        ("2023-11-23T00:30:00+09", True),
    ],
)
def test_text_with_an_offset_counts_in_utc_as_a_timestamp_does(tmp_path, text, is_due):
    assert due(written(tmp_path, ["2026-01-01", text], "f.csv")).rows.tolist() == ([1] if is_due else [])


def test_many_dates_with_a_bad_one_are_read_without_asking_for_each(tmp_path, monkeypatch):
    calls = []
    real = retention.Parse.read
    monkeypatch.setattr(retention.Parse, "read", lambda parse, text: calls.append(len(text)) or real(parse, text))
    first = dt.date(2000, 1, 1)
    texts = [(first + dt.timedelta(days=n)).isoformat() for n in range(5000)]
    texts[77] = "soon"
    assert due(written(tmp_path, texts, "f.csv")).unreadable == 1
    assert len(calls) < 40


def test_one_unreadable_clock_of_several_keeps_the_row(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("day,seen\n2019-01-01,soon\nsoon,\n2019-01-01,\n,\n")
    [file] = find_inputs([str(path)])
    found = due(file, clock=["day", "seen"])
    assert (found.rows.tolist(), found.undated.tolist(), found.unreadable) == ([2], [3], 2)


def test_a_zone_counts_in_utc(tmp_path):
    column = pa.array(["2023-11-23T00:30:00"]).cast(pa.timestamp("us")).cast(pa.timestamp("us", "Asia/Tokyo"))
    local = pa.compute.assume_timezone(column.cast(pa.timestamp("us")), "Asia/Tokyo")
    assert local[0].as_py().isoformat() == "2023-11-23T00:30:00+09:00"
    assert due(written(tmp_path, local)).rows.tolist() == [0]  # it is the 22nd in UTC


def test_the_latest_of_several_clocks_counts(tmp_path):
    path = tmp_path / "f.parquet"
    old, new = dt.date(2020, 1, 1), dt.date(2026, 1, 1)
    pq.write_table(pa.table({"day": [old, old, old, None], "seen": [new, old, None, None]}), path)
    [file] = find_inputs([str(path)])
    found = due(file, clock=["day", "seen"])
    assert (found.rows.tolist(), found.undated.tolist()) == ([1, 2], [3])


def test_unless_keeps_rows(tmp_path):
    file = written(tmp_path, pa.array([dt.date(2020, 1, 1)] * 4))
    assert due(file, unless="id >= 2").rows.tolist() == [0, 1]


def test_unless_keeps_rows_without_a_date_too(tmp_path):
    file = written(tmp_path, pa.array([None] * 4, pa.date32()))
    found = due(file, unless="id >= 2", on_null_clock="delete")
    assert (found.rows.tolist(), found.undated.tolist()) == ([], [0, 1])


def test_folders_may_be_the_clock(tmp_path):
    for day in ("2020-01-01", "2026-01-01"):
        folder = tmp_path / f"day={day}"
        folder.mkdir()
        pq.write_table(pa.table({"id": [1, 2]}), folder / "f.parquet")
    files = find_inputs([str(tmp_path)])
    assert [due(file).rows.tolist() for file in files] == [[0, 1], []]


def test_statistics_spare_the_decoding(tmp_path, monkeypatch):
    column = pa.array([dt.date(2020, 1, 1)] * 3 + [dt.date(2026, 1, 1)] * 3 + [dt.date(2020, 1, 1), None, None])
    file = written(tmp_path, column, row_group_size=3)
    read = []
    real = retention.days_of
    monkeypatch.setattr(retention, "days_of", lambda *given: read.append(len(given[0])) or real(*given))
    assert due(file).rows.tolist() == [0, 1, 2, 6]
    assert read == [3]  # only the row group with nulls in it


@given(
    st.lists(st.none() | st.dates(dt.date(2015, 1, 1), dt.date(2030, 1, 1)), min_size=1, max_size=30),
    st.integers(1, 9),
    st.dates(dt.date(2018, 1, 1), dt.date(2028, 1, 1)),
    durations,
)
@settings(max_examples=60, deadline=None)
def test_what_is_due_is_what_a_slow_reading_says(tmp_path_factory, clocks, size, today, keep):
    file = written(tmp_path_factory.mktemp("f"), pa.array(clocks, pa.date32()), row_group_size=size)
    found = due(file, today, keep=keep)
    assert found.rows.tolist() == [n for n, day in enumerate(clocks) if day and slowly(day, keep) < today]
    assert found.undated.tolist() == [n for n, day in enumerate(clocks) if day is None]


def test_what_is_no_clock_is_refused(tmp_path):
    with pytest.raises(UsageError, match="a clock is a date or a time, not int64"):
        due(written(tmp_path, pa.array([1, 2])))
    with pytest.raises(InputError, match='no column "dya"'):
        due(written(tmp_path, pa.array(CLOCKS)), clock="dya")


def test_days_before_1970_and_nulls():
    column = pa.array([-1, 0, 86_399_999, 86_400_000, None], pa.timestamp("ms"))
    assert days_of(column, "").tolist() == [-1, 0, 0, 1, NO_DAY]
    assert np.iinfo(np.int64).min == NO_DAY
