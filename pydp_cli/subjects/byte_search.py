"""Tell whether any of many texts stands in some bytes, without looking for each of them in turn.

Four bytes of each, where they differ most, are noted in a table; every position of the bytes is looked up in it at
once, where it says yes eight bytes are, and only where these are there are all compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_GRAM, _LONG_GRAM = 4, 8
_BITS = 20
_MULTIPLIER = np.uint32(0x9E3779B1)  # 2^32 divided by the golden ratio: Knuth's multiplicative hashing
_ALNUM = np.array([chr(code).isascii() and chr(code).isalnum() for code in range(256)])
_LOOKED_AT = 1000
"""So many of the needles tell where they differ most."""

Places = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class ByteSearch:
    """What is sought, in groups that share a byte: where that is missing, nothing of the group can be."""

    groups: tuple[_Group, ...]

    @classmethod
    def of(cls, words: Iterable[bytes], phrases: Iterable[bytes] = ()) -> ByteSearch:
        """Seek words, which begin after anything but a letter or digit, and phrases, which begin anywhere.

        Raises `ValueError` for one of less than four bytes.
        """
        groups: dict[tuple[bytes, bool], list[bytes]] = {}
        for is_word, needles in ((True, words), (False, phrases)):
            for needle in needles:
                groups.setdefault((_mark(needle), is_word), []).append(needle)
        return cls(tuple(_Group.of(mark, needles, is_word=is_word) for (mark, is_word), needles in groups.items()))

    def may_be_in(self, raw: bytes, *, side_by_side: bool = False) -> bool:
        """Tell whether any of them is in some bytes.

        Texts may stand `side_by_side`, with nothing between them: then a word may begin after a letter, too.
        """
        groups = [group for group in self.groups if group.mark in raw]
        hashes = _hashes(raw) if groups else None
        return hashes is not None and any(group.is_in(raw, hashes, anywhere=side_by_side) for group in groups)


@dataclass(frozen=True)
class _Group:
    """Needles that all have `mark`; `table` says which hashes their four bytes from `at` on have.

    `begins` are up to eight bytes from there, sorted, of which numbers hold the bits of `mask`.
    """

    mark: bytes
    is_word: bool
    at: int
    table: npt.NDArray[np.bool_] = field(repr=False)
    begins: npt.NDArray[np.uint64] = field(repr=False)
    mask: np.uint64
    needles: frozenset[bytes] = field(repr=False)
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, mark: bytes, needles: Collection[bytes], *, is_word: bool) -> _Group:
        shortest = min(map(len, needles))
        if shortest < _GRAM:
            raise ValueError("what is sought is too short")
        some = sorted(needles)[:: 1 + len(needles) // _LOOKED_AT]
        at = max(range(shortest - _GRAM + 1), key=lambda at: len({one[at : at + _GRAM] for one in some}))
        table = np.zeros(1 << _BITS, bool)
        table[_hashes(b"".join(one[at : at + _GRAM] for one in needles))[::_GRAM]] = True
        width = min(_LONG_GRAM, shortest - at)
        begins = np.unique(np.array([int.from_bytes(one[at : at + width], "little") for one in needles], np.uint64))
        mask = np.uint64(256**width - 1)
        return cls(mark, is_word, at, table, begins, mask, frozenset(needles), tuple(sorted(set(map(len, needles)))))

    def is_in(self, raw: bytes, hashes: Hashes, *, anywhere: bool) -> bool:
        places: Places = np.flatnonzero(self.table.take(hashes))
        if len(places):
            places = places[np.isin(_long_grams(raw, places) & self.mask, self.begins)]
        starts = places[places >= self.at] - self.at
        if self.is_word and not anywhere:
            before = np.frombuffer(raw, np.uint8)[starts - 1]
            starts = starts[~_ALNUM[before] | (starts == 0)]
        return any(raw[start : start + length] in self.needles for start in starts.tolist() for length in self.lengths)


def _mark(needle: bytes) -> bytes:
    """Give the byte of a needle that other texts lack most likely; empty where it has letters and digits only."""
    marks = bytes(byte for byte in needle if not _ALNUM[byte])
    return b"@" if b"@" in marks else marks[:1]


def _long_grams(raw: bytes, places: Places) -> npt.NDArray[np.uint64]:
    """Give the eight bytes at each place; zeros where there are none any more."""
    padded = raw + bytes(_LONG_GRAM)
    grams: npt.NDArray[np.uint64] = np.ndarray((len(raw),), "<u8", padded, strides=(1,)).take(places)
    return grams


def _hashes(raw: bytes) -> Hashes:
    """Hash the four bytes at each position."""
    count = max(0, len(raw) - _GRAM + 1)
    grams = np.ndarray((count,), "<u4", raw, strides=(1,)) if count else np.empty(0, np.uint32)
    hashes: Hashes = (grams * _MULTIPLIER) >> np.uint32(32 - _BITS)
    return hashes
