"""The text of typed values in a CSV file: one spelling each, which reads back as the same value.

| type | text |
|---|---|
| integer | `7`, `-7` |
| float | the shortest digits that read back as the same float; a whole number has no point: `7`, `0.1`, `1e+20`, \
`nan`, `inf`, `-0` |
| decimal | plain digits with all the places of its scale: `3.10`; never an exponent |
| boolean | `true`, `false` |
| date, time | `2024-02-29`, `13:05:00`, a fraction without trailing zeros where there is one |
| timestamp | `2024-02-29T13:05:00`, a fraction as above; one with a zone as UTC with `Z` |
| duration | `PT90S`, `PT-0.25S` |
| binary | base64 with padding (RFC 4648, section 4) |
| uuid | 36 characters, lower case |
| dictionary, other extension types | as what they stand for |

The spelling is that of `transforms.canonical`, so that a value is the same text in a file and under a key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

_PLACES = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def text_of(column: pa.Array) -> pa.StringArray:
    """Write a column as text; null stays null. The type must be one that `has_text` accepts."""
    kind = column.type
    if kind == pa.string():
        return column
    if types.is_dictionary(kind):
        return text_of(column.dictionary).take(column.indices)
    if isinstance(kind, pa.BaseExtensionType):
        return _uuids(column.storage) if kind.extension_name == "arrow.uuid" else text_of(column.storage)
    return next(write for accepts, write in _WRITERS if accepts(kind))(column)


def has_text(kind: pa.DataType) -> bool:
    """Tell whether values of a type can be written as CSV; nested values and calendar intervals cannot."""
    if types.is_dictionary(kind):
        return has_text(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return has_text(kind.storage_type)
    return any(accepts(kind) for accepts, _write in _WRITERS)


def _plain(column: pa.Array) -> pa.StringArray:
    return column.cast(pa.string())


def _floats(column: pa.Array) -> pa.StringArray:
    """Arrow turns to exponents at 10^10 even for whole numbers; those that are exact are written like integers."""
    if column.type.bit_width == 16:
        column = column.cast(pa.float32())
    text = _plain(column)
    exact = 2.0 ** (53 if column.type.bit_width == 64 else 24)
    whole = pc.and_(pc.match_substring(text, "e+"), pc.less(pc.abs(column), exact))
    whole = pc.fill_null(pc.and_(whole, pc.equal(pc.floor(column), column)), fill_value=False)
    return pc.replace_with_mask(text, whole, _plain(column.filter(whole).cast(pa.int64())))


def _decimals(column: pa.Array) -> pa.StringArray:
    text = _plain(column)
    exponents = pc.fill_null(pc.match_substring(text, "E"), fill_value=False)
    few = [f"{Decimal(value):f}" for value in text.filter(exponents).to_pylist()]
    return pc.replace_with_mask(text, exponents, pa.array(few, pa.string()))


def _dates(column: pa.Array) -> pa.StringArray:
    return _plain(column.cast(pa.date32()))


def _short(text: pa.StringArray, unit: str) -> pa.StringArray:
    return text if unit == "s" else pc.utf8_rtrim(pc.utf8_rtrim(text, characters="0"), characters=".")


def _timestamps(column: pa.Array) -> pa.StringArray:
    kind = column.type
    text = pc.replace_substring(_short(_plain(column.view(pa.timestamp(kind.unit))), kind.unit), " ", "T")
    return pc.binary_join_element_wise(text, "Z", "") if kind.tz else text


def _times(column: pa.Array) -> pa.StringArray:
    return _short(_plain(column), column.type.unit)


def _durations(column: pa.Array) -> pa.StringArray:
    places = _PLACES[column.type.unit]
    wide = column.view(pa.int64()).cast(pa.decimal128(38, 0))
    seconds = pa.Array.from_buffers(pa.decimal128(38, places), len(wide), wide.buffers(), offset=wide.offset)
    return pc.binary_join_element_wise("PT", _short(_decimals(seconds), column.type.unit), "S", "")


def _bytes(column: pa.Array) -> pa.StringArray:
    """Encode all values in one call: each is filled up to groups of three bytes, and `=` put in afterwards."""
    dense = pc.fill_null(column.cast(pa.large_binary()), b"")
    offsets = np.frombuffer(dense.buffers()[1], np.int64)[dense.offset : dense.offset + len(dense) + 1]
    lengths = np.diff(offsets)
    groups = -(-lengths // 3)
    ends, missing = np.cumsum(groups), groups * 3 - lengths
    is_data = np.ones(int(groups.sum()) * 3, bool)
    is_data[(ends * 3 - 1)[missing > 0]] = False
    is_data[(ends * 3 - 2)[missing > 1]] = False
    filled = np.zeros(len(is_data), np.uint8)
    filled[is_data] = np.frombuffer(dense.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    encoded = np.frombuffer(base64.b64encode(filled.tobytes()), np.uint8).copy()
    encoded[(ends * 4 - 1)[missing > 0]] = ord("=")
    encoded[(ends * 4 - 2)[missing > 1]] = ord("=")
    starts = np.concatenate([[0], ends * 4]).astype(np.int32)
    text = pa.StringArray.from_buffers(len(column), pa.py_buffer(starts), pa.py_buffer(encoded))
    return pc.if_else(column.is_valid(), text, pa.scalar(None, pa.string())) if column.null_count else text


def _uuids(storage: pa.Array) -> pa.StringArray:
    return pa.array([None if value is None else str(UUID(bytes=value)) for value in storage.to_pylist()], pa.string())


_WRITERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.StringArray]], ...] = (
    (types.is_string, _plain),
    (types.is_large_string, _plain),
    (types.is_string_view, _plain),
    (types.is_null, _plain),
    (types.is_integer, _plain),
    (types.is_boolean, _plain),
    (types.is_floating, _floats),
    (types.is_decimal, _decimals),
    (types.is_date, _dates),
    (types.is_timestamp, _timestamps),
    (types.is_time, _times),
    (types.is_duration, _durations),
    (types.is_binary, _bytes),
    (types.is_large_binary, _bytes),
    (types.is_fixed_size_binary, _bytes),
    (types.is_binary_view, _bytes),
)
