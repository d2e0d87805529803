"""Replace every value by a fixed mark."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import ANY, is_text


@transform("redact", takes=ANY, reversible=False, leaks="which values are missing", main_option="text")
class Redact(TransformOptions):
    """Replace every text by a fixed mark: `note: redact`, or `note: {redact: "(removed)"}`.

    Null stays null, so that it still shows who left a field empty; `null` hides that too. The empty string is a value
    and is replaced. A column that is not text has no room for a mark: all its values become null.
    """

    text: Annotated[str, Field(description="What stands in the place of every value of a text column.")] = "[redacted]"

    def makes_null(self) -> bool:
        """Say that null comes out where a number or a date was."""
        return True

    def apply(self, column: pa.Array) -> pa.Array:
        """Put the mark wherever there is a value."""
        if not is_text(column.type):
            return pa.nulls(len(column), column.type)
        return pc.if_else(pc.is_valid(column), pa.scalar(self.text, column.type), pa.scalar(None, column.type))
