import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.transforms.prefix import Prefix
from tests.transforms.columns import text_columns, treat, treat_all


@given(text_columns, st.integers(1, 8))
def test_is_a_prefix_of_the_value(column, keep):
    result = treat(Prefix(keep=keep), column)

    assert result.to_pylist() == [None if value is None else value[:keep] for value in column.to_pylist()]


@given(text_columns, st.integers(1, 8), st.sampled_from("0*é👍"))
def test_padding_keeps_the_length_and_hides_the_rest(column, keep, pad):
    result = treat(Prefix(keep=keep, pad=pad), column).to_pylist()

    for before, after in zip(column.to_pylist(), result, strict=True):
        assert after == (None if before is None else before[:keep] + pad * (len(before) - keep))


def test_examples_people_will_read():
    assert treat_all(Prefix(keep=3), "10115", "07", None, "") == ["101", "07", None, ""]
    assert treat_all(Prefix(keep=3, pad="0"), "10115", "07", None, "") == ["10100", "07", None, ""]


def test_says_that_padding_keeps_the_length():
    assert "length" in Prefix(keep=3, pad="0").leak()
    assert "the length" not in Prefix(keep=3).leak()


@pytest.mark.parametrize("options", [{}, {"keep": 0}, {"keep": 3, "pad": "00"}, {"keep": 3, "pad": ""}])
def test_refuses_options_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        Prefix(**options)
