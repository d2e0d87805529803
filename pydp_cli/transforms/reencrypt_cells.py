"""Bring the cells of a column under new keys, and let every other value pass byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.crypto import base64_column
from pydp_cli.crypto.cell_headers import under_key
from pydp_cli.crypto.reseal import reseal_cells
from pydp_cli.errors import Tampered
from pydp_cli.transforms.cells import FAILED, Bound, Place
from pydp_cli.transforms.parse import MOST_ROWS_NAMED
from pydp_cli.transforms.registry import Rows
from pydp_cli.transforms.types import is_text


@dataclass(frozen=True)
class Move:
    """From the key of one version to that of another, each with its id."""

    old: tuple[bytes, bytes] = field(repr=False)
    new: tuple[bytes, bytes] = field(repr=False)


@dataclass(frozen=True)
class ReencryptCells:
    """Re-encrypts the cells that are under an old key; `moves` are by the old key's id."""

    moves: Mapping[bytes, Move] = field(repr=False)
    place: Place
    bind: tuple[Bound, ...]

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Re-encrypt the column; raises `Tampered` where a cell under an old key is not authentic."""
        for key_id, move in self.moves.items():
            chosen = under_key(column, key_id)
            if not chosen.true_count:
                continue
            selected = pc.indices_nonzero(chosen)
            bound = [one.text(rows).take(selected) for one in self.bind]
            column = _replaced(column, chosen, self._moved(column.take(selected), move, bound, selected))
        return column

    def _moved(self, cells: pa.Array, move: Move, bound: list[pa.StringArray], selected: pa.Array) -> pa.Array:
        text = is_text(cells.type)
        raw, malformed = base64_column.decode(cells) if text else (cells.cast(pa.binary()), np.zeros(0, dtype=np.int64))
        moved, failed = reseal_cells(raw, move.old, move.new, self.place, bound)
        failed = np.union1d(failed, malformed)
        if len(failed):
            rows = tuple(selected[int(row)].as_py() for row in failed[:MOST_ROWS_NAMED])
            count = "a cell" if len(failed) == 1 else f"{len(failed):,} cells"
            raise Tampered(f"{count} failed authentication", hint=FAILED, rows=rows)
        return base64_column.encode(moved) if text else moved


def _replaced(column: pa.Array, chosen: pa.BooleanArray, values: pa.Array) -> pa.Array:
    values = pc.cast(values, column.type)
    if len(values) == len(column):
        return values
    return pc.replace_with_mask(column, chosen, values)
