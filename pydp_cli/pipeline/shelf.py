"""Take encoded pieces back from forked workers through shared memory, so that no pipe carries the data.

Each task that is under way has a shelf. What does not fit on it, or is not bytes, goes through the pool's pipes.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

SHELF_BYTES = 64 << 20
"""The size of a shelf. Pages that nothing is written to take no memory."""


@dataclass(frozen=True)
class Place:
    """Where a piece lies on a shelf, in bytes."""

    first: int
    end: int


def make_shelves(count: int) -> list[mmap.mmap]:
    """Reserve memory that is shared with the processes forked afterwards."""
    return [mmap.mmap(-1, SHELF_BYTES) for _ in range(count)]


def lay_down(pieces: Sequence[Any], shelf: mmap.mmap) -> list[Any]:
    """Copy what is bytes to the shelf, and give places in its stead. Overwrites what lay there."""
    left: list[Any] = []
    at = 0
    for piece in pieces:
        size = len(piece) if isinstance(piece, (bytes, pa.Buffer)) else None
        if size is None or at + size > len(shelf):
            left.append(piece)
            continue
        shelf[at : at + size] = memoryview(piece).cast("B")
        left.append(Place(at, at + size))
        at += size
    return left


def pick_up(pieces: Sequence[Any], shelf: mmap.mmap) -> list[Any]:
    """Give the pieces themselves; those on the shelf may be used until something else is laid there."""
    return [memoryview(shelf)[piece.first : piece.end] if isinstance(piece, Place) else piece for piece in pieces]
