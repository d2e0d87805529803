"""Which keys a column's cells are under, read from the first bytes of each cell, without decoding or decrypting any.

The header of a cell (its mode, and four bytes of key id) is five bytes, in base64 the first six characters and four
bits of the seventh.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pydp_cli.crypto.columns import Cells, Valid, cells_of

DETERMINISTIC, RANDOM, PER_SUBJECT = 0x01, 0x02, 0x03
KEY_ID_BYTES = 4
HEADER_BYTES = 1 + KEY_ID_BYTES
NONCE_BYTES = 16
SIV_BYTES = 16
HANDLE_BYTES = 8
"""What names a person's key in its store."""

LEAST_BYTES = {
    DETERMINISTIC: HEADER_BYTES + SIV_BYTES,
    RANDOM: HEADER_BYTES + NONCE_BYTES + SIV_BYTES,
    PER_SUBJECT: HEADER_BYTES + HANDLE_BYTES + 12 + 16,
}
_WORD = 8  # bytes that are looked at
_MOST_DISTINCT = 32  # headers that are counted one after the other
_SCAN_ROWS = 65_536

Words = npt.NDArray[np.uint64]


def count_by_key(column: pa.Array) -> Counter[bytes]:
    """Count the cells of a text or binary column by key id; what has no whole header of a known mode is not counted."""
    counts: Counter[bytes] = Counter()
    cells, text = cells_of(column), _is_text(column.type)
    for first in range(0, len(cells), _SCAN_ROWS):
        words, lengths = header_words(cells, slice(first, first + _SCAN_ROWS), text=text)
        for word, rows in _distinct(words):
            header = _header(word, text=text)
            if header is not None:
                long_enough = lengths if isinstance(rows, slice) else lengths[rows]
                counts[header[1:]] += int(np.count_nonzero(long_enough >= _least(header[0], text=text)))
    return +counts


def under_key(column: pa.Array, key_id: bytes) -> pa.BooleanArray:
    """Tell of each value whether it has the header of a cell under a key; false for null."""
    cells, text = cells_of(column), _is_text(column.type)
    found: Valid = np.zeros(len(cells), dtype=np.bool_)
    for first in range(0, len(cells), _SCAN_ROWS):
        place = slice(first, first + _SCAN_ROWS)
        words, lengths = header_words(cells, place, text=text)
        for mode in LEAST_BYTES:
            for word in _spellings(bytes([mode]) + key_id, text=text):
                found[place] |= (words == word) & (lengths >= _least(mode, text=text))
    return pa.array(found)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _least(mode: int, *, text: bool) -> int:
    """Give the length of the shortest cell of a mode, as it is stored."""
    return -(-LEAST_BYTES[mode] // 3) * 4 if text else LEAST_BYTES[mode]


def header_words(cells: Cells, place: slice, *, text: bool) -> tuple[Words, npt.NDArray[np.int64]]:
    """Give the bytes that hold the header of each value as a number, and its length; zero where it is too short."""
    batch = cells.batch(slice(place.start, min(place.stop, len(cells))))
    size = len(cells.data)
    if size < _WORD:
        return np.zeros(len(batch), dtype=np.uint64), np.zeros(len(batch), dtype=np.int64)
    windows = np.ndarray((size - _WORD + 1,), dtype="<u8", buffer=cells.data, strides=(1,))  # at every byte
    short = batch.lengths < LEAST_BYTES[DETERMINISTIC]
    starts = np.where(short, 0, batch.starts) if short.any() else batch.starts
    mask = np.uint64((1 << (8 * (7 if text else HEADER_BYTES))) - 1)
    words = windows[starts].astype(np.uint64, copy=False) & mask
    if short.any():
        words[short] = 0
    return words, batch.lengths


def _distinct(words: Words) -> Iterator[tuple[int, slice | npt.NDArray[np.int64]]]:
    """Give each number that occurs, with its rows: as many passes as there are, as long as there are few."""
    left: npt.NDArray[np.int64] | None = None
    for _ in range(_MOST_DISTINCT):
        if not len(words):
            return
        same = words == words[0]
        if left is None and same.all():
            yield int(words[0]), slice(None)
            return
        rows = np.flatnonzero(same)
        yield int(words[0]), rows if left is None else left[rows]
        rest = np.flatnonzero(~same)
        left = rest if left is None else left[rest]
        words = words[rest]
    for word in np.unique(words):
        rows = np.flatnonzero(words == word)
        yield int(word), rows if left is None else left[rows]


def _header(word: int, *, text: bool) -> bytes | None:
    """Read a header of a mode that is known."""
    raw = word.to_bytes(_WORD, "little")
    if text:
        try:
            raw = base64.b64decode(raw[:7] + b"A", validate=True)
        except binascii.Error:
            return None
    return raw[:HEADER_BYTES] if raw[0] in LEAST_BYTES else None


def _spellings(header: bytes, *, text: bool) -> Iterator[np.uint64]:
    """Give the numbers that a header can look like: in base64 the next two bits are of the cell's next byte."""
    if not text:
        yield np.uint64(int.from_bytes(header, "little"))
        return
    for bits in range(4):
        spelled = binascii.b2a_base64(header + bytes([bits << 6]), newline=False)[:7]
        yield np.uint64(int.from_bytes(spelled, "little"))
