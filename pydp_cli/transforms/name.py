"""Shorten names of people to initials, or to one letter and the family name."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT


@transform("name", takes=TEXT, reversible=False, leaks="the letters and words kept", main_option="keep")
class Name(TransformOptions):
    """Shorten a name: `name: {name: initials}` makes `A. L.` of `Ada Lovelace`.

    `first_letter_and_last` makes `A. Lovelace`, `first` keeps the first word, `first_letter` one letter. Of a single
    word only `first` keeps more than a letter. `Lovelace, Ada` is read as `Ada Lovelace`; outer blanks go and inner
    ones are made single. Null stays null, and the empty string stays empty. A rare family name tells who it is:
    `pseudonym` with a list of names does not.
    """

    keep: Annotated[
        Literal["initials", "first_letter_and_last", "first", "first_letter"],
        Field(description="What is left of the name."),
    ] = "initials"

    def leak(self) -> str:
        """Say what is left."""
        return {
            "initials": "the initials, and how many words the name has",
            "first_letter_and_last": "the last name, and the first letter",
            "first": "the first word, which of a single-word name is all of it",
            "first_letter": "the first letter",
        }[self.keep]

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Split the column into words, and join those letters and words that are kept."""
        names = pc.utf8_trim_whitespace(_family_name_last(column))
        lists = pc.utf8_split_whitespace(names)
        counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        words = lists.flatten()
        if self.keep == "initials":
            letters = pa.ListArray.from_arrays(pa.array(ends), _first_letters(words))
            kept = pc.binary_join(letters, " ")
            return pc.if_else(pc.is_valid(column), kept, pa.scalar(None, pa.string()))
        first = words.take(pa.array(ends[:-1], mask=counts == 0))
        if self.keep == "first":
            return first
        if self.keep == "first_letter":
            return _first_letters(first)
        last = words.take(pa.array(ends[1:] - 1, mask=counts == 0))
        both = pc.binary_join_element_wise(_first_letters(first), last, " ")
        return pc.if_else(pa.array(counts > 1), both, _first_letters(first))


def _family_name_last(column: pa.StringArray) -> pa.StringArray:
    if not pc.any(pc.match_substring(column, ",")).as_py():
        return column
    return pc.replace_substring_regex(column, r"^([^,]*),([^,]*)$", r"\2 \1")


def _first_letters(words: pa.StringArray) -> pa.StringArray:
    """Take the first letter of each word, with the accents that follow it, and a full stop."""
    letters = pc.utf8_slice_codeunits(words, 0, 1)
    if pc.any(pc.match_substring_regex(words, r"^.\p{M}")).as_py():
        letters = pc.replace_substring_regex(words, r"^(.\p{M}*)(?s:.*)$", r"\1")
    return pc.if_else(pc.equal(words, ""), "", pc.binary_join_element_wise(letters, ".", ""))
