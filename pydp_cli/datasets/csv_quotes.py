"""Where quotes are in a block of CSV: one bit for each byte, 64 of them at a time.

The bytes between an odd quote and the next are inside quotes. A running exclusive-or over the bits of the quotes gives
that for the whole block without looking at any quote by itself (Langdale and Lemire, "Parsing Gigabytes of JSON per
Second", VLDB Journal 28, 2019, section 3.1.1, where one instruction does it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pydp_cli.datasets.csv_dialect import CsvDialect

LF, CR = 10, 13
WINDOW_BYTES = 1 << 18

Bytes = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Quoting:
    """`sound`: each quote opens, closes or is doubled in a field. `line_ends`: the line feeds outside quotes."""

    sound: bool
    closed: bool
    line_ends: Bits


def quoting(data: Bytes, dialect: CsvDialect) -> Quoting:
    """Look at every quote of the data, which begins where a record does.

    A quote that opens is where a field begins, or right after the quote that it doubles; one that closes is where a
    field ends, or right before the quote that doubles it.
    """
    quotes, line_feeds = bits_of(data, ord(dialect.quote)), bits_of(data, LF)
    inside = _odd_so_far(quotes)
    edges = quotes | line_feeds | bits_of(data, ord(dialect.delimiter))
    sound = not np.any(quotes & inside & ~_after(edges, first=True))
    if sound:
        closing = quotes & ~inside
        edges[len(data) // 64] |= np.uint64(1 << len(data) % 64)  # the end of the data
        sound = not np.any(closing & ~_before(edges)) or not np.any(closing & ~_before(edges | bits_of(data, CR)))
    closed = not int(inside[-1]) >> 63
    return Quoting(sound, closed, line_feeds & ~inside)


def bits_of(data: Bytes, value: int) -> Bits:
    """Set a bit for each byte of that value; there is at least one bit more than bytes."""
    bits = np.zeros((len(data) // 64 + 1) * 8, np.uint8)
    for start in range(0, len(data), WINDOW_BYTES):  # small enough to stay in the cache
        packed = np.packbits(data[start : start + WINDOW_BYTES] == value, bitorder="little")
        bits[start // 8 : start // 8 + len(packed)] = packed
    return bits.view("<u8")


def count_bits(bits: Bits) -> int:
    """Count the bits that are set."""
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


def last_bit(bits: Bits) -> int:
    """Give the position of the last bit that is set, or -1."""
    words = np.flatnonzero(bits)
    return int(words[-1]) * 64 + int(bits[words[-1]]).bit_length() - 1 if len(words) else -1


def count_byte(data: Bytes, value: int) -> int:
    """Count one byte value; a comparison of all beats a search for each where there are many."""
    windows = (data[start : start + WINDOW_BYTES] for start in range(0, len(data), WINDOW_BYTES))
    return sum(int(np.count_nonzero(window == value)) for window in windows)


def _odd_so_far(bits: Bits) -> Bits:
    """Set each bit that has an odd number of set bits up to and including itself."""
    odd: Bits = bits.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        odd ^= odd << np.uint64(shift)
    carried = np.bitwise_xor.accumulate(odd >> np.uint64(63))
    odd[1:] ^= np.uint64(0) - carried[:-1]
    return odd


def _after(bits: Bits, *, first: bool) -> Bits:
    """Set each bit whose predecessor is set; `first` stands for what is before the first."""
    moved: Bits = bits << np.uint64(1)
    moved[1:] |= bits[:-1] >> np.uint64(63)
    moved[0] |= np.uint64(first)
    return moved


def _before(bits: Bits) -> Bits:
    """Set each bit whose successor is set."""
    moved: Bits = bits >> np.uint64(1)
    moved[:-1] |= bits[1:] << np.uint64(63)
    return moved
