"""Text columns whose values all have the same width, built from a matrix of bytes without a loop over the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bytes = npt.NDArray[np.uint8]

BASE32 = b"abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648, section 6, in lower case
_HEX = b"0123456789abcdef"
_TEN_BITS = np.frombuffer(bytes(c for high in BASE32 for low in BASE32 for c in (high, low)), np.uint16)
_EIGHT_BITS = np.frombuffer(bytes(c for high in _HEX for low in _HEX for c in (high, low)), np.uint16)


@dataclass(frozen=True)
class Nulls:
    """Where a column is null: a validity bitmap without an offset, or None where it is nowhere null."""

    bitmap: pa.Buffer | None
    count: int


def like(column: pa.Array) -> Nulls:
    """Give the nulls of a column, for a new column of the same length."""
    if column.null_count == 0:
        return Nulls(None, 0)
    source = column.buffers()[0]
    if source is not None and column.offset % 8 == 0:
        return Nulls(source.slice(column.offset // 8), column.null_count)
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return Nulls(pa.py_buffer(np.packbits(valid, bitorder="little")), column.null_count)


def fixed_text(cells: Bytes, nulls: Nulls) -> pa.StringArray:
    """Make a text column of `uint8[rows, width]`; the bytes must be valid UTF-8."""
    rows, width = cells.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32) if width else np.zeros(rows + 1, np.int32)
    return pa.StringArray.from_buffers(
        rows,
        pa.py_buffer(offsets),
        pa.py_buffer(np.ascontiguousarray(cells).reshape(-1)),
        nulls.bitmap,
        nulls.count,
    )


def base32(words: Bytes, characters: int) -> Bytes:
    """Write the first `5 * characters` bits of each row of `uint8[rows, 16]` as base32 digits, at most 24 of them.

    Two digits come from one look-up in a table of 1,024 pairs.
    """
    high, low = halves(words)
    pairs = -(-characters // 2)
    out = np.empty((len(words), pairs), np.uint16)
    for pair in range(pairs):
        end = 10 * (pair + 1)
        if end <= 64:
            bits = high >> np.uint64(64 - end)
        elif end >= 74:
            bits = low >> np.uint64(128 - end)
        else:
            bits = (high << np.uint64(end - 64)) | (low >> np.uint64(128 - end))
        out[:, pair] = _TEN_BITS[(bits & np.uint64(1023)).view(np.int64)]
    return out.view(np.uint8)[:, :characters]


def hexadecimal(words: Bytes, characters: int) -> Bytes:
    """Write the first `4 * characters` bits of each row of `uint8[rows, 16]` as hexadecimal digits."""
    used = np.ascontiguousarray(words[:, : -(-characters // 2)])
    return _EIGHT_BITS[used].view(np.uint8)[:, :characters]


def halves(words: Bytes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Read each row of `uint8[rows, 16]` as two big-endian numbers of 64 bits."""
    pairs = np.ascontiguousarray(words).view(">u8").astype(np.uint64)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
