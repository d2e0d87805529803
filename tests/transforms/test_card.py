import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from pydp_cli.transforms.card import Card
from tests.transforms.columns import text_columns, treat, treat_all


@pytest.mark.parametrize(
    ("options", "number", "expected"),
    [
        ({}, "4111 1111 1111 1111", "4111 11** **** 1111"),
        ({}, "378282246310005", "378282*****0005"),
        ({"keep_first": 0}, "4111-1111-1111-1111", "****-****-****-1111"),
        ({"char": "•"}, "4111111111111111", "411111••••••1111"),
        ({"min_hidden": 8}, "4111 1111 1111 1111", "**** **** **** ****"),
        ({}, "4222222222222", "*" * 13),
        ({}, "4111111111111112", "[redacted]"),
        ({}, "４１１１ 1111 1111 1111", "[redacted]"),
        ({}, "", "[redacted]"),
        ({"on_invalid": "null"}, "x", None),
        ({}, None, None),
    ],
)
def test_examples(options, number, expected):
    assert treat_all(Card(**options), number) == [expected]


@given(st.lists(st.text("0123456789", min_size=12, max_size=19)))
def test_takes_numbers_with_a_right_check_digit_only(numbers):
    right = [number[:-1] + luhn.calc_check_digit(number[:-1]) for number in numbers]

    for number, treated in zip(numbers + right, treat_all(Card(), *numbers, *right), strict=True):
        assert (treated == "[redacted]") == (not luhn.is_valid(number))
        if luhn.is_valid(number):
            hidden = len(number) - 10
            assert treated == (number[:6] + "*" * hidden + number[-4:] if hidden >= 5 else "*" * len(number))


@given(text_columns)
def test_other_text_is_never_shown(column):
    for before, after in zip(column.to_pylist(), treat(Card(), column).to_pylist(), strict=True):
        assert after == (None if before is None else "[redacted]") or "*" in after


def test_says_what_is_kept():
    assert Card(keep_first=8).leak() == "how long the number is, its first 8 and its last 4 digits"
    assert not Card().makes_null()
