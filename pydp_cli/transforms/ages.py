"""Ages by the calendar: who is how old at a date, and which birth dates belong to an age."""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc


def today() -> date:
    """Give the date on which ages count where nothing else is said: today in UTC."""
    return datetime.now(timezone.utc).date()


def age_in_years(born: pa.Array, at: date) -> pa.Int32Array:
    """Count the birthdays that have passed, in the zone of the type; below zero where a date is after `at`.

    Someone born on 29 February has the birthday on 1 March in common years.
    """
    years = pc.subtract(at.year, pc.cast(pc.year(born), pa.int32()))
    day_of_year = pc.add(pc.multiply(pc.month(born), 100), pc.day(born))
    ahead = pc.greater(day_of_year, at.month * 100 + at.day)
    return pc.subtract(years, pc.cast(ahead, pa.int32())).cast(pa.int32())


def last_birth_date(at: date, age: int) -> date:
    """Give the latest birth date of someone who is at least `age` at a date."""
    year = at.year - age
    if year < 1:
        return date.min
    return date(year, at.month, min(at.day, calendar.monthrange(year, at.month)[1]))


def first_birth_date(at: date, age: int) -> date:
    """Give the earliest birth date of someone who is at most `age` at a date."""
    if at.year - age <= 1:
        return date.min
    return last_birth_date(at, age + 1) + timedelta(days=1)


def start_of(day: date, kind: pa.DataType) -> pa.Scalar:
    """Give the first moment of a day as a date or timestamp type, in the type's own zone."""
    if getattr(kind, "tz", None) is None:
        return pa.scalar(day, pa.date32()).cast(kind)
    local = pa.scalar(day, pa.date32()).cast(pa.timestamp(kind.unit))
    return pc.assume_timezone(local, timezone=kind.tz, ambiguous="earliest", nonexistent="latest")
