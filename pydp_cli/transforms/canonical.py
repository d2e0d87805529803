"""The canonical text of a value: one spelling for it, whatever file, format or Arrow type it came in.

Keyed treatments work on this text, so that the integer 7 of a Parquet file and the text `7` of a CSV file get the same
pseudonym. `parse.parse_text` reads it back as the type it came from.

| type | canonical text |
|---|---|
| text | as it is |
| integer | decimal digits without leading zeros or `+`: `7`, `-7` (the text `007` is another value) |
| float | a whole number below 2^53 (single: 2^24) like an integer: `7`; else the shortest digits that read back as \
the same float of its width, with an exponent from 10^10 on: `0.1`, `1e+20`, `1e-7`, `nan`, `inf`, `-0`; half floats \
as the single float they are |
| decimal | plain digits with all the places of its scale: `3.10`; never an exponent |
| boolean | `true`, `false` |
| date | `2024-02-29` |
| timestamp | `2024-02-29T13:05:00`, a fraction without trailing zeros where there is one (`…00.25`); one with a zone \
as UTC with `Z`: the same moment has the same text in every zone and unit |
| time of day | `13:05:00`, a fraction as above |
| duration | seconds: `PT90S`, `PT-0.25S` |
| binary | base64 with padding (RFC 4648, section 4) |
| uuid | 36 characters, lower case |
| other extension types | that of their storage |
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.fixed_text import fixed_text, hexadecimal, like
from pydp_cli.transforms.types import TypeSet, is_text

_PLACES = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def canonical_text(column: pa.Array) -> pa.StringArray:
    """Write a column as canonical text; null stays null.

    Raises `UnsupportedType` for nested types and calendar intervals, which have none.
    """
    kind = column.type
    if kind == pa.string():
        return column
    for accepts, write in _WRITERS:
        if accepts(kind):
            return write(column)
    raise UnsupportedType(f"values of type {kind} have no canonical text")


def has_canonical_text(kind: pa.DataType) -> bool:
    """Tell whether a type's values have a canonical text."""
    if pa.types.is_dictionary(kind):
        return has_canonical_text(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return has_canonical_text(kind.storage_type)
    return any(accepts(kind) for accepts, _write in _WRITERS)


CANONICAL = TypeSet("any flat type", has_canonical_text)


def _is_half(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float16(kind))


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


def _is_extension(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType)


def _is_binary(kind: pa.DataType) -> bool:
    names = ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")
    return any(getattr(pa.types, name)(kind) for name in names)


def _plain(column: pa.Array) -> pa.StringArray:
    return column.cast(pa.string())


def _floats(column: pa.Array) -> pa.StringArray:
    text = _plain(column)
    long = pc.fill_null(pc.match_substring(text, "e+"), fill_value=False)  # Arrow turns to exponents at 10^10
    if not pc.any(long).as_py():
        return text
    exact = 2.0 ** (53 if column.type.bit_width == 64 else 24)
    whole = pc.and_(long, pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), exact)))
    whole = pc.fill_null(whole, fill_value=False)
    return pc.replace_with_mask(text, whole, _plain(column.filter(whole).cast(pa.int64())))


def _halves(column: pa.Array) -> pa.StringArray:
    return _floats(column.cast(pa.float32()))


def _dictionary(column: pa.Array) -> pa.StringArray:
    return canonical_text(pc.cast(column.dictionary, column.type.value_type)).take(column.indices)


def _storage(column: pa.Array) -> pa.StringArray:
    return canonical_text(column.storage)


def _decimals(column: pa.Array) -> pa.StringArray:
    text = _plain(column)
    exponents = pc.fill_null(pc.match_substring(text, "E"), fill_value=False)
    if not pc.any(exponents).as_py():
        return text
    few = [f"{Decimal(value):f}" for value in text.filter(exponents).to_pylist()]
    return pc.replace_with_mask(text, exponents, pa.array(few, pa.string()))


def _dates(column: pa.Array) -> pa.StringArray:
    return _plain(column.cast(pa.date32()))


def _without_trailing_zeros(text: pa.StringArray, unit: str) -> pa.StringArray:
    return text if unit == "s" else pc.utf8_rtrim(pc.utf8_rtrim(text, characters="0"), characters=".")


def _timestamps(column: pa.Array) -> pa.StringArray:
    kind = column.type
    text = _without_trailing_zeros(_plain(column.view(pa.timestamp(kind.unit))), kind.unit)
    text = pc.replace_substring(text, " ", "T")
    return pc.binary_join_element_wise(text, "Z", "") if kind.tz else text


def _times(column: pa.Array) -> pa.StringArray:
    return _without_trailing_zeros(_plain(column), column.type.unit)


def _durations(column: pa.Array) -> pa.StringArray:
    places = _PLACES[column.type.unit]
    wide = column.view(pa.int64()).cast(pa.decimal128(38, 0))
    seconds = pa.Array.from_buffers(pa.decimal128(38, places), len(wide), wide.buffers(), offset=wide.offset)
    text = _without_trailing_zeros(_decimals(seconds), column.type.unit)
    return pc.binary_join_element_wise("PT", text, "S", "")


def _bytes(column: pa.Array) -> pa.StringArray:
    """Encode all values in one call: each is padded to whole groups of three bytes, and marked with `=` afterwards."""
    dense = pc.fill_null(column.cast(pa.large_binary()), b"")
    offsets = np.frombuffer(dense.buffers()[1], np.int64)[dense.offset : dense.offset + len(dense) + 1]
    data = np.frombuffer(dense.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    groups = -(-lengths // 3)
    ends = np.cumsum(groups)
    missing = groups * 3 - lengths
    padded = np.zeros(int(groups.sum()) * 3, np.uint8)
    is_data = np.ones(len(padded), bool)
    is_data[(ends * 3 - 1)[missing > 0]] = False
    is_data[(ends * 3 - 2)[missing > 1]] = False
    padded[is_data] = data
    encoded = np.frombuffer(base64.b64encode(padded.tobytes()), np.uint8).copy()
    encoded[(ends * 4 - 1)[missing > 0]] = ord("=")
    encoded[(ends * 4 - 2)[missing > 1]] = ord("=")
    starts = np.concatenate([[0], ends * 4]).astype(np.int32)
    text = pa.StringArray.from_buffers(len(column), pa.py_buffer(starts), pa.py_buffer(encoded))
    return pc.if_else(pc.is_valid(column), text, None) if column.null_count else text


def _uuids(column: pa.Array) -> pa.StringArray:
    storage = column.storage
    raw = np.zeros((len(column), 16), np.uint8)
    if len(column):
        whole = np.frombuffer(storage.buffers()[1], np.uint8).reshape(-1, 16)
        raw[:] = whole[storage.offset : storage.offset + len(column)]
    return fixed_text(dashed(hexadecimal(raw, 32)), like(column))


def dashed(digits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Put the four dashes of a UUID between 32 hexadecimal digits a row."""
    cells = np.full((len(digits), 36), ord("-"), np.uint8)
    cells[:, :8] = digits[:, :8]
    cells[:, 9:13] = digits[:, 8:12]
    cells[:, 14:18] = digits[:, 12:16]
    cells[:, 19:23] = digits[:, 16:20]
    cells[:, 24:] = digits[:, 20:]
    return cells


_WRITERS: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.StringArray]]] = [
    (pa.types.is_dictionary, _dictionary),
    (is_text, _plain),
    (_is_uuid, _uuids),
    (_is_extension, _storage),
    (pa.types.is_null, _plain),
    (pa.types.is_integer, _plain),
    (_is_half, _halves),
    (pa.types.is_floating, _floats),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_boolean, _plain),
    (pa.types.is_date, _dates),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_time, _times),
    (pa.types.is_duration, _durations),
    (_is_binary, _bytes),
]
