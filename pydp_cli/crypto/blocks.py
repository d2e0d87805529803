"""Values as 16-byte blocks: rows grouped by how many they have, loaded and stored in one NumPy step a group.

A group of values with k blocks is loaded as items of 16·k bytes from any byte position, by viewing the data as an array
of overlapping items. What is loaded past a value's end is masked away; what is stored past it lies where something
else is stored later. That is what makes ciphers over a column fast in Python: a step costs the same for any width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pydp_cli.crypto.columns import Bytes, Index

BLOCK = 16
LONG_BLOCKS = 64
"""Values of more blocks than this are left to the library, cell by cell: its cost for a call no longer counts there."""
GROUP_BLOCKS = 65_536
"""Blocks that are worked on at a time: a megabyte, which bounds memory; fewer cost more calls than the cache saves."""

Words = npt.NDArray[np.uint64]
Items = npt.NDArray[np.void]


class BlockCipher:
    """The AES block function over many blocks at once (ECB as a building block, never as a mode for values)."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        # ECB of independent blocks is the bare block function that CMAC, CTR and FF1 are defined on
        self._encryptor: Any = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305

    def one(self, block: bytes) -> bytes:
        """Encrypt one block."""
        encrypted: bytes = self._encryptor.update(block)
        return encrypted

    def encrypt(self, blocks: Words) -> Words:
        """Encrypt blocks given as words `[n, 2]`."""
        if not len(blocks):
            return blocks
        out = np.empty((len(blocks) + 1, 2), dtype=np.uint64)  # one block more, as OpenSSL's interface asks for
        self._encryptor.update_into(np.ascontiguousarray(blocks).data.cast("B"), out.data.cast("B"))
        return out[:-1]


def block_counts(lengths: Index) -> Index:
    """Give the number of 16-byte blocks of each value; an empty value has none."""
    return (lengths + (BLOCK - 1)) >> 4


def groups(counts: Index) -> Iterator[tuple[int, Index | slice]]:
    """Give each number of blocks with its rows in ascending order; all beyond LONG_BLOCKS together, as one more."""
    if not len(counts):
        return
    fewest, most = int(counts.min()), min(int(counts.max()), LONG_BLOCKS + 1)
    if fewest >= most:
        yield most, slice(0, len(counts))
        return
    counts = np.minimum(counts, LONG_BLOCKS + 1)
    for count in np.flatnonzero(np.bincount(counts)):
        yield int(count), np.flatnonzero(counts == count)


def worth_a_kernel(count: int, rows: int) -> bool:
    """Tell whether so many rows of `count` blocks are faster treated together than one by one.

    Together they cost some ten NumPy calls for each block position, one by one a call of the library for each row.
    """
    return count <= LONG_BLOCKS and rows >= 8 * count + 40


def parts(count: int, rows: Index | slice, size: int) -> Iterator[Index | slice]:
    """Cut the rows of a group (`size` of them) so that their blocks fit the cache."""
    step = max(BLOCK, GROUP_BLOCKS // (count + 1))
    for first in range(0, size, step):
        last = min(first + step, size)
        yield slice(first, last) if isinstance(rows, slice) else rows[first:last]


def _even_step(starts: Index) -> int:
    """Give the distance of values that lie at equal distances; 0 where they do not."""
    if len(starts) < 2:
        return 0
    step = int(starts[1] - starts[0])
    if step <= 0 or int(starts[-1] - starts[0]) != step * (len(starts) - 1):
        return 0
    return step if bool((np.diff(starts) == step).all()) else 0


def _items(data: Bytes, width: int, *, first: int, step: int, count: int) -> Items:
    items: Items = np.ndarray(shape=(count,), dtype=f"V{width}", buffer=data.data, offset=first, strides=(step,))
    return items


def gather(data: Bytes, starts: Index, width: int) -> Bytes:
    """Load `width` bytes from each start, `[n, width]`; bytes past the end of the data are zero."""
    room = len(data) - width
    if not len(starts):
        return np.zeros((0, width), dtype=np.uint8)
    if int(starts.max()) > room:
        return _gather_at_the_end(data, starts, width)
    step = _even_step(starts)
    if step:
        picked = _items(data, width, first=int(starts[0]), step=step, count=len(starts)).copy()
    else:
        picked = _items(data, width, first=0, step=1, count=room + 1)[starts]
    rows: Bytes = picked.view(np.uint8).reshape(-1, width)
    return rows


def _gather_at_the_end(data: Bytes, starts: Index, width: int) -> Bytes:
    """Load values of which the last few start so late that a whole item does not fit before the end."""
    room = len(data) - width
    late = starts > room
    if room < 0:
        out = np.zeros((len(starts), width), dtype=np.uint8)
    else:
        out = gather(data, np.minimum(starts, room), width)
        out[late] = 0
    for row in np.flatnonzero(late & (starts < len(data))):  # the others are empty
        piece = data[int(starts[row]) :]
        out[row, : len(piece)] = piece
    return out


def scatter(out: Bytes, starts: Index, rows: Bytes) -> None:
    """Store rows `[n, width]` at ascending starts, one after the other: a later row wins where they overlap."""
    width = rows.shape[1]
    if not len(starts) or not width:
        return
    step = _even_step(starts)
    if step:
        # stored without their overlaps; the last row is stored whole
        part = min(step, width)
        source = _items(rows.reshape(-1), part, first=0, step=width, count=len(rows))
        _items(out, part, first=int(starts[0]), step=step, count=len(rows))[:] = source
        out[int(starts[-1]) : int(starts[-1]) + width] = rows[-1]
        return
    # NumPy assigns in the order of the index, which the self-test proves again in every process
    _items(out, width, first=0, step=1, count=len(out) - width + 1)[starts] = rows.view(f"V{width}").reshape(-1)


def split(rows: Bytes, first: int, count: int) -> list[Words]:
    """Give `count` blocks of rows `[n, width]` from byte `first` on, each as contiguous words `[n, 2]`."""
    flat, width = rows.reshape(-1), rows.shape[1]
    return [
        as_words(_items(flat, BLOCK, first=first + BLOCK * place, step=width, count=len(rows)).copy())
        for place in range(count)
    ]


def put(rows: Bytes, first: int, blocks: list[Words]) -> None:
    """Set blocks of rows `[n, width]` from byte `first` on."""
    flat, width = rows.reshape(-1), rows.shape[1]
    for place, block in enumerate(blocks):
        _items(flat, BLOCK, first=first + BLOCK * place, step=width, count=len(rows))[:] = as_items(block)


def pick(blocks: Words, rows: Index) -> Words:
    """Give some of the rows `[n, 2]`: as whole items, which NumPy moves eight times faster than rows."""
    return as_words(as_items(blocks)[rows])


def as_words(items: Items | Bytes) -> Words:
    """View contiguous blocks as two 64-bit words each, in the machine's byte order."""
    return items.view(np.uint64).reshape(-1, 2)


def as_items(words: Words) -> Items:
    """View two words each as 16-byte items."""
    return np.ascontiguousarray(words).view("V16").reshape(-1)


_STEPS = np.arange(BLOCK)
KEEP = as_words(np.where(_STEPS[None, :] < np.arange(BLOCK + 1)[:, None], 0xFF, 0).astype(np.uint8))
"""Row r keeps the first r bytes of a block and clears the others."""
PAD = as_words(np.where(_STEPS[None, :] == np.arange(BLOCK + 1)[:, None], 0x80, 0).astype(np.uint8))
"""Row r holds the padding byte 0x80 at position r; row 16 holds nothing."""
