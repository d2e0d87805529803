from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.date import Date
from tests.transforms.columns import columns, treat, treat_all

UNITS = ["year", "quarter", "month", "week", "day", "hour"]


def start(day, unit):
    """The same by the calendar of Python."""
    if unit == "year":
        return day.replace(month=1, day=1)
    if unit == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    if unit == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if unit == "week" else day


@pytest.mark.parametrize("unit", UNITS[:-1])
@given(column=columns(st.dates(), pa.date32()))
def test_dates_are_cut_to_the_first_day(unit, column):
    result = treat(Date(truncate=unit), column)

    assert result.to_pylist() == [None if day is None else start(day, unit) for day in column.to_pylist()]


@pytest.mark.parametrize("unit", UNITS)
@given(column=columns(st.datetimes(), pa.timestamp("us")))
def test_timestamps_are_cut_and_keep_their_type(unit, column):
    result = treat(Date(truncate=unit), column)

    for before, after in zip(column.to_pylist(), result.to_pylist(), strict=True):
        if before is None:
            assert after is None
        elif unit == "hour":
            assert after == before.replace(minute=0, second=0, microsecond=0)
        else:
            assert after == datetime.combine(start(before.date(), unit), datetime.min.time())


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "UTC"])
@given(
    unit=st.sampled_from(UNITS),
    moments=st.lists(st.datetimes(datetime(1950, 1, 1), datetime(2037, 1, 1), timezones=st.just(timezone.utc))),  # noqa: DTZ001
)
def test_zoned_timestamps_are_cut_in_local_time(zone, unit, moments):
    result = treat_all(Date(truncate=unit), *moments, kind=pa.timestamp("us", zone))

    for before, after in zip(moments, result, strict=True):
        local = before.astimezone(ZoneInfo(zone))
        assert after <= before
        if unit == "hour":
            assert before - after < timedelta(hours=1)
            assert (after.minute, after.second, after.microsecond) == (0, 0, 0)
        else:
            assert after.date() == start(local.date(), unit)


def test_a_day_without_midnight_begins_at_its_first_moment():
    noon = datetime(2018, 11, 4, 12, tzinfo=ZoneInfo("America/Sao_Paulo"))

    [cut] = treat_all(Date(truncate="day"), noon, kind=pa.timestamp("s", "America/Sao_Paulo"))

    assert cut == datetime(2018, 11, 4, 1, tzinfo=ZoneInfo("America/Sao_Paulo"))


def test_the_hour_that_the_clock_repeats_stays_two_hours():
    first, second = (datetime(2018, 10, 28, hour, 30, tzinfo=timezone.utc) for hour in (0, 1))

    cut = treat_all(Date(truncate="hour"), first, second, kind=pa.timestamp("ns", "Europe/Berlin"))

    assert [moment.astimezone(timezone.utc).hour for moment in cut] == [0, 1]


def test_text_is_asked_for_as_dates_or_as_timestamps_for_hours():
    assert Date(truncate="week").asks() == pa.date32()
    assert Date(truncate="hour").asks() == pa.timestamp("us")


def test_a_date_has_no_hours():
    with pytest.raises(UnsupportedType, match='column "birth_date"'):
        Date(truncate="hour").check_takes(pa.date32(), "birth_date")
    with pytest.raises(UnsupportedType):
        Date(truncate="year").check_takes(pa.int64(), "birth_date")


def test_names_the_unit_as_what_is_left():
    assert Date(truncate="quarter").leak() == "the quarter"
    assert treat_all(Date(truncate="week"), date(1969, 12, 31), kind=pa.date64()) == [date(1969, 12, 29)]
