"""Rows scattered over shards by person, so that each shard can be bounded alone: in memory, then encrypted on disk.

What does not fit in memory is appended to one file without a name, encrypted with AES-256 in counter mode under a key
that exists in this run's processes only: no personal data is ever on disk in the clear, and a kill leaves nothing
behind. A store is made before workers are forked, and what one of them adds all others can read.
"""

from __future__ import annotations

import mmap
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Ints = npt.NDArray[np.int64]
Extents = npt.NDArray[np.int64]
"""For each shard, where its rows of one batch lie in a store: the first byte, and how many."""

SHARD_BITS = 6
SHARDS = 1 << SHARD_BITS
MEMORY_BYTES = 96 << 20
"""How much is held before it is written out."""
_BLOCK = 16


class Store:
    """Bytes by address: the first ones are shared memory, those after it lie encrypted in a file."""

    def __init__(self, folder: Path, memory_bytes: int, *, shared: bool) -> None:
        self._memory = mmap.mmap(-1, max(mmap.PAGESIZE, memory_bytes))
        self._memory_bytes = memory_bytes
        self._folder, self._file = folder, -1
        if shared:  # a file that a worker opened would be its own
            self._open()
        self._key, self._nonce = secrets.token_bytes(32), secrets.token_bytes(8)
        self._end = 0

    def append(self, rows: Ints) -> int:
        """Keep rows, all in memory or all in the file, and give their address."""
        plain = rows.data.cast("B")
        at = self._end
        if at < self._memory_bytes:
            if at + len(plain) <= self._memory_bytes:
                self._memory[at : at + len(plain)] = plain
                self._end = at + -(-len(plain) // _BLOCK) * _BLOCK
                return at
            at = -(-self._memory_bytes // _BLOCK) * _BLOCK
        if self._file < 0:
            self._open()
        sealed = self._crypt(plain, at)
        written = 0
        while written < len(sealed):
            written += os.pwrite(self._file, sealed[written:], at - self._memory_bytes + written)
        self._end = at + -(-len(sealed) // _BLOCK) * _BLOCK
        return at

    def read(self, at: int, size: int) -> Ints:
        """Give what lies at an address, as one row of integers."""
        if at < self._memory_bytes:
            return np.frombuffer(self._memory, np.int64, size // 8, at)
        first = at // _BLOCK * _BLOCK
        sealed = bytearray(at + size - first)
        if os.preadv(self._file, [sealed], first - self._memory_bytes) != len(sealed):
            raise OSError("the scratch file is cut short")
        return np.frombuffer(self._crypt(memoryview(sealed), first), np.int64, size // 8, at - first)

    def close(self) -> None:
        """Let go of the file; the memory goes with the last who reads it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self._file, name = tempfile.mkstemp(dir=self._folder, prefix=".pydp-")
        Path(name).unlink()

    def _crypt(self, data: memoryview, at: int) -> bytes:
        """Encrypt or decrypt what is at an address: the counter is the address, so none is used twice."""
        counter = self._nonce + (at // _BLOCK).to_bytes(8, "big")
        return Cipher(algorithms.AES(self._key), modes.CTR(counter)).encryptor().update(data)


class Shards:
    """The rows of all batches, by shard; each row is a person's hash, a group and the features.

    There is a store for each process that adds rows. Rows come back in the order in which their extents were noted,
    so that a shard is the same array whoever scattered its rows.
    """

    def __init__(self, width: int, folder: Path, memory_bytes: int = MEMORY_BYTES, *, stores: int = 1) -> None:
        self._width = width
        self._stores = [Store(folder, memory_bytes // stores, shared=stores > 1) for _ in range(stores)]
        self._noted: list[tuple[int, Extents]] = []

    def scatter(self, rows: Ints, store: int = 0) -> Extents:
        """Keep rows in a store, those of one shard beside each other."""
        shard = (rows[:, 0].view(np.uint64) >> np.uint64(64 - SHARD_BITS)).astype(np.uint8)
        sizes = np.bincount(shard, minlength=SHARDS) * (8 * self._width)
        at = self._stores[store].append(rows[np.argsort(shard, kind="stable")])
        return np.stack([at + np.cumsum(sizes) - sizes, sizes], axis=1)

    def note(self, extents: Extents, store: int = 0) -> None:
        """Remember where the rows of a batch are."""
        self._noted.append((store, extents))

    def add(self, rows: Ints) -> None:
        """Scatter rows over the shards, and remember where they are."""
        if len(rows):
            self.note(self.scatter(rows))

    def shard(self, number: int, groups: Sequence[Ints | None] = ()) -> Ints:
        """Give the rows of one shard. `groups` has, for each store, what its group numbers stand for, if anything."""
        parts = [np.empty((0, self._width), np.int64)]
        for store, extents in self._noted:
            at, size = extents[number].tolist()
            if size == 0:
                continue
            part = self._stores[store].read(at, size).reshape(-1, self._width)
            places = groups[store] if groups else None
            if places is not None:
                part = part.copy()
                part[:, 1] = places[part[:, 1]]
            parts.append(part)
        return np.concatenate(parts)

    def __iter__(self) -> Iterator[Ints]:
        """Give the rows of one shard after the other."""
        return map(self.shard, range(SHARDS))

    def close(self) -> None:
        """Let go of the files."""
        for store in self._stores:
            store.close()
