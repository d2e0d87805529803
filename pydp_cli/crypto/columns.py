"""A text or binary column as bytes in memory: where each value starts, how long it is, and 16-byte loads and stores.

A block is loaded from, or stored to, any byte position in one NumPy fancy-indexing step, by viewing the buffer as an
array of overlapping 16-byte items. That is what makes ciphers over a column fast in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import UnsupportedType

BLOCK = 16
BATCH_ROWS = 4096
"""Rows that are worked on at a time: their blocks stay in the processor's cache."""
LONG_BLOCKS = 64
"""Values of more blocks than this take the per-cell path, so that one long value does not pad a whole batch."""

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Values:
    """The values of a column: `data` holds them all and at least 16 spare bytes; null rows have length 0."""

    data: Bytes
    starts: Index
    lengths: Index
    valid: npt.NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.starts)

    def slices(self) -> Iterator[tuple[slice, Values]]:
        """Cut the values into batches that fit the cache, each with its place in the column."""
        for first in range(0, len(self), BATCH_ROWS):
            place = slice(first, min(first + BATCH_ROWS, len(self)))
            valid = None if self.valid is None else self.valid[place]
            yield place, Values(self.data, self.starts[place], self.lengths[place], valid)

    def value(self, row: int) -> bytes:
        """Give one value."""
        start = int(self.starts[row])
        return self.data[start : start + int(self.lengths[row])].tobytes()


def values_of(column: pa.Array) -> Values:
    """Look at a text or binary column (also a slice, a large or a dictionary one) as bytes."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        return values_of(column.dictionary_decode())
    if pa.types.is_string_view(kind) or pa.types.is_fixed_size_binary(kind):
        return values_of(pc.cast(column, pa.string() if pa.types.is_string_view(kind) else pa.binary()))
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        width: type[np.int32 | np.int64] = np.int32
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        width = np.int64
    else:
        raise UnsupportedType(f"a text or binary column is needed, not {kind}")
    count = len(column)
    _, offset_buffer, data_buffer = column.buffers()
    if count == 0 or offset_buffer is None:
        nothing = np.zeros(0, dtype=np.int64)
        return Values(np.zeros(BLOCK, dtype=np.uint8), nothing, nothing, None)
    offsets = np.frombuffer(offset_buffer, dtype=width)[column.offset : column.offset + count + 1].astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    raw = np.zeros(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, dtype=np.uint8)
    data = raw[first:] if len(raw) - last >= BLOCK else np.concatenate([raw[first:last], np.zeros(BLOCK, np.uint8)])
    starts = offsets[:-1] - first
    lengths = np.diff(offsets)
    valid = None
    if column.null_count:
        valid = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
        lengths = np.where(valid, lengths, 0)
    return Values(data, starts, lengths, valid)


def loads(data: Bytes) -> npt.NDArray[np.void]:
    """View a buffer so that item i is the 16 bytes from position i."""
    items: npt.NDArray[np.void] = np.ndarray(
        shape=(max(0, len(data) - BLOCK + 1),), dtype="V16", buffer=data.data, strides=(1,)
    )
    return items


def block_counts(lengths: Index) -> Index:
    """Give the number of 16-byte blocks of each value; an empty value has none."""
    return (lengths + (BLOCK - 1)) // BLOCK


def as_words(blocks: npt.NDArray[np.void] | Bytes) -> Words:
    """View contiguous blocks as two 64-bit words each, in the machine's byte order."""
    return np.ascontiguousarray(blocks).view(np.uint64).reshape(-1, 2)


def as_blocks(words: Words) -> npt.NDArray[np.void]:
    """View two words each as 16-byte items."""
    return np.ascontiguousarray(words).view("V16").reshape(-1)


def binary_array(lengths: Index, data: Bytes, valid: npt.NDArray[np.bool_] | None) -> pa.BinaryArray:
    """Make a binary column of contiguous values; large where 32-bit offsets cannot hold it."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    kind, width = (pa.binary(), np.int32) if offsets[-1] < 2**31 else (pa.large_binary(), np.int64)
    mask = None
    nulls = 0
    if valid is not None:
        mask = pa.py_buffer(np.packbits(valid, bitorder="little"))
        nulls = int(len(valid) - valid.sum())
    buffers = [mask, pa.py_buffer(offsets.astype(width)), pa.py_buffer(data[: offsets[-1]])]
    return pa.Array.from_buffers(kind, len(lengths), buffers, null_count=nulls)


_STEPS = np.arange(BLOCK)
KEEP = as_words(np.where(_STEPS[None, :] < np.arange(BLOCK + 1)[:, None], 0xFF, 0).astype(np.uint8))
"""Row r keeps the first r bytes of a block and clears the others."""
PAD = as_words(np.where(_STEPS[None, :] == np.arange(BLOCK + 1)[:, None], 0x80, 0).astype(np.uint8))
"""Row r holds the padding byte 0x80 at position r; row 16 holds nothing."""
