"""Base64 (RFC 4648, section 4: standard alphabet, with padding) of a whole column, both ways.

All values are encoded or decoded by one call of the standard library: each is laid out in whole groups (of three bytes,
of four characters), so that values can be joined without influencing each other.
"""

from __future__ import annotations

import binascii

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pydp_cli.crypto.columns import Bytes, Cells, Index, Valid, binary_array, cells_of, offsets_of

_ALPHABET = np.full(256, 0, dtype=np.uint8)
_ALPHABET[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = 1
_PAD = ord("=")


def encode(column: pa.Array) -> pa.StringArray:
    """Write each value of a binary column as base64; null stays null."""
    cells = cells_of(column)
    lengths = _lengths(cells)
    data = _contiguous(cells, lengths)
    triples = (lengths + 2) // 3
    missing = triples * 3 - lengths
    ends = np.cumsum(triples)
    total = int(ends[-1]) if len(ends) else 0
    if missing.any():
        padded = np.zeros(total * 3, dtype=np.uint8)
        is_data = np.ones(total * 3, dtype=np.bool_)
        is_data[(ends * 3 - 1)[missing > 0]] = False
        is_data[(ends * 3 - 2)[missing > 1]] = False
        padded[is_data] = data
        data = padded
    text = np.frombuffer(binascii.b2a_base64(data.data, newline=False), dtype=np.uint8)
    if missing.any():
        text = text.copy()
        text[(ends * 4 - 1)[missing > 0]] = _PAD
        text[(ends * 4 - 2)[missing > 1]] = _PAD
    return binary_array(offsets_of(triples * 4), text, cells.valid, text=True)


def decode(column: pa.Array) -> tuple[pa.BinaryArray, Index]:
    """Read each value of a text column as base64; give the bytes, and the rows that are not base64, as null.

    Strict: no blanks, no other alphabet, padding as an encoder writes it, so that bytes have one spelling only.
    """
    cells = cells_of(column)
    lengths = _lengths(cells)
    text = _contiguous(cells, lengths)
    good = lengths % 4 == 0
    if not good.all():
        return _decode_good_ones(column, good)
    decoded = _decode_all(text, lengths)
    if decoded is None:
        return _decode_good_ones(column, _well_formed(text, lengths))
    offsets, data = decoded
    return binary_array(offsets, data, cells.valid), np.zeros(0, dtype=np.int64)


def _decode_good_ones(column: pa.Array, good: Valid) -> tuple[pa.BinaryArray, Index]:
    """Decode what is well-formed, and give null for the rest."""
    bad = np.flatnonzero(~good)
    blanked = pa.array(good)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    import pyarrow.compute as pc

    kept = pc.if_else(blanked, column, pa.scalar(None, column.type))
    cells = cells_of(kept)
    lengths = _lengths(cells)
    text = _contiguous(cells, lengths)
    well_formed = _well_formed(text, lengths)
    if not well_formed.all():
        return _decode_good_ones(column, good & well_formed)
    decoded = _decode_all(text, lengths)
    assert decoded is not None
    offsets, data = decoded
    return binary_array(offsets, data, cells.valid), bad


def _decode_all(text: Bytes, lengths: Index) -> tuple[Index, Bytes] | None:
    """Decode values of whole groups; None where any of them is not base64."""
    ends = np.cumsum(lengths)
    last = ends[lengths > 0]
    padding = _padding(text, last)
    one, two = (last - 1)[padding > 0], (last - 2)[padding > 1]
    if len(one):
        text = text.copy()
        text[one] = ord("A")
        text[two] = ord("A")
    try:
        joined = np.frombuffer(binascii.a2b_base64(text.data), dtype=np.uint8)
    except binascii.Error:
        return None
    if len(joined) * 4 != len(text) * 3:  # what is not of the alphabet was left out
        return None
    sizes = lengths // 4 * 3
    if not len(one):
        return offsets_of(sizes), joined
    sizes[lengths > 0] -= padding
    dropped = np.zeros(len(joined), dtype=np.bool_)
    ends_of_groups = last // 4 * 3
    dropped[(ends_of_groups - 1)[padding > 0]] = True
    dropped[(ends_of_groups - 2)[padding > 1]] = True
    if joined[dropped].any():  # bits that no encoder writes: a second spelling
        return None
    return offsets_of(sizes), joined[~dropped]


def _padding(text: Bytes, last: Index) -> npt.NDArray[np.int64]:
    padding = (text[last - 1] == _PAD).astype(np.int64)
    padding += padding & (text[last - 2] == _PAD)
    return np.asarray(padding, dtype=np.int64)


def _well_formed(text: Bytes, lengths: Index) -> Valid:
    """Tell of each value whether it is base64 as an encoder writes it."""
    good: Valid = lengths % 4 == 0
    ends = np.cumsum(lengths)
    filled = np.flatnonzero((lengths > 0) & good)
    last = ends[filled]
    padding = _padding(text, last)
    outside = _ALPHABET[text] == 0
    outside[(last - 1)[padding > 0]] = False
    outside[(last - 2)[padding > 1]] = False
    good[np.searchsorted(ends, np.flatnonzero(outside), side="right")] = False
    # the last character before the padding holds 2 or 4 bits that must be zero
    values = np.zeros(256, dtype=np.uint8)
    values[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = np.arange(64)
    spare = (values[text[last - 1 - padding]] & np.array([0, 3, 15], dtype=np.uint8)[padding]) != 0
    good[filled[spare]] = False
    return good


def _lengths(cells: Cells) -> Index:
    lengths = np.diff(cells.offsets).astype(np.int64)
    return lengths if cells.valid is None else np.where(cells.valid, lengths, 0)


def _contiguous(cells: Cells, lengths: Index) -> Bytes:
    """Give the bytes of all values, one after the other, without what lies beneath nulls."""
    first, stop = int(cells.offsets[0]), int(cells.offsets[-1])
    data = cells.data[first:stop]
    if stop - first == int(lengths.sum()):
        return data
    starts = cells.offsets[:-1].astype(np.int64) - first
    return data[np.repeat(starts - offsets_of(lengths)[:-1], lengths) + np.arange(int(lengths.sum()))]
