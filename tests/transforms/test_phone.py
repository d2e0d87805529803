import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.errors import BadValue
from pydp_cli.transforms.phone import Phone
from tests.transforms.columns import text_columns, treat, treat_all


@pytest.mark.parametrize(
    ("options", "number", "expected"),
    [
        ({"region": "DE"}, "030 1234567", "+49*********"),
        ({}, "+49 (30) 1234567 ext. 5", "+49*********"),
        ({"keep": "area"}, "+49 30 1234567", "+4930*******"),
        ({"keep": "area"}, "+49 170 1234567", "+49**********"),
        ({"keep": "area", "keep_last": 3}, "+1 212 555 0123", "+1212****123"),
        ({"keep": "area", "keep_last": 4}, "+1 212 555 0123", "+1212*******"),
        ({"keep": "number"}, "+1 212 555 0123", "+12125550123"),
        ({"keep_last": 2, "char": "x"}, "+1 212 555 0123", "+1xxxxxxxx23"),
        ({}, "030 1234567", "[redacted]"),
        ({}, "", "[redacted]"),
        ({}, "+1 212", "[redacted]"),
        ({}, "call Bob", "[redacted]"),
        ({"on_invalid": "null"}, "call Bob", None),
        ({}, None, None),
    ],
)
def test_examples(options, number, expected):
    assert treat_all(Phone(**options), number) == [expected]


@given(st.integers(10**6, 10**9 - 1), st.integers(0, 4), st.sampled_from(["country", "area"]))
def test_hides_at_least_four_digits(subscriber, last, keep):
    [treated] = treat_all(Phone(keep=keep, keep_last=last), f"+49{subscriber}")

    assert treated == "[redacted]" or treated.count("*") >= 4


@given(text_columns)
def test_any_text_is_taken(column):
    for before, after in zip(column.to_pylist(), treat(Phone(region="GB"), column).to_pylist(), strict=True):
        assert (before is None) == (after is None)
        assert after is None or after == "[redacted]" or re.fullmatch(r"\+\d{1,3}\*+", after)


def test_an_error_names_rows_and_no_number():
    with pytest.raises(BadValue) as raised:
        Phone(on_invalid="error").apply(pa.array(["+12125550123", None, "secret", "x"]))

    assert raised.value.rows == (2, 3)
    assert "secret" not in str(raised.value)


def test_refuses_a_region_without_phones():
    with pytest.raises(ValidationError, match="two capital letters"):
        Phone(region="XX")


def test_says_what_is_kept():
    assert Phone().leak() == "the country, and how long the number is"
    assert Phone(keep="number").leak() == "the whole number"
    assert "last 2 digits" in Phone(keep="area", keep_last=2).leak()
    assert Phone(on_invalid="null").makes_null()
    assert not Phone().makes_null()
