"""Base64 (RFC 4648, section 4: standard alphabet, with padding) of a whole column, both ways.

All values are encoded or decoded by one call of a library: each is laid out in whole groups (of three bytes, of four
characters), so that values can be joined without influencing each other. `spaced` cells are laid out so already.
"""

from __future__ import annotations

import binascii

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pybase64

from pydp_cli.crypto.columns import Bytes, Cells, Index, Valid, binary_array, cells_of, offsets_of

GROUP = 3
"""Bytes that make a whole group of characters."""

_ALPHABET = np.full(256, 0, dtype=np.uint8)
_ALPHABET[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = 1
_PAD = ord("=")
_NO_ROWS: Index = np.zeros(0, dtype=np.int64)


def encode(column: pa.Array) -> pa.StringArray:
    """Write each value of a binary column as base64; null stays null."""
    cells = cells_of(column)
    lengths = _lengths(cells)
    data = _contiguous(cells, lengths)
    sizes = -(-lengths // GROUP) * GROUP
    offsets = offsets_of(sizes)
    missing = sizes - lengths
    if missing.any():
        padded = np.zeros(int(offsets[-1]), dtype=np.uint8)
        is_data = np.ones(len(padded), dtype=np.bool_)
        is_data[(offsets[1:] - 1)[missing > 0]] = False
        is_data[(offsets[1:] - 2)[missing > 1]] = False
        padded[is_data] = data
        data = padded
    return encode_spaced(Cells(data, offsets, cells.valid, lengths))


def encode_spaced(cells: Cells) -> pa.StringArray:
    """Write each value as base64. Values begin at multiples of three from 0 on, with zeros after those that are short.

    Null ones have no length.
    """
    offsets = np.asarray(cells.offsets, dtype=np.int64)
    assert cells.lengths is not None
    text = np.frombuffer(pybase64.b64encode(cells.data[: int(offsets[-1])].data), dtype=np.uint8)
    missing = np.diff(offsets) - cells.lengths
    if missing.any():
        text = text.copy()
        ends = offsets[1:] // GROUP * 4
        text[(ends - 1)[missing > 0]] = _PAD
        text[(ends - 2)[missing > 1]] = _PAD
    return binary_array(offsets // GROUP * 4, text, cells.valid, text=True)


def decode(column: pa.Array) -> tuple[pa.BinaryArray, Index]:
    """Read each value of a text column as base64; give the bytes, and the rows that are not base64, as null.

    Strict: no blanks, no other alphabet, padding as an encoder writes it, so that bytes have one spelling only.
    """
    cells, bad = decode_spaced(column)
    return compacted(cells), bad


def compacted(cells: Cells) -> pa.BinaryArray:
    """Make a column of spaced values."""
    if cells.lengths is None:
        return binary_array(np.asarray(cells.offsets, dtype=np.int64), cells.data, cells.valid)
    is_data = np.ones(int(cells.offsets[-1]), dtype=np.bool_)
    missing = np.diff(cells.offsets) - cells.lengths
    is_data[(cells.offsets[1:] - 1)[missing > 0]] = False
    is_data[(cells.offsets[1:] - 2)[missing > 1]] = False
    return binary_array(offsets_of(cells.lengths), cells.data[: len(is_data)][is_data], cells.valid)


def decode_spaced(column: pa.Array) -> tuple[Cells, Index]:
    """Read each value of a text column as base64, laid out in whole groups; give too the rows that are not base64.

    Those are null, and of no length.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    cells = cells_of(column)
    lengths = _lengths(cells)
    text = _contiguous(cells, lengths)
    bad = _NO_ROWS
    if not _whole_groups(lengths) or (decoded := _decode_all(text, lengths)) is None:
        good = _well_formed(text, lengths)
        bad = np.flatnonzero(~good)
        cells = cells_of(pc.if_else(pa.array(good), pc.cast(column, pa.large_string()), None))
        lengths = _lengths(cells)
        decoded = _decode_all(_contiguous(cells, lengths), lengths)
        assert decoded is not None
    return Cells(decoded[0], offsets_of(lengths // 4 * GROUP), cells.valid, decoded[1]), bad


def _whole_groups(lengths: Index) -> bool:
    return not (np.bitwise_or.reduce(lengths) & 3 if len(lengths) else 0)


def _decode_all(text: Bytes, lengths: Index) -> tuple[Bytes, Index] | None:
    """Decode values of whole groups; give the bytes, and the length of each. None where any of them is not base64."""
    ends = np.cumsum(lengths)
    filled = lengths > 0
    last = ends if filled.all() else ends[filled]
    padding = _padding(text, last)
    one, two = (last - 1)[padding > 0], (last - 2)[padding > 1]
    if len(one):
        text = text.copy()
        text[one] = ord("A")
        text[two] = ord("A")
    try:
        joined = np.frombuffer(pybase64.b64decode(text.data, validate=True), dtype=np.uint8)
    except binascii.Error:
        return None
    if len(joined) * 4 != len(text) * GROUP:
        return None
    sizes = lengths // 4 * GROUP
    if len(one):
        # bits that no encoder writes would be a second spelling
        if joined[(one + 1) // 4 * GROUP - 1].any() or joined[(two + 2) // 4 * GROUP - 2].any():
            return None
        sizes[filled] -= padding
    return joined, sizes


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
