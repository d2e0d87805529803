"""A keyed 64-bit hash of whole columns: which person a row is of, without keeping who that is.

Multilinear hashing (Lemire, Kaser, "Strongly universal string hashing is fast", 2014): two independent sums of 32-bit
words times secret random 64-bit keys, of which the upper halves are kept. Any two different values collide with
probability 2^-64 over the keys, which are drawn afresh in each run and never leave it. Nothing of the hash is shown to
anyone, so universality is enough, and a cipher is not needed.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Words = npt.NDArray[np.uint64]


class PersonHash:
    """A hash function drawn at random, or that of a `seed`."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed = secrets.randbits(256) if seed is None else seed
        self._keys: list[Words] = []

    def of(self, column: pa.Array) -> Words:
        """Hash a text or integer column without nulls."""
        if pa.types.is_integer(column.type):
            numbers = column.cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False).view(np.uint64)
            low, high = numbers & np.uint64(0xFFFFFFFF), numbers >> np.uint64(32)
            return self._finish(self._add(self._add(self._empty(len(column)), 1, low), 2, high))
        return self._of_bytes(pc.cast(column, pa.large_binary()))

    def _of_bytes(self, column: pa.LargeBinaryArray) -> Words:
        rows = len(column)
        ends = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + rows + 1]
        held = column.buffers()[2]
        data = np.frombuffer(held, np.uint8)[ends[0] : ends[-1]] if held is not None else np.zeros(0, np.uint8)
        padded = np.concatenate([data, np.zeros(8, np.uint8)])
        starts, sizes = ends[:-1] - ends[0], np.diff(ends)
        state = self._add(self._empty(rows), 1, sizes.astype(np.uint64))
        words = np.ndarray((len(data) + 5,), np.uint32, padded, strides=(1,))
        masks = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF], np.uint32)
        for place in range(-(-int(sizes.max(initial=0)) // 4)):
            left = sizes - 4 * place
            if place and (left <= 0).any():  # the long ones alone
                some = np.flatnonzero(left > 0)
                part = words[starts[some] + 4 * place] & masks[np.minimum(left[some], 4)]
                state[:, some] = self._add(state[:, some], place + 2, part.astype(np.uint64))
            else:
                part = words[starts + 4 * place] & masks[np.clip(left, 0, 4)]
                state = self._add(state, place + 2, part.astype(np.uint64))
        return self._finish(state)

    def _empty(self, rows: int) -> Words:
        return np.repeat(self._key(0)[:, None], rows, axis=1)

    def _key(self, place: int) -> Words:
        while place >= len(self._keys):
            number = np.random.SeedSequence([self._seed, len(self._keys)])
            self._keys.append(np.random.Generator(np.random.PCG64(number)).integers(0, 1 << 64, 2, dtype=np.uint64))
        return self._keys[place]

    def _add(self, state: Words, place: int, words: Words) -> Words:
        state += self._key(place)[:, None] * words
        return state

    @staticmethod
    def _finish(state: Words) -> Words:
        hashed: Words = (state[0] & np.uint64(0xFFFFFFFF00000000)) | (state[1] >> np.uint64(32))
        return hashed
