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
from pydp_cli.crypto.columns import Index
from pydp_cli.errors import BadValue, Tampered, WrongKey
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.cell_text import from_cell_text, to_cell_text
from pydp_cli.transforms.parse import MOST_ROWS_NAMED
from pydp_cli.transforms.registry import ColumnFunction, Rows
from pydp_cli.transforms.subject_cells import KeysByHandle, OpenedForPeople, open_for_people
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
        refuse_cells(column, frozenset({self.key_id}))
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


def refuse_cells(column: pa.Array, key_ids: frozenset[bytes]) -> None:
    """Refuse a column with cells: under these keys anywhere, or under any key in the first rows."""
    if _may_hold_cells(column.type) and (
        any(under_key(column, key_id).true_count for key_id in key_ids)
        or looks_encrypted(column.slice(0, _ROWS_LOOKED_AT), frozenset())
    ):
        raise BadValue("the column is encrypted already", hint="`pydp decrypt` it first, or leave it out")


@dataclass(frozen=True)
class Refusal:
    """Why a key cannot be used, and what to do about it."""

    message: str
    hint: str | None = None


@dataclass(frozen=True)
class DecryptCells:
    """Decrypts a column of cells, each with the key that it names.

    `keys` are the column's keys by key id; `refusals` say of the keys that cannot be used why. `gives` is the type
    that comes back. `people` gives the keys of people, or says why there are none.
    """

    column: str
    keys: Mapping[bytes, bytes] = field(repr=False)
    refusals: Mapping[bytes, Refusal]
    place: Place
    bind: tuple[Bound, ...]
    gives: pa.DataType
    on_error: OnError = "stop"
    people: KeysByHandle | Refusal | None = None

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Decrypt the column. Unless told otherwise, one bad cell fails all: raises `Tampered` or `WrongKey`."""
        unseal = open_base64 if is_text(column.type) else open_cells
        bound = [one.text(rows) for one in self.bind]
        opened = unseal(column, self.keys, self.place, bound)
        theirs = None
        if len(opened.failed):
            keys = None if isinstance(self.people, Refusal) else self.people
            theirs = open_for_people(column, opened.failed, keys, self.place, bound)
            opened = _with_theirs(opened, theirs)
        failed = np.concatenate([opened.failed, *_without_key(opened, theirs)])
        lost = len(failed)
        if lost and self.on_error == "stop":
            self._refuse(opened, theirs)
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
                every[failed] = True
                return pc.if_else(pa.array(every), column, values)
        return values

    def _refuse(self, opened: Opened, theirs: OpenedForPeople | None) -> NoReturn:
        """Name the first thing that is wrong: a key that is not at hand, before cells that are not authentic."""
        if theirs is not None:
            self._refuse_theirs(theirs)
        for key_id, rows in opened.unknown.items():
            refusal = self.refusals.get(key_id) or Refusal(
                f"key {key_id.hex()} is not in the keyring", "use the keyring that this was encrypted with"
            )
            raise WrongKey(
                f"{_cells(len(rows))} cannot be decrypted: {refusal.message}",
                hint=refusal.hint or "to save the rest, say what becomes of such cells with --on-error keep|null",
                rows=_first(rows),
            )
        failed = opened.failed
        raise Tampered(f"{_cells(len(failed))} failed authentication", hint=FAILED, rows=_first(failed))

    def _refuse_theirs(self, theirs: OpenedForPeople) -> None:
        """Refuse cells of people whose keys are not there any more, or not at hand."""
        for day, rows in sorted(theirs.gone.items()):
            raise WrongKey(
                f"{_cells(len(rows))} cannot be decrypted: their people were erased, and their keys destroyed on {day}",
                hint="to have the others, say what becomes of such cells with --on-error keep|null",
                rows=_first(rows),
            )
        if len(theirs.unknown):
            refusal = self.people if isinstance(self.people, Refusal) else _NOT_IN_STORE
            if self.people is None:
                refusal = _NO_STORE
            raise WrongKey(
                f"{_cells(len(theirs.unknown))} cannot be decrypted: {refusal.message}",
                hint=refusal.hint,
                rows=_first(theirs.unknown),
            )


_NO_STORE = Refusal(
    "they are under people's own keys, and there is no store of those", "name it with --subject-keys, or the policy"
)
_NOT_IN_STORE = Refusal(
    "the store of people's keys does not have theirs", "it may be another one, or a copy from before they were made"
)


def _with_theirs(opened: Opened, theirs: OpenedForPeople) -> Opened:
    """Put what was decrypted with people's keys among the rest."""
    if not len(theirs.rows):
        return opened
    order = np.full(len(opened.values), -1, dtype=np.int64)
    order[theirs.rows] = np.arange(len(theirs.rows)) + len(opened.values)
    order = np.where(order < 0, np.arange(len(order)), order)
    joined = pa.chunked_array([opened.values, theirs.values.cast(opened.values.type)]).combine_chunks()
    failed = np.union1d(np.setdiff1d(opened.failed, theirs.rows, assume_unique=True), theirs.failed)
    return Opened(joined.take(pa.array(order)), failed, opened.unknown)


def _without_key(opened: Opened, theirs: OpenedForPeople | None) -> list[Index]:
    """Give the rows whose keys are not at hand."""
    found = list(opened.unknown.values())
    return found if theirs is None else [*found, *theirs.gone.values(), theirs.unknown]


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


def _first(rows: Index) -> tuple[int, ...]:
    return tuple(rows[:MOST_ROWS_NAMED].tolist())


def _cells(count: int) -> str:
    return "a cell" if count == 1 else f"{count:,} cells"
