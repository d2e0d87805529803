"""Cells under people's own keys back into values: what `decrypt` does where it is `per_subject`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pydp_cli.crypto import base64_column
from pydp_cli.crypto.cells import Place
from pydp_cli.crypto.subject_cells import open_subject_cells, subject_cells
from pydp_cli.transforms.types import is_text

Index = npt.NDArray[np.int64]


class Found(Protocol):
    """Keys by handle, and the days on which others were destroyed."""

    @property
    def keys(self) -> Mapping[bytes, bytes]:
        """The keys that live."""
        ...

    @property
    def gone(self) -> Mapping[bytes, str]:
        """The days on which others were destroyed."""
        ...


class KeysByHandle(Protocol):
    """What gives the keys that cells name."""

    @property
    def store(self) -> bytes:
        """The id of the store, which cells name."""
        ...

    def open(self, handles: Sequence[bytes]) -> Found:
        """Give the keys."""
        ...


@dataclass(frozen=True)
class OpenedForPeople:
    """What was decrypted of some rows: the values of `rows`, and the rows that were not, each for its reason.

    `gone` has the rows of each day on which keys were destroyed, `unknown` those whose key no store has.
    """

    rows: Index
    values: pa.BinaryArray = field(repr=False)
    failed: Index
    gone: Mapping[str, Index]
    unknown: Index


def open_for_people(
    column: pa.Array, among: Index, keys: KeysByHandle | None, place: Place, bound: Sequence[pa.StringArray]
) -> OpenedForPeople:
    """Decrypt those cells among some rows of a column that are under people's keys."""
    picked = pa.array(among)
    part = column.take(picked)
    found = subject_cells(base64_column.decode(part)[0] if is_text(part.type) else part)
    rows = among[found.rows]
    asked = (
        []
        if keys is None
        else [handle for store, handle in zip(found.stores, found.handles, strict=True) if store == keys.store]
    )
    opened = keys.open(asked) if keys is not None and asked else None
    by_handle = {} if opened is None else opened.keys
    values, failed = open_subject_cells(found, by_handle, place, [one.take(picked) for one in bound])
    days: dict[str, list[int]] = {}
    unknown: list[int] = []
    for row, handle in zip(rows.tolist(), found.handles, strict=True):
        if handle in by_handle:
            continue
        day = None if opened is None else opened.gone.get(handle)
        (unknown if day is None else days.setdefault(day, [])).append(row)
    gone = {day: np.array(of_day, np.int64) for day, of_day in days.items()}
    return OpenedForPeople(rows, values, rows[failed], gone, np.array(unknown, np.int64))
