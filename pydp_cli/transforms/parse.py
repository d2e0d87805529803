"""Read a text column as numbers, dates or bytes: strictly, a column at a time, and without repeating a bad value."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import BadValue, UnsupportedType
from pydp_cli.transforms.types import is_text

MOST_ROWS_NAMED = 5

_CLOCK = r"([01][0-9]|2[0-3])(:[0-5][0-9]){0,2}([.,][0-9]+)?"
_ZONE = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
_ISO_TIMESTAMP = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK} ?{_ZONE}?$"
_ZONED = rf"^([0-9-]{{10}}[T ]{_CLOCK}) ?{_ZONE}$"
_BASE64 = np.full(256, False)
_BASE64[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = True

Convert = Callable[[pa.StringArray, pa.DataType], pa.Array]


def parse_text(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Read text as `kind`; null stays null, and every other value must be of that kind as a whole.

    Integers must fit the type and decimals its scale; no blanks, no digit grouping. An empty string is a bad number.
    A date may be written as a timestamp: its date part is taken as written. A timestamp with a zone, read as a type
    without one, is likewise taken as written (wall-clock time); text without a zone, read as a type with one, is
    local time there. Binary is base64, a duration is `PT90S`. Raises `BadValue` with the first rows that are wrong,
    `UnsupportedType` for a kind that text cannot be read as.
    """
    if is_text(kind):
        return column if kind == column.type else column.cast(kind)
    convert, name = _converter(kind)
    try:
        return convert(column, kind)
    except pa.ArrowInvalid:  # its message quotes the value
        rows = _bad_rows(column, kind, convert)
    raise BadValue(f"not {name}", hint="correct the values, or declare another type: for the column", rows=rows)


def _converter(kind: pa.DataType) -> tuple[Convert, str]:
    for accepts, convert, name in _CONVERTERS:
        if accepts(kind):
            return convert, name.format(kind)
    raise UnsupportedType(f"text cannot be read as {kind}")


def _bad_rows(column: pa.StringArray, kind: pa.DataType, convert: Convert) -> tuple[int, ...]:
    """Find the first bad rows by halving, so that one set of rules decides what is bad."""
    found: list[int] = []
    waiting = [(0, len(column))]
    while waiting and len(found) < MOST_ROWS_NAMED:
        start, stop = waiting.pop()
        try:
            convert(column.slice(start, stop - start), kind)
        except pa.ArrowInvalid:
            if stop - start == 1:
                found.append(start)
            else:
                middle = (start + stop) // 2
                waiting += [(middle, stop), (start, middle)]
    return tuple(found)


def _refuse_any(bad: pa.BooleanArray) -> None:
    if pc.any(bad).as_py():
        raise pa.ArrowInvalid


def _integers(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    _refuse_any(pc.or_(pc.match_substring(column, "x"), pc.match_substring(column, "X")))  # Arrow would read 0x1F
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return pc.replace_substring_regex(column, r"^\+([0-9])", r"\1").cast(kind)


def _floats(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    numbers = column.cast(kind)
    endless = pc.fill_null(pc.is_inf(numbers), fill_value=False)
    if pc.any(endless).as_py():  # either it says so, or it is past the type's range
        _refuse_any(pc.invert(pc.match_substring(column.filter(endless), "inf", ignore_case=True)))
    return numbers


def _decimals(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    return column.cast(kind)


def _booleans(column: pa.StringArray, _kind: pa.DataType) -> pa.Array:
    words = pa.array(["false", "true", "f", "t", "0", "1"])
    place = pc.index_in(pc.ascii_lower(column), words)
    _refuse_any(pc.and_not(pc.is_null(place), pc.is_null(column)))
    return pc.equal(pc.bit_wise_and(place, 1), 1)


def _dates(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    try:
        days = column.cast(pa.date32())
    except pa.ArrowInvalid:
        is_long = pc.greater(pc.utf8_length(column), 10)
        fits = pc.or_(pc.invert(is_long), pc.match_substring_regex(column, _ISO_TIMESTAMP))
        _refuse_any(pc.invert(fits))
        days = pc.utf8_slice_codeunits(column, 0, 10).cast(pa.date32())
    _refuse_any(pc.less(days, pa.scalar(date.min)))  # the year 0 exists in Arrow, but nowhere else
    return days.cast(kind)


def _timestamps(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    if kind.tz:
        return _zoned_timestamps(column, kind)
    try:
        moments = column.cast(kind)
    except pa.ArrowInvalid:
        moments = pc.replace_substring_regex(column, _ZONED, r"\1").cast(kind)
    if kind.unit != "ns":  # nanoseconds do not reach that far back
        _refuse_any(pc.less(moments, pa.scalar(date.min).cast(kind)))
    return moments


def _zoned_timestamps(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    zoned = pc.match_substring_regex(column, _ZONED)
    nothing = pa.scalar(None, pa.string())
    moments = pc.if_else(zoned, column, nothing).cast(kind)
    if pc.all(zoned).as_py():
        return moments
    local = _timestamps(pc.if_else(zoned, nothing, column), pa.timestamp(kind.unit))
    return pc.coalesce(moments, pc.assume_timezone(local, timezone=kind.tz))


def _bytes(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Decode all values in one call: they are padded to groups of four, so that they can be joined."""
    dense = pc.fill_null(column, "") if column.null_count else column
    ends = np.frombuffer(dense.buffers()[1], np.int32)[dense.offset : dense.offset + len(dense) + 1].astype(np.int64)
    text = np.frombuffer(dense.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    ends = ends - ends[0]
    decoded, sizes = _decode_base64(text, ends)
    offsets = np.zeros(len(ends), np.int64)
    np.cumsum(sizes, out=offsets[1:])
    wide = pa.types.is_large_binary(kind)
    buffers = [None, pa.py_buffer(offsets.astype(np.int64 if wide else np.int32)), pa.py_buffer(decoded)]
    values = pa.Array.from_buffers(pa.large_binary() if wide else pa.binary(), len(dense), buffers)
    return pc.if_else(pc.is_valid(column), values, pa.scalar(None, values.type)) if column.null_count else values


def _decode_base64(
    text: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    lengths = np.diff(ends)
    if np.any(lengths % 4):
        raise pa.ArrowInvalid
    last = ends[1:][lengths > 0]
    padding = (text[last - 1] == ord("=")).astype(np.int64)
    padding += padding & (text[last - 2] == ord("="))
    is_pad = np.zeros(len(text), bool)
    is_pad[(last - 1)[padding > 0]] = True
    is_pad[(last - 2)[padding > 1]] = True
    if not np.all(_BASE64[text] | is_pad):
        raise pa.ArrowInvalid
    joined = np.frombuffer(binascii.a2b_base64(np.where(is_pad, ord("A"), text).astype(np.uint8).tobytes()), np.uint8)
    groups_end = last // 4 * 3
    dropped = np.zeros(len(joined), bool)
    dropped[(groups_end - 1)[padding > 0]] = True
    dropped[(groups_end - 2)[padding > 1]] = True
    if np.any(joined[dropped]):  # bits that no encoder writes: two texts for one value
        raise pa.ArrowInvalid
    sizes = lengths // 4 * 3
    sizes[lengths > 0] -= padding
    return joined[~dropped], sizes


def _times(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    _refuse_any(pc.invert(pc.match_substring(column, ":")))  # Arrow would read 13 as an hour
    return pc.binary_join_element_wise("1970-01-01T", column, "").cast(pa.timestamp(kind.unit)).cast(kind)


def _durations(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    _refuse_any(pc.invert(pc.match_substring_regex(column, r"^PT-?[0-9]+(\.[0-9]+)?S$")))
    places = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
    seconds = pc.utf8_slice_codeunits(column, 2, -1).cast(pa.decimal128(38, places))
    units = pa.Array.from_buffers(pa.decimal128(38, 0), len(seconds), seconds.buffers(), offset=seconds.offset)
    return units.cast(pa.int64()).view(kind)


def _uuids(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    digits = pc.ascii_lower(pc.replace_substring(column, "-", ""))
    _refuse_any(pc.invert(pc.match_substring_regex(column, r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")))
    dense = pc.fill_null(digits, "0" * 32)
    text = np.frombuffer(dense.buffers()[2] or b"", np.uint8)[dense.offset * 32 : (dense.offset + len(dense)) * 32]
    nibbles = np.where(text >= ord("a"), text - ord("a") + 10, text - ord("0")).astype(np.uint8).reshape(-1, 2)
    raw = pa.py_buffer(np.ascontiguousarray(nibbles[:, 0] << 4 | nibbles[:, 1]))
    storage = pa.Array.from_buffers(pa.binary(16), len(dense), [None, raw])
    if column.null_count:
        storage = pc.if_else(pc.is_valid(column), storage, pa.scalar(None, storage.type))
    return pa.ExtensionArray.from_storage(kind, storage)


def _other_bytes(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    return _bytes(column, pa.binary()).cast(kind)


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


_CONVERTERS: list[tuple[Callable[[pa.DataType], bool], Convert, str]] = [
    (pa.types.is_integer, _integers, "a whole number that fits {}"),
    (pa.types.is_floating, _floats, "a number that fits {}"),
    (pa.types.is_decimal, _decimals, "a number that fits {}"),
    (pa.types.is_boolean, _booleans, "true or false"),
    (pa.types.is_date, _dates, "a date like YYYY-MM-DD"),
    (pa.types.is_timestamp, _timestamps, "a timestamp like YYYY-MM-DDThh:mm:ss that fits {}"),
    (pa.types.is_binary, _bytes, "base64"),
    (pa.types.is_large_binary, _bytes, "base64"),
    (pa.types.is_fixed_size_binary, _other_bytes, "base64 that fits {}"),
    (pa.types.is_binary_view, _other_bytes, "base64"),
    (pa.types.is_time, _times, "a time of day like hh:mm:ss that fits {}"),
    (pa.types.is_duration, _durations, "a duration in seconds like PT90S that fits {}"),
    (_is_uuid, _uuids, "a UUID"),
]
