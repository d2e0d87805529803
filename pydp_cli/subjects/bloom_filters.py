"""Ask the bloom filters of Parquet files: whether a value may be in a row group, and whether one is that no row has.

The format is that of parquet-format, BloomFilter.md: split blocks of 256 bits, XXH64, not compressed. A value sets one
bit in each of the eight words of a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.thrift_compact import Reader
from pydp_cli.subjects.xxh64 import xxh64

MOST_BYTES = 32 << 20
_SALTS = np.array(
    [0x47B6137B, 0x44974D91, 0x8824AD5B, 0xA2B7289D, 0x705495C7, 0x2DF1424B, 0x9EFC4947, 0x5C6BFB31], np.uint32
)
_FALSE_POSITIVES = 1e-6  # of a filter that is made to compare with: the writer folds it while it stays under that
_BITS_PER_VALUE = -8 / math.log(1 - _FALSE_POSITIVES ** (1 / 8))

ReadAt = Callable[[int, int], bytes]
"""Give so many bytes of the file from a position on."""
Blocks = npt.NDArray[np.uint32]
"""A filter: eight words for each of its blocks."""
Digests = npt.NDArray[np.uint64]
"""Of values, as they are stored."""


@dataclass(frozen=True)
class Stale:
    """A filter says that something is in a row group, and no row is why.

    It says so of `false_positives` of all values. `certain` is whether all that it says too much is what was asked for.
    """

    certain: bool
    false_positives: float


def blocks_of(chunk: Any, read_at: ReadAt) -> Blocks | None:
    """Read the filter of a column chunk; None where there is none, or one of another kind.

    Raises `NotThrift` and errors of the kinds that damage brings: `LookupError`, `TypeError`, `ValueError`, `OSError`.
    """
    offset, length = chunk.bloom_filter_offset, chunk.bloom_filter_length
    if offset is None or not length or length > MOST_BYTES:
        return None
    data = read_at(offset, length)
    reader = Reader(data)
    header = reader.struct()
    is_known = all(set(header[field]) == {1} for field in (2, 3, 4))
    if not is_known or header[1] < 32:
        return None
    return np.frombuffer(data, "<u4", offset=reader.at, count=header[1] // 32 * 8).reshape(-1, 8)


def has(blocks: Blocks, digests: Digests) -> npt.NDArray[np.bool_]:
    """Tell for each value whether it may be there."""
    masks = _masks(digests)
    return np.asarray(((blocks[_places(blocks, digests)] & masks) == masks).all(axis=1))


def _places(blocks: Blocks, digests: Digests) -> npt.NDArray[np.int64]:
    places: npt.NDArray[np.int64] = (digests >> np.uint64(32)) * np.uint64(len(blocks)) >> np.uint64(32)
    return places.astype(np.int64)


def _masks(digests: Digests) -> Blocks:
    low = digests.astype(np.uint32)
    masks: Blocks = np.left_shift(np.uint32(1), (low[:, None] * _SALTS) >> np.uint32(27), dtype=np.uint32)
    return masks


def stale(blocks: Blocks, digests: Digests, column: pa.ChunkedArray) -> Stale | None:
    """Tell whether a filter says of any value that it is in a row group, though it is not for the rows that it has.

    `column` is what the row group has. It says so rightly, or by the accident that comes of the values that are there,
    where a new filter of the rows says so as well.
    """
    if not has(blocks, digests).any():
        return None
    new = _made_of(column, len(blocks))
    if new is None or len(blocks) % len(new):
        return None
    folded = _folded(blocks, len(new))
    asked = digests[has(folded, digests) & has(blocks, digests)]
    left = asked[~has(new, asked)]
    if not len(left):
        return None
    filled = float(np.bitwise_count(blocks).sum()) / (32 * blocks.size)
    explained = new.copy()
    np.bitwise_or.at(explained, _places(new, left), _masks(left))
    return Stale(not (folded & ~explained).any(), filled**8)


def _folded(blocks: Blocks, size: int) -> Blocks:
    """Put neighbouring blocks together until there are so many: what was in one of them is in both."""
    folded: Blocks = np.bitwise_or.reduce(blocks.reshape(size, -1, 8), axis=1)
    return folded


def _made_of(column: pa.ChunkedArray, size: int) -> Blocks | None:
    """Make a filter of a column, of so many blocks or fewer."""
    values = math.floor(0.75 * size * 256 / _BITS_PER_VALUE)
    out = pa.BufferOutputStream()
    filters = {"c": {"ndv": max(1, values), "fpp": _FALSE_POSITIVES}}
    with pq.ParquetWriter(out, pa.schema([("c", column.type)]), bloom_filter_options=filters) as writer:
        writer.write_table(pa.table({"c": column}), row_group_size=max(1, len(column)))
    data = out.getvalue().to_pybytes()
    chunk = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(0)
    return blocks_of(chunk, lambda at, length: data[at : at + length])


def digests_of(values: Sequence[bytes]) -> Digests:
    """Hash values as they are stored."""
    return np.array([xxh64(value) for value in values], np.uint64)
