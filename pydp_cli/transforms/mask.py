"""Mask characters, keeping a few at either end."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT


@transform("mask", takes=TEXT, reversible=False, leaks="the length and the characters kept", main_option="keep_last")
class Mask(TransformOptions):
    """Replace all but the first and last characters by `char`.

    Null stays null. A value with fewer than `min_hidden` characters to hide is hidden whole.
    """

    keep_first: Annotated[int, Field(ge=0)] = 0
    keep_last: Annotated[int, Field(ge=0)] = 0
    char: Annotated[str, Field(min_length=1, max_length=1)] = "*"
    min_hidden: Annotated[int, Field(ge=1)] = 4

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Hide the middle with Arrow kernels; lengths are in code points."""
        length = pc.utf8_length(column)
        whole = pc.less(length, self.keep_first + self.keep_last + self.min_hidden)
        hidden = pc.if_else(whole, length, pc.subtract(length, self.keep_first + self.keep_last))
        first = pc.utf8_slice_codeunits(column, 0, self.keep_first)
        last = pc.utf8_slice_codeunits(column, -self.keep_last) if self.keep_last else ""
        return pc.binary_join_element_wise(
            pc.if_else(whole, "", first),
            pc.binary_repeat(self.char, hidden),
            pc.if_else(whole, "", last),
            "",
        )
