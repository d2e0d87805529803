import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.transforms.name import Name
from tests.transforms.columns import text_columns, treat, treat_all

KEEPS = ["initials", "first_letter_and_last", "first", "first_letter"]
words = st.lists(st.text("abcÄß王", min_size=1), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada Lovelace", ["A. L.", "A. Lovelace", "Ada", "A."]),
        ("Lovelace, Ada", ["A. L.", "A. Lovelace", "Ada", "A."]),
        ("  Jürgen   von\u00a0Groß ", ["J. v. G.", "J. Groß", "Jürgen", "J."]),
        ("Madonna", ["M.", "M.", "Madonna", "M."]),
        ("E\u0301mile Zola", ["E\u0301. Z.", "E\u0301. Zola", "E\u0301mile", "E\u0301."]),
        ("王小明", ["王.", "王.", "王小明", "王."]),
        ("", ["", "", "", ""]),
        (" ", ["", "", "", ""]),
        (None, [None, None, None, None]),
    ],
)
def test_examples(name, expected):
    assert [treat_all(Name(keep=keep), name)[0] for keep in KEEPS] == expected


@given(words)
def test_no_more_than_what_is_asked_for_is_left(name):
    text = " ".join(name)

    assert treat_all(Name(keep="initials"), text) == [" ".join(f"{word[0]}." for word in name)]
    assert treat_all(Name(keep="first_letter"), text) == [f"{name[0][0]}."]
    last = f" {name[-1]}" if len(name) > 1 else ""
    assert treat_all(Name(keep="first_letter_and_last"), text) == [f"{name[0][0]}.{last}"]
    assert treat_all(Name(keep="first"), text) == [name[0]]


@pytest.mark.parametrize("keep", KEEPS)
@given(column=text_columns)
def test_any_text_is_taken(keep, column):
    for before, after in zip(column.to_pylist(), treat(Name(keep=keep), column).to_pylist(), strict=True):
        assert (before is None) == (after is None)
        if before is not None and keep == "first_letter":
            assert len(after.replace(".", "")) <= len(before)


def test_says_what_is_left():
    assert {Name(keep=keep).leak() for keep in KEEPS} >= {"the first letter"}
