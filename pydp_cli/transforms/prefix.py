"""Keep the first characters of a text, such as the region of a postal code."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT


@transform(
    "prefix",
    takes=TEXT,
    reversible=False,
    leaks="the first characters; a value that is no longer than those is kept whole",
    main_option="keep",
)
class Prefix(TransformOptions):
    """Keep the first `keep` characters: `zip: {prefix: 3}` makes `101` of `10115`.

    Null stays null, and the empty string stays empty. With `pad` the rest is filled up to the old length, so that
    `zip: {prefix: {keep: 3, pad: "0"}}` makes `10100`. Characters are Unicode code points. A sparsely populated prefix
    can still single a person out.
    """

    keep: Annotated[int, Field(ge=1, description="How many characters are kept.")]
    pad: Annotated[
        str | None,
        Field(min_length=1, max_length=1, description="A character that fills the value up to its old length."),
    ] = None

    def leak(self) -> str:
        """Add the length where it is kept."""
        return f"the length, and {self.info.leaks}" if self.pad else self.info.leaks

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Slice, and pad where asked."""
        kept = pc.utf8_slice_codeunits(column, 0, self.keep)
        if self.pad is None:
            return kept
        hidden = pc.max_element_wise(pc.subtract(pc.utf8_length(column), self.keep), 0, skip_nulls=False)
        return pc.binary_join_element_wise(kept, pc.binary_repeat(self.pad, hidden), "")
