"""Leave a column out of the output."""

from __future__ import annotations

import pyarrow as pa

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import ANY


@transform("drop", takes=ANY, reversible=False, leaks="nothing")
class Drop(TransformOptions):
    """Remove the column, name and all: `note: drop`.

    There is no column left that could hold a null.
    """

    def gives(self, taken: pa.DataType) -> pa.DataType | None:
        """Say that nothing comes out."""
        del taken
        return None
