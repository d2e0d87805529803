"""Keep a column as it is, as a decision that someone wrote down."""

from __future__ import annotations

import pyarrow as pa

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import ANY


@transform("keep", takes=ANY, reversible=False, leaks="everything")
class Keep(TransformOptions):
    """Leave the column untouched: `country: keep`.

    Null stays null. The value comes out exactly as it was written in the file.
    """

    def apply(self, column: pa.Array) -> pa.Array:
        """Give the column back."""
        return column
