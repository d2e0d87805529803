"""Empty a column, but leave it in place."""

from __future__ import annotations

import pyarrow as pa

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import ANY


@transform("null", takes=ANY, reversible=False, leaks="nothing but the column's name and type")
class Null(TransformOptions):
    """Replace every value by null, and keep the column's name and type: `fax: "null"`.

    Write it in quotes: a bare `null` is YAML for nothing. A column that was required becomes nullable.
    """

    def makes_null(self) -> bool:
        """Say that null comes out where a value was."""
        return True

    def apply(self, column: pa.Array) -> pa.Array:
        """Make a column of nulls."""
        return pa.nulls(len(column), column.type)
