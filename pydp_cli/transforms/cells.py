"""Columns into encrypted cells and back: what `encrypt` and `decrypt` do to one column, bound to its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.crypto.cells import (
    Opened,
    Place,
    Plaintext,
    count_by_key,
    open_base64,
    open_cells,
    seal_base64,
    seal_cells,
    under_key,
)
from pydp_cli.errors import BadValue, Tampered, WrongKey
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.cell_text import from_cell_text, to_cell_text
from pydp_cli.transforms.parse import MOST_ROWS_NAMED
from pydp_cli.transforms.registry import ColumnFunction, Rows
from pydp_cli.transforms.types import is_text

__all__ = [
    "Bound",
    "DecryptCells",
    "EncryptCells",
    "ExpectNoCells",
    "OnError",
    "Place",
    "Plaintext",
    "count_by_key",
    "looks_encrypted",
    "sealed_texts",
]

OnError = Literal["stop", "keep", "null"]
FAILED = "they were altered, moved to another row or column, or made for another dataset"


class Counting(Protocol):
    """Rows that take note of how many cells of a column failed."""

    def note_failures(self, column: str, count: int) -> None:
        """Count failures."""
        ...


@dataclass(frozen=True)
class Bound:
    """A column that cells are tied to; `undo` is what brings back its values, where it is encrypted itself."""

    name: str
    undo: ColumnFunction | None = None

    def text(self, rows: Rows) -> pa.StringArray:
        """Give the canonical text of the row's values."""
        column = rows.original(self.name)
        return canonical_text(column if self.undo is None else self.undo(column, rows))


_ROWS_LOOKED_AT = 256


@dataclass(frozen=True)
class EncryptCells:
    """Encrypts a column; `as_text` says that cells are base64."""

    key: bytes = field(repr=False)
    key_id: bytes
    place: Place
    deterministic: bool
    plaintext: Plaintext
    bind: tuple[Bound, ...]
    as_text: bool

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Encrypt the column; `rows` hold the columns that the cells are bound to.

        Raises `BadValue` where the column holds cells: nobody would know how often it has to be decrypted.
        """
        if _may_hold_cells(column.type) and self._has_cells(column):
            raise BadValue("the column is encrypted already", hint="`pydp decrypt` it first, or leave it out")
        seal = seal_base64 if self.as_text else seal_cells
        return seal(
            to_cell_text(column),
            self.key,
            self.key_id,
            self.place,
            [bound.text(rows) for bound in self.bind],
            deterministic=self.deterministic,
            plaintext=self.plaintext,
        )

    def _has_cells(self, column: pa.Array) -> bool:
        """Look for cells under this key everywhere, and under any key in the first rows."""
        return bool(under_key(column, self.key_id).true_count) or looks_encrypted(
            column.slice(0, _ROWS_LOOKED_AT), frozenset()
        )


@dataclass(frozen=True)
class Refusal:
    """Why a key cannot be used, and what to do about it."""

    message: str
    hint: str | None = None


@dataclass(frozen=True)
class DecryptCells:
    """Decrypts a column of cells, each with the key that it names.

    `keys` are the column's keys by key id; `refusals` say of the keys that cannot be used why. `gives` is the type
    that comes back.
    """

    column: str
    keys: Mapping[bytes, bytes] = field(repr=False)
    refusals: Mapping[bytes, Refusal]
    place: Place
    bind: tuple[Bound, ...]
    gives: pa.DataType
    on_error: OnError = "stop"

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Decrypt the column. Unless told otherwise, one bad cell fails all: raises `Tampered` or `WrongKey`."""
        unseal = open_base64 if is_text(column.type) else open_cells
        opened = unseal(column, self.keys, self.place, [bound.text(rows) for bound in self.bind])
        failed = opened.failed
        lost = len(failed) + sum(len(of_key) for of_key in opened.unknown.values())
        if lost and self.on_error == "stop":
            self._refuse(opened, failed)
        try:
            values = from_cell_text(pc.cast(opened.values, pa.string()), self.gives)
        except (pa.ArrowInvalid, BadValue):
            raise Tampered(
                f"the decrypted values are not of type {self.gives}",
                hint="the type in the file's metadata or in the policy is not the one that was encrypted",
            ) from None
        if lost:
            _note(rows, self.column, lost)
            if self.on_error == "keep":
                every = np.zeros(len(column), dtype=np.bool_)
                every[np.concatenate([failed, *opened.unknown.values()])] = True
                return pc.if_else(pa.array(every), column, values)
        return values

    def _refuse(self, opened: Opened, failed: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> NoReturn:
        """Name the first thing that is wrong: a key that is not at hand, before cells that are not authentic."""
        for key_id, rows in opened.unknown.items():
            refusal = self.refusals.get(key_id) or Refusal(
                f"key {key_id.hex()} is not in the keyring", "use the keyring that this was encrypted with"
            )
            raise WrongKey(
                f"{_cells(len(rows))} cannot be decrypted: {refusal.message}",
                hint=refusal.hint or "to save the rest, say what becomes of such cells with --on-error keep|null",
                rows=_first(rows),
            )
        raise Tampered(f"{_cells(len(failed))} failed authentication", hint=FAILED, rows=_first(failed))


@dataclass(frozen=True)
class ExpectNoCells:
    """Lets a column pass that held no value when it was looked at, unless cells turn up in it later."""

    key_ids: frozenset[bytes]

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Give the column as it is."""
        del rows
        if looks_encrypted(column, self.key_ids):
            raise Tampered(
                "encrypted cells come after many rows without any",
                hint="name the column with --columns, so that it is decrypted from the start",
            )
        return column


def sealed_texts(
    values: pa.StringArray, key: bytes, key_id: bytes, place: Place, plaintext: Plaintext
) -> pa.StringArray:
    """Give the deterministic cells of values, in base64: what to search a column for."""
    return seal_base64(values, key, key_id, place, deterministic=True, plaintext=plaintext)


def looks_encrypted(column: pa.Array, key_ids: frozenset[bytes]) -> bool:
    """Tell whether a column holds cells: one under a key that is known, or most values formed like cells."""
    present = len(column) - column.null_count
    found = count_by_key(column)
    return any(key_id in key_ids for key_id in found) or 2 * sum(found.values()) > present


def _may_hold_cells(kind: pa.DataType) -> bool:
    return is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _note(rows: Rows, column: str, count: int) -> None:
    note = getattr(rows, "note_failures", None)
    if note is not None:
        note(column, count)


def _first(rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[int, ...]:
    return tuple(rows[:MOST_ROWS_NAMED].tolist())


def _cells(count: int) -> str:
    return "a cell" if count == 1 else f"{count:,} cells"
