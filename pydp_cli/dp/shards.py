"""Rows scattered over shards by person, so that each shard can be bounded alone: in memory, then encrypted on disk.

What does not fit in memory is appended to one file without a name, encrypted with AES-256 in counter mode under a key
that exists in this process only: no personal data is ever on disk in the clear, and a kill leaves nothing behind.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Ints = npt.NDArray[np.int64]

SHARD_BITS = 6
MEMORY_BYTES = 96 << 20
"""How much is held before it is written out."""


class Shards:
    """The rows of all batches, by shard; each row is a person's hash, a group and the features."""

    def __init__(self, width: int, folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self._width, self._folder, self._memory_bytes = width, folder, memory_bytes
        self._held: list[list[Ints]] = [[] for _ in range(1 << SHARD_BITS)]
        self._held_bytes = 0
        self._spilled: list[list[tuple[int, int]]] = [[] for _ in range(1 << SHARD_BITS)]
        self._file = -1
        self._end = 0
        self._key, self._nonce = secrets.token_bytes(32), secrets.token_bytes(8)

    def add(self, rows: Ints) -> None:
        """Scatter rows over the shards."""
        if len(rows) == 0:
            return
        shard = (rows[:, 0].view(np.uint64) >> np.uint64(64 - SHARD_BITS)).astype(np.uint8)
        order = np.argsort(shard, kind="stable")
        scattered = rows[order]
        ends = np.cumsum(np.bincount(shard, minlength=1 << SHARD_BITS))
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if end > start:
                self._held[number].append(scattered[start:end])
        self._held_bytes += rows.nbytes
        if self._held_bytes > self._memory_bytes:
            self._spill()

    def __iter__(self) -> Iterator[Ints]:
        """Give the rows of one shard after the other, and let go of each."""
        for number, held in enumerate(self._held):
            parts = [self._load(offset, size) for offset, size in self._spilled[number]]
            yield np.concatenate([*parts, *held, np.empty((0, self._width), np.int64)])
            held.clear()

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _spill(self) -> None:
        if self._file < 0:
            self._file, name = tempfile.mkstemp(dir=self._folder, prefix=".pydp-")
            Path(name).unlink()
        for number, held in enumerate(self._held):
            if not held:
                continue
            plain = np.concatenate(held)
            held.clear()
            sealed = self._crypt(plain.data.cast("B"), self._end)
            written = 0
            while written < len(sealed):
                written += os.pwrite(self._file, sealed[written:], self._end + written)
            self._spilled[number].append((self._end, len(sealed)))
            self._end += -(-len(sealed) // 16) * 16
        self._held_bytes = 0

    def _load(self, offset: int, size: int) -> Ints:
        sealed = bytearray(size)
        if os.preadv(self._file, [sealed], offset) != size:
            raise OSError("the scratch file is cut short")
        plain = self._crypt(memoryview(sealed), offset)
        return np.frombuffer(plain, np.int64).reshape(-1, self._width)

    def _crypt(self, data: memoryview, offset: int) -> bytes:
        """Encrypt or decrypt what is at an offset: the counter is its place in the file, so none is used twice."""
        counter = self._nonce + (offset // 16).to_bytes(8, "big")
        return Cipher(algorithms.AES(self._key), modes.CTR(counter)).encryptor().update(data)
