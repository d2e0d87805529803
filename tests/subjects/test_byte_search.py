"""The quick look for many texts in some bytes: it must not miss what a plain search finds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.subjects.byte_search import ByteSearch

NEEDLE = st.text("ab1@.é ", min_size=4, max_size=9).map(str.encode)
RAW = st.text("ab1@.é \0", max_size=60).map(str.encode)


@given(st.lists(NEEDLE, max_size=5), st.lists(NEEDLE, max_size=5), RAW, st.booleans())
def test_it_finds_what_a_plain_search_finds(words, phrases, raw, side_by_side):
    before = b"" if side_by_side else rb"(?<![0-9A-Za-z])"
    found = any(re.search(before + re.escape(word), raw) for word in words) or any(one in raw for one in phrases)
    assert ByteSearch.of(words, phrases).may_be_in(raw, side_by_side=side_by_side) is found


@given(st.sets(NEEDLE, min_size=1, max_size=40), st.binary(max_size=9), st.data())
def test_each_of_many_is_found_wherever_it_stands(words, around, data):
    word = data.draw(st.sampled_from(sorted(words)))
    raw = around + b"\0" + word + around
    assert ByteSearch.of(words).may_be_in(raw)
    assert ByteSearch.of([], words).may_be_in(raw)


def test_a_word_that_begins_after_a_letter_is_another_word():
    search = ByteSearch.of([b"anna@x.org"])
    assert not search.may_be_in(b"joanna@x.org")
    assert search.may_be_in(b"joanna@x.org", side_by_side=True)
    assert search.may_be_in(b"jo-anna@x.org")
    assert search.may_be_in("é".encode() + b"anna@x.org")


def test_what_is_too_short_is_refused():
    with pytest.raises(ValueError, match="too short"):
        ByteSearch.of([b"abc"])
