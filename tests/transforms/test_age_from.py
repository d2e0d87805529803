from datetime import date, datetime, timezone

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.transforms.age_from import AgeFrom, Ages
from pydp_cli.transforms.ages import first_birth_date, last_birth_date
from pydp_cli.transforms.registry import Binding
from tests.transforms.columns import columns, derive_key, treat, treat_all


@given(columns(st.dates(), pa.date32()), st.dates())
def test_counts_birthdays(column, at):
    result = treat(AgeFrom(at=at), column).to_pylist()

    for born, age in zip(column.to_pylist(), result, strict=True):
        if born is None:
            assert age is None
        else:
            assert age == at.year - born.year - ((at.month, at.day) < (born.month, born.day))


def test_a_leap_day_is_reached_on_the_first_of_march():
    born = date(2000, 2, 29)

    assert treat_all(AgeFrom(at="2001-02-28"), born, kind=pa.date32()) == [0]
    assert treat_all(AgeFrom(at="2001-03-01"), born, kind=pa.date64()) == [1]


def test_a_moment_counts_by_the_day_of_its_zone():
    moment = datetime(1999, 12, 31, 23, 30, tzinfo=timezone.utc)  # already 2000 in Berlin

    assert treat_all(AgeFrom(at="2009-12-31"), moment, kind=pa.timestamp("us", "Europe/Berlin")) == [9]
    assert treat_all(AgeFrom(at="2009-12-31"), moment, kind=pa.timestamp("us", "UTC")) == [10]


def test_ages_older_than_the_calendar_have_no_birth_dates():
    assert last_birth_date(date(100, 5, 5), 120) == date.min
    assert first_birth_date(date(100, 5, 5), 120) == date.min


def test_without_a_date_the_day_of_the_run_counts():
    function = AgeFrom().bind(Binding("d", "c", pa.date32(), derive_key))

    assert isinstance(function, Ages)
    assert (datetime.now(timezone.utc).date() - function.at).days in (0, 1)
    assert AgeFrom().asks() == pa.date32()
