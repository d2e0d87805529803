"""Shorten names of people to initials, or to one letter and the family name."""

from __future__ import annotations

from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

_BLANK = r"[\s\p{Z}]"
_LETTER = r"([^\s\p{Z}]\p{M}*)"  # with the accents that follow it
_REST = r"[^\s\p{Z}]*"


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
        """Rearrange by patterns, over the column."""
        names = pc.replace_substring_regex(column, r"^([^,]*),([^,]*)$", r"\2 \1")
        names = pc.replace_substring_regex(pc.utf8_trim_whitespace(names), rf"{_BLANK}+", " ")
        if self.keep == "initials":
            return pc.replace_substring_regex(names, rf"{_LETTER}{_REST}", r"\1.")
        if self.keep == "first":
            return pc.replace_substring_regex(names, r" .*", "")
        first_letter = pc.replace_substring_regex(names, rf"^{_LETTER}(?s:.*)$", r"\1.")
        if self.keep == "first_letter":
            return first_letter
        last = pc.replace_substring_regex(names, r"^(?s:.*) ", " ")
        return pc.binary_join_element_wise(first_letter, pc.if_else(pc.match_substring(names, " "), last, ""), "")
