import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.iso7064 import mod_97_10

from pydp_cli.transforms.iban import Iban
from tests.transforms.columns import text_columns, treat, treat_all


@pytest.mark.parametrize(
    ("options", "number", "expected"),
    [
        ({}, "DE89 3704 0044 0532 0130 00", "DE****************3000"),
        ({}, "de89370400440532013000", "DE****************3000"),
        ({"keep_bank": 8}, "DE89 3704 0044 0532 0130 00", "DE**37040044******3000"),
        ({"keep_bank": 8}, "NO93 8601 1117 947", "NO*************"),
        ({}, "DE88 3704 0044 0532 0130 00", "[redacted]"),
        ({}, "DE89", "[redacted]"),
        ({"on_invalid": "null"}, "", None),
        ({}, None, None),
    ],
)
def test_examples(options, number, expected):
    assert treat_all(Iban(**options), number) == [expected]


@given(
    st.text("ABCXYZ", min_size=2, max_size=2), st.text("0123456789ABZ", min_size=11, max_size=30), st.integers(0, 96)
)
def test_takes_numbers_with_right_check_digits_and_hides_them(country, account, other):
    digits = mod_97_10.calc_check_digits(account + country)

    [treated] = treat_all(Iban(), f"{country}{digits}{account}")
    assert treated == f"{country}{'*' * (len(account) - 2)}{account[-4:]}"

    if mod_97_10.is_valid(f"{account}{country}{other:02}") is False:
        assert treat_all(Iban(), f"{country}{other:02}{account}") == ["[redacted]"]


@given(text_columns)
def test_other_text_is_never_shown(column):
    for before, after in zip(column.to_pylist(), treat(Iban(), column).to_pylist(), strict=True):
        assert after == (None if before is None else "[redacted]")


def test_says_what_is_kept():
    assert Iban(keep_bank=4).leak() == "the country, 4 characters of the bank and the last 4 characters"
    assert not Iban().makes_null()
