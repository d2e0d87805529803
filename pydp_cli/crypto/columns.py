"""A text or binary column as bytes in memory: where each value starts, how long it is, and which are null."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import UnsupportedType

BATCH_ROWS = 16_384
"""Rows that are looked at together: enough of each length to be worth a kernel, and their blocks fit the cache."""

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]
Valid = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int32] | npt.NDArray[np.int64]


@dataclass(frozen=True)
class Values:
    """Some values: row i is `data[starts[i] : starts[i] + lengths[i]]`; null rows have length 0."""

    data: Bytes
    starts: Index
    lengths: Index
    valid: Valid | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def value(self, row: int) -> bytes:
        """Give one value."""
        start = int(self.starts[row])
        return self.data[start : start + int(self.lengths[row])].tobytes()

    def spans(self, rows: Index) -> Iterator[tuple[int, int, int]]:
        """Give for each of some rows itself, and where it begins and ends in the data."""
        starts = self.starts[rows]
        return zip(rows.tolist(), starts.tolist(), (starts + self.lengths[rows]).tolist(), strict=True)

    def take(self, rows: Index | slice) -> Values:
        """Give some of the rows, none of which is null."""
        return Values(self.data, self.starts[rows], self.lengths[rows])


@dataclass(frozen=True)
class Cells:
    """A whole column, without a copy of it: Arrow's data and offsets.

    Where there are `lengths`, values end before the next one begins.
    """

    data: Bytes
    offsets: Offsets
    valid: Valid | None
    lengths: Index | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def size(self) -> int:
        """Bytes between the first and the last offset: at least those of all values."""
        return int(self.offsets[-1]) - int(self.offsets[0])

    def batch(self, place: slice) -> Values:
        """Give the rows from `place.start` to `place.stop`."""
        offsets = self.offsets[place.start : place.stop + 1].astype(np.int64)
        lengths = np.diff(offsets) if self.lengths is None else self.lengths[place]
        if self.valid is None:
            return Values(self.data, offsets[:-1], lengths)
        valid = self.valid[place]
        return Values(self.data, offsets[:-1], np.where(valid, lengths, 0), valid)

    def batches(self) -> Iterator[tuple[slice, Values]]:
        """Cut the column into batches, each with its place in the column."""
        for first in range(0, len(self), BATCH_ROWS):
            place = slice(first, min(first + BATCH_ROWS, len(self)))
            yield place, self.batch(place)


def cells_of(column: pa.Array) -> Cells:
    """Look at a text or binary column (also a slice, a large or a dictionary one) as bytes."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        return cells_of(column.dictionary_decode())
    if pa.types.is_string_view(kind):
        return cells_of(pc.cast(column, pa.string()))
    if pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return cells_of(pc.cast(column, pa.binary()))
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        wide = False
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        wide = True
    else:
        raise UnsupportedType(f"a text or binary column is needed, not {kind}")
    count = len(column)
    _, offset_buffer, data_buffer = column.buffers()
    data = np.zeros(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, dtype=np.uint8)
    if count == 0 or offset_buffer is None:
        return Cells(data, np.zeros(1, dtype=np.int64), None)
    place = slice(column.offset, column.offset + count + 1)
    offsets: Offsets = (
        np.frombuffer(offset_buffer, dtype=np.int64)[place]
        if wide
        else np.frombuffer(offset_buffer, dtype=np.int32)[place]
    )
    valid = None
    if column.null_count:
        valid = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
    return Cells(data, offsets, valid)


def offsets_of(lengths: Index) -> Index:
    """Give where each of contiguous values starts, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def binary_array(offsets: Index, data: Bytes, valid: Valid | None, *, text: bool = False) -> pa.Array:
    """Make a column of contiguous values; a large one where 32-bit offsets cannot hold it."""
    size = int(offsets[-1])
    if size < 2**31:
        kind, narrowed = (pa.string() if text else pa.binary()), pa.py_buffer(offsets.astype(np.int32))
    else:
        kind, narrowed = (pa.large_string() if text else pa.large_binary()), pa.py_buffer(offsets)
    mask = None
    nulls = 0
    if valid is not None:
        mask = pa.py_buffer(np.packbits(valid, bitorder="little"))
        nulls = int(len(valid) - np.count_nonzero(valid))
    buffers = [mask, narrowed, pa.py_buffer(data[:size])]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers, null_count=nulls)
