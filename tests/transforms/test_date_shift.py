import pickle
from datetime import date, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.errors import BadValue
from pydp_cli.transforms.date_shift import DateShift
from pydp_cli.transforms.registry import transforms
from tests.transforms.keyed import GivenRows, binding, texts, treat

P30 = DateShift(within="P30D", per="id")
PEOPLE = st.sampled_from(["ada", "bob", "eve", ""])
DATES = st.dates(date(1900, 1, 1), date(2100, 1, 1))


def shifted(options, dates, people, kind=pa.date32()):  # noqa: B008
    column = dates if isinstance(dates, pa.Array) else pa.array(dates, kind)
    who = people if isinstance(people, pa.Array) else pa.array(people)
    return treat(options, column, rows=GivenRows({"id": who}), name="visited_at")


@given(st.lists(st.tuples(DATES, PEOPLE), min_size=1, max_size=30), st.booleans())
def test_keeps_order_and_intervals_within_a_person(pairs, keep_weekday):
    options = DateShift(within="P30D", per="id", keep_weekday=keep_weekday)
    dates, people = (list(part) for part in zip(*pairs, strict=True))
    moved = shifted(options, dates, people).to_pylist()
    shifts = {}
    for before, after, person in zip(dates, moved, people, strict=True):
        assert shifts.setdefault(person, after - before) == after - before
        assert 1 <= abs((after - before).days) <= 30
        if keep_weekday:
            assert after.weekday() == before.weekday()


@given(st.lists(st.tuples(st.none() | DATES, st.none() | PEOPLE), max_size=30), st.integers(0, 30))
def test_is_the_same_for_every_type_and_however_rows_are_cut(pairs, cut):
    dates = pa.array([pair[0] for pair in pairs], pa.date32())
    people = texts(*[pair[1] for pair in pairs])
    whole = shifted(P30, dates, people)
    parts = [shifted(P30, dates[part], people[part]) for part in (slice(0, cut), slice(cut, None))]
    assert pa.chunked_array(parts).combine_chunks() == whole
    for kind in (pa.date64(), pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.string()):
        assert shifted(P30, dates.cast(kind), people) == whole.cast(kind)
    expected = [before is not None and person is not None for before, person in pairs]
    assert pc.is_valid(whole).to_pylist() == expected


def test_every_shift_in_the_span_is_used_about_equally():
    people = pa.array(range(61_000))
    moved = shifted(P30, [date(2024, 1, 31)] * len(people), people)
    counts = pc.value_counts(moved).to_pylist()
    assert len(counts) == 60
    assert all(800 < count["counts"] < 1250 for count in counts)


def test_keeps_the_zone_and_the_moment_between_two_timestamps():
    kind = pa.timestamp("us", "Europe/Berlin")
    first = datetime(2024, 3, 30, 12, tzinfo=timezone.utc)
    moved = shifted(P30, [first, first + timedelta(hours=30)], ["ada", "ada"], kind)
    assert moved.type == kind
    assert moved[1].as_py() - moved[0].as_py() == timedelta(hours=30)
    assert (moved[0].as_py() - first) % timedelta(days=1) == timedelta(0)


def test_text_keeps_its_time_as_it_is_written():
    column = texts("2024-02-28", "2024-02-28T09:05:00.250+0100", "2024-02-28 9:05"[:10] + " 09:05")
    first, second, third = shifted(P30, column, ["ada"] * 3).to_pylist()
    assert second == f"{first}T09:05:00.250+0100"
    assert third == f"{first} 09:05"


def test_a_person_has_one_shift_in_all_columns_and_files_of_a_domain():
    day = [date(2024, 2, 28)] * 50
    column = pa.array(day)
    by_id = shifted(DateShift(within="P30D", per="id", domain="customer"), day, list(range(50)))
    other = DateShift(within="P30D", per="customer_id", domain="customer")
    as_text = treat(other, column, rows=GivenRows({"customer_id": texts(*map(str, range(50)))}), name="x")
    assert by_id == as_text
    assert by_id != shifted(DateShift(within="P30D", per="id"), day, list(range(50)))
    assert by_id != shifted(DateShift(within="P30D", per="id", domain="customer", release="r"), day, list(range(50)))
    assert other.reads() == ("customer_id",)
    assert other.key_label("x") == "date_shift/customer"


def test_golden_shifts():
    moved = shifted(P30, [date(2024, 1, 1)] * 4, ["ada", "bob", "7", ""])
    assert [day.isoformat() for day in moved.to_pylist()] == ["2024-01-27", "2024-01-21", "2024-01-11", "2023-12-26"]


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.string()])
def test_the_ends_of_the_calendar_are_refused_by_row(kind):
    column = pa.array([date(2024, 1, 1)] + [date(9999, 12, 31)] * 20, pa.date32()).cast(kind)
    with pytest.raises(BadValue) as caught:
        shifted(P30, column, list(map(str, range(21))))
    assert caught.value.rows
    assert 0 not in caught.value.rows


def test_nanoseconds_past_their_range_are_refused():
    column = pa.array([2**63 - 1] * 20, pa.int64()).view(pa.timestamp("ns"))
    with pytest.raises(BadValue):
        shifted(P30, column, list(range(20)))


def test_what_is_not_a_date_is_refused_without_its_value():
    with pytest.raises(BadValue) as caught:
        shifted(P30, texts("2024-01-01", "secret"), ["a", "b"])
    assert caught.value.rows == (1,)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("within", ["30", "P1M", "P0D", "-P3D", "P3D "])
def test_the_span_is_days_or_weeks(within):
    with pytest.raises(ValidationError):
        DateShift(within=within, per="id")
    with pytest.raises(ValidationError):
        DateShift(within="P6D", per="id", keep_weekday=True)
    assert DateShift(within="P4W", per="id").within_days == 28


def test_is_picklable_and_does_not_show_its_key():
    bound = P30.bind(binding("visited_at", pa.date32()))
    assert pickle.loads(pickle.dumps(bound)) == bound
    assert "key=" not in repr(bound)


def test_is_listed_with_what_it_leaks():
    assert "order" in transforms()["date_shift"].info.leaks
    assert transforms()["date_shift"].info.keyed
