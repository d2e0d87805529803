"""Encrypt a column under people's own keys: what `encrypt` does where it is `per_subject`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from pydp_cli.crypto import base64_column
from pydp_cli.crypto.cells import Place, Plaintext
from pydp_cli.crypto.subject_cells import RowKeys, seal_subject_cells
from pydp_cli.errors import BadValue
from pydp_cli.transforms.cell_text import to_cell_text
from pydp_cli.transforms.cells import Bound, refuse_cells
from pydp_cli.transforms.parse import MOST_ROWS_NAMED
from pydp_cli.transforms.registry import Rows

__all__ = ["EncryptForPeople", "KeysOfRows", "RowKeys"]


class KeysOfRows(Protocol):
    """What gives each row the key of its person, by a column of identifiers."""

    def of_rows(self, people: pa.Array) -> RowKeys:
        """Give the keys, durable already, of all rows that are somebody's."""
        ...


@dataclass(frozen=True)
class EncryptForPeople:
    """Encrypts each value under the key of the row's person, whom the column `person` names."""

    keys: KeysOfRows
    person: str
    place: Place
    plaintext: Plaintext
    bind: tuple[Bound, ...]
    as_text: bool

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Encrypt the column. Raises `BadValue` where a row has a value and is nobody's, or where there are cells."""
        refuse_cells(column, frozenset())
        needed = np.ones(len(column), np.bool_)
        if not self.plaintext.nulls and column.null_count:
            needed = column.is_valid().to_numpy(zero_copy_only=False)
        keys = self.keys.of_rows(rows.original(self.person))
        nobody = np.flatnonzero(needed & (keys.of_row < 0))
        if len(nobody):
            raise BadValue(
                f'{len(nobody):,} values are nobody\'s: column "{self.person}" names no person there',
                hint="only rows with an identifier can be encrypted under a person's key",
                rows=tuple(nobody[:MOST_ROWS_NAMED].tolist()),
            )
        bound = [one.text(rows) for one in self.bind]
        cells = seal_subject_cells(to_cell_text(column), keys, self.place, bound, plaintext=self.plaintext)
        return base64_column.encode(cells) if self.as_text else cells
