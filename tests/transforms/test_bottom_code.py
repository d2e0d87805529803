from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.age_from import AgeFrom
from pydp_cli.transforms.bottom_code import BottomCode
from tests.transforms.columns import columns, integers, treat, treat_all


@given(columns(integers, pa.int64()), integers)
def test_no_number_is_under_the_limit_and_the_others_stay(column, limit):
    result = treat(BottomCode(min=limit), column)

    assert result.to_pylist() == [None if value is None else max(value, limit) for value in column.to_pylist()]


@given(
    columns(st.dates(date(1900, 1, 1), date(2030, 1, 1)), pa.date32()),
    st.dates(date(2000, 1, 1), date(2030, 1, 1))
    | st.sampled_from([date(2024, 2, 29), date(2025, 1, 29), date(2025, 3, 31)]),
    st.integers(0, 120),
)
def test_ages_under_the_limit_become_the_limit(column, at, limit):
    result = treat(BottomCode(min_age=limit, at=at), column)

    ages = treat(AgeFrom(at=at), column).to_pylist()
    assert treat(AgeFrom(at=at), result).to_pylist() == [None if age is None else max(age, limit) for age in ages]


def test_examples_people_will_read():
    assert treat_all(BottomCode(min="17.5"), 3, 20, None, kind=pa.int8()) == [18, 20, None]
    assert treat_all(BottomCode(min_age=18, at="2026-10-15"), date(2020, 1, 1), kind=pa.date32()) == [
        date(2008, 10, 15)
    ]
    assert treat_all(BottomCode(min=-1000), -128, kind=pa.int8()) == [-128]


def test_a_limit_that_no_number_reaches_is_refused():
    with pytest.raises(UnsupportedType):
        BottomCode(min=1000).check_takes(pa.int8(), "c")
    for options in ({}, {"min": 1, "at": "2024-01-01"}):
        with pytest.raises(ValidationError):
            BottomCode(**options)
    assert BottomCode(min_age=3).asks() == pa.date32()
    assert BottomCode(min=3).asks() == pa.float64()
