import math
import pickle
from datetime import date, datetime, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.age_from import AgeFrom
from pydp_cli.transforms.registry import Binding
from pydp_cli.transforms.top_code import TopCode
from tests.transforms.columns import columns, derive_key, floats, integers, treat, treat_all


@given(columns(integers, pa.int64()), integers)
def test_no_number_is_over_the_limit_and_the_others_stay(column, limit):
    result = treat(TopCode(max=limit), column)

    assert result.to_pylist() == [None if value is None else min(value, limit) for value in column.to_pylist()]


@given(columns(floats, pa.float64()), st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_capped_and_nan_stays(column, limit):
    for before, after in zip(column.to_pylist(), treat(TopCode(max=limit), column).to_pylist(), strict=True):
        if before is None or math.isnan(before):
            assert str(after) == str(before)
        else:
            assert after == min(before, limit)


@given(
    columns(st.dates(date(1850, 1, 1), date(2030, 1, 1)), pa.date32()),
    st.dates(date(2000, 1, 1), date(2030, 1, 1)) | st.just(date(2024, 2, 29)) | st.just(date(2023, 2, 28)),
    st.integers(0, 120),
)
def test_ages_over_the_limit_become_the_limit(column, at, limit):
    result = treat(TopCode(max_age=limit, at=at), column)

    ages = treat(AgeFrom(at=at), column).to_pylist()
    capped = treat(AgeFrom(at=at), result).to_pylist()
    assert capped == [None if age is None else min(age, limit) for age in ages]
    for before, after, age in zip(column.to_pylist(), result.to_pylist(), ages, strict=True):
        assert before == after or age > limit


@pytest.mark.parametrize(
    ("options", "kind", "value", "expected"),
    [
        ({"max": "89.5"}, pa.int32(), 95, 89),
        ({"max": 1000}, pa.int8(), 95, 95),
        ({"max": "50.5"}, pa.decimal128(5, 2), Decimal(95), Decimal("50.50")),
        ({"max": "50.555"}, pa.decimal64(5, 2), Decimal(95), Decimal("50.55")),
        ({"max": 50}, pa.float16(), 95, 50.0),
        ({"max": 50}, pa.float64(), float("inf"), 50.0),
        ({"max_age": 89, "at": "2026-10-15"}, pa.date32(), date(1930, 5, 5), date(1936, 10, 16)),
        ({"max_age": 89, "at": "2026-10-15"}, pa.date64(), date(1936, 10, 16), date(1936, 10, 16)),
    ],
)
def test_examples(options, kind, value, expected):
    column = (
        pa.array([Decimal(value)], pa.decimal128(9, 2)).cast(kind)
        if pa.types.is_decimal(kind)
        else pa.array([value], kind)
    )

    assert treat(TopCode(**options), pa.concat_arrays([column, pa.nulls(1, kind)])).to_pylist() == [expected, None]


def test_birth_times_are_capped_at_midnight_of_their_zone():
    column = pa.array([datetime(1930, 1, 1, tzinfo=timezone.utc)], pa.timestamp("us", "Europe/Berlin"))

    [capped] = treat(TopCode(max_age=89, at="2026-10-15"), column).to_pylist()

    assert (capped.isoformat()) == "1936-10-16T00:00:00+01:00"


def test_text_is_read_as_numbers_or_dates():
    assert TopCode(max=5).asks() == pa.float64()
    assert TopCode(max_age=5).asks() == pa.date32()


def test_limits_that_do_not_go_with_the_type_are_refused():
    for options, kind in (
        ({"max": 5}, pa.date32()),
        ({"max_age": 5}, pa.int64()),
        ({"max": -5}, pa.uint8()),
        ({"max": -1000}, pa.decimal128(3, 1)),
        ({"max": 5}, pa.string()),
    ):
        with pytest.raises(UnsupportedType, match='column "c"'):
            TopCode(**options).check_takes(kind, "c")


@pytest.mark.parametrize("options", [{}, {"max": 1, "max_age": 1}, {"max": 1, "at": "2024-01-01"}, {"max_age": -1}])
def test_needs_one_limit(options):
    with pytest.raises(ValidationError):
        TopCode(**options)


def test_the_day_is_settled_once_and_travels_to_workers():
    function = TopCode(max_age=89).bind(Binding("d", "c", pa.date32(), derive_key))

    assert pickle.loads(pickle.dumps(function)) == function
    assert function.limit.as_py() < date(1950, 1, 1)
    assert treat_all(TopCode(max_age=0), date(1850, 1, 1), kind=pa.date32()) != [date(1850, 1, 1)]
