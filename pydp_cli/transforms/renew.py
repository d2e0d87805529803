"""Bring values that do not name their key from one version of it to another: undone, and made again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import BadValue
from pydp_cli.transforms.parse import MOST_ROWS_NAMED
from pydp_cli.transforms.registry import ColumnFunction, Rows


@dataclass(frozen=True)
class Renew:
    """Format-preserving encryption or tokens under another key version."""

    undo: ColumnFunction
    redo: ColumnFunction

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Renew the column; raises `BadValue` where a value does not come back and would be lost."""
        plain = self.undo(column, rows)
        lost = pc.and_(column.is_valid(), plain.is_null()).to_numpy(zero_copy_only=False)
        if lost.any():
            raise BadValue(
                f"{int(lost.sum()):,} values do not come back, because `on_small` replaced them",
                hint="leave the key as it is, or make the file anew from its source",
                rows=tuple(np.flatnonzero(lost)[:MOST_ROWS_NAMED].tolist()),
            )
        return self.redo(plain, rows)
