import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.transforms.hide import Window, hide
from pydp_cli.transforms.mask import HIDDEN_LENGTH, Mask
from tests.transforms.columns import any_texts, ascii_texts, columns, text_columns, treat, treat_all


def masked(value, first, last, least):
    """The same, a value at a time."""
    if value is None:
        return None
    if len(value) < first + last + least:
        return "*" * len(value)
    return value[:first] + "*" * (len(value) - first - last) + (value[-last:] if last else "")


@given(text_columns, st.integers(0, 6), st.integers(0, 6), st.integers(1, 6))
def test_keeps_the_ends_and_hides_all_else(column, first, last, least):
    result = treat(Mask(keep_first=first, keep_last=last, min_hidden=least), column)

    assert result.to_pylist() == [masked(value, first, last, least) for value in column.to_pylist()]


@given(text_columns, st.integers(0, 6), st.integers(0, 6))
def test_a_mark_outside_ascii_hides_the_same(column, first, last):
    stars = Mask(keep_first=first, keep_last=last).apply(column)
    dots = Mask(keep_first=first, keep_last=last, char="•").apply(column)

    assert [None if value is None else len(value) for value in dots.to_pylist()] == [
        None if value is None else len(value) for value in stars.to_pylist()
    ]
    assert all("*" not in (value or "") for value in Mask(char="•").apply(column).to_pylist())


@given(columns(ascii_texts, pa.string()), columns(any_texts, pa.string()), st.integers(0, 4), st.integers(0, 4))
def test_ascii_and_unicode_take_the_same_course(plain, mixed, first, last):
    window = Window(first, last, 2)
    together = pa.concat_arrays([plain, mixed, pa.array(["é"])])

    for only in (None, "digits", "letters_and_digits"):
        assert hide(together, window, "*", only).slice(0, len(plain)).equals(hide(plain, window, "*", only))


@given(text_columns, st.integers(0, 4), st.integers(0, 4))
def test_only_digits_leaves_the_rest_and_counts_digits(column, first, last):
    result = treat(Mask(only="digits", keep_first=first, keep_last=last, min_hidden=2), column)

    for before, after in zip(column.to_pylist(), result.to_pylist(), strict=True):
        if before is None:
            assert after is None
            continue
        digits = [place for place, char in enumerate(before) if char.isnumeric() and not char.isalpha()]
        shown = digits[:first] + digits[len(digits) - last :] if len(digits) >= first + last + 2 else []
        expected = ["*" if place in set(digits) - set(shown) else char for place, char in enumerate(before)]
        assert after == "".join(expected)


def test_examples_people_will_read():
    assert treat_all(Mask(keep_last=4), "030 1234567", None, "") == ["*******4567", None, ""]
    assert treat_all(Mask(keep_last=4, only="digits"), "+49 30 1234567") == ["+** ** ***4567"]
    assert treat_all(Mask(only="letters"), "O'Neill é 7") == ["*'***** * 7"]
    assert treat_all(Mask(only="letters"), "e\u0301 7") == ["** 7"]
    assert treat_all(Mask(only="letters_and_digits", keep_first=2), "B-AB 1234") == ["B-A* ****"]


@pytest.mark.parametrize("value", ["", "1", "1234", "1234567"])
def test_short_values_are_hidden_whole(value):
    assert treat_all(Mask(keep_last=4), value) == ["*" * len(value)]
    assert treat_all(Mask(keep_last=4, only="digits"), value) == ["*" * len(value)]


@given(text_columns, st.integers(0, 3), st.integers(0, 3))
def test_without_length_all_values_look_equally_long(column, first, last):
    result = treat(Mask(keep_first=first, keep_last=last, keep_length=False), column).to_pylist()

    assert {len(value) for value in result if value is not None} <= {HIDDEN_LENGTH + first + last}
    for before, after in zip(column.to_pylist(), result, strict=True):
        if before is not None and len(before) < first + last + 4:
            assert after == "*" * len(after)


def test_characters_beyond_the_basic_plane_count_once():
    assert treat_all(Mask(keep_last=1), "👍👍👍👍👍") == ["****👍"]
    assert treat_all(Mask(keep_last=1, only="digits"), "𝟘𝟙𝟚𝟛𝟜 x") == ["****𝟜 x"]


def test_only_and_hidden_length_exclude_each_other():
    with pytest.raises(ValidationError, match="cannot go with"):
        Mask(only="digits", keep_length=False)


def test_says_what_it_leaks():
    assert Mask().leak() == "the length"
    assert Mask(keep_last=4).leak() == "the length, and the characters kept"
    assert Mask(keep_length=False).leak() == "nothing"
    assert "every character that is not one of the letters and digits" in Mask(only="letters_and_digits").leak()


def test_a_giant_value_is_masked():
    assert treat_all(Mask(keep_last=4), "x" * 3_000_000) == ["*" * 2_999_996 + "xxxx"]
