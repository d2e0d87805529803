"""Bech32 as BIP 173 has it, but of any length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.crypto.bech32 import decode_bech32, encode_bech32


@given(st.binary(max_size=100))
def test_comes_back_as_it_was(data):
    assert decode_bech32(encode_bech32("age", data)) == ("age", data)


@pytest.mark.parametrize(
    "text", ["A12UEL5L", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "?1ezyfcl"]
)  # from BIP 173
def test_reads_the_strings_of_the_standard(text):
    assert decode_bech32(text) is not None


@given(st.binary(min_size=1, max_size=32), st.integers(0, 30), st.sampled_from("qpzry9x8"))
def test_a_mistyped_character_is_noticed(data, place, character):
    text = encode_bech32("age", data)
    place = 4 + place % (len(text) - 4)

    altered = text[:place] + character + text[place + 1 :]

    assert altered == text or decode_bech32(altered) is None


@pytest.mark.parametrize("text", ["", "1", "age1", "age1qqqq", "Age1qqqqqqqq", "age", "ä1qqqqqqq", "1qqqqqq"])
def test_what_is_none_is_told(text):
    assert decode_bech32(text) is None
