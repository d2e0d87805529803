"""Mask characters, keeping a few at either end."""

from __future__ import annotations

from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from pydp_cli.transforms.hide import Window, hide
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

HIDDEN_LENGTH = 6
"""The characters that stand for the hidden ones where the length is hidden as well."""


@transform("mask", takes=TEXT, reversible=False, leaks="the length and the characters kept", main_option="keep_last")
class Mask(TransformOptions):
    """Hide all but the first and last characters: `phone: {mask: {keep_last: 4}}` makes `*******4567`.

    Null stays null. A value with fewer than `min_hidden` characters to hide is hidden whole, so that a short one does
    not show most of itself. With `only: digits` the rest stays and is not counted: `+49 30 1234567` becomes
    `+** ** ***4567`. Characters are Unicode code points: of a letter with a combining accent at the edge of what is
    kept, the letter or the accent may go.
    """

    keep_first: Annotated[int, Field(ge=0, le=1000, description="How many characters are kept at the start.")] = 0
    keep_last: Annotated[int, Field(ge=0, le=1000, description="How many characters are kept at the end.")] = 0
    char: Annotated[
        str, Field(min_length=1, max_length=1, description="The character that stands for each hidden one.")
    ] = "*"
    min_hidden: Annotated[
        int, Field(ge=1, description="A value with fewer characters than this to hide is hidden whole.")
    ] = 4
    only: Annotated[
        Literal["letters", "digits", "letters_and_digits"] | None,
        Field(description="Hide and count only such characters, in any script; all others stay."),
    ] = None
    keep_length: Annotated[
        bool,
        Field(
            description=f"Whether the length stays; if not, {HIDDEN_LENGTH} characters stand for all the hidden ones."
        ),
    ] = True

    @model_validator(mode="after")
    def _length_goes_with_separators(self) -> Mask:
        if self.only and not self.keep_length:
            raise ValueError("`only` leaves characters where they are, so it cannot go with `keep_length: false`")
        return self

    def leak(self) -> str:
        """Say what stays with these options."""
        parts = ["the length"] if self.keep_length else []
        if self.keep_first or self.keep_last:
            parts.append("the characters kept")
        if self.only:
            parts.append(f"every character that is not one of the {self.only.replace('_', ' ')}")
        return ", and ".join(parts) or "nothing"

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Hide in place, or replace the middle by characters of a fixed number."""
        if self.keep_length:
            return hide(column, Window(self.keep_first, self.keep_last, self.min_hidden), self.char, self.only)
        kept = self.keep_first + self.keep_last
        short = pc.less(pc.utf8_length(column), kept + self.min_hidden)
        first = pc.utf8_slice_codeunits(column, 0, self.keep_first)
        last = pc.utf8_slice_codeunits(column, -self.keep_last) if self.keep_last else ""
        open_value = pc.binary_join_element_wise(first, self.char * HIDDEN_LENGTH, last, "")
        return pc.if_else(short, self.char * (HIDDEN_LENGTH + kept), open_value)
