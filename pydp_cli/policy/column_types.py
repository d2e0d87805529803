"""The types that a policy gives to columns, as words, and back."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo

import pyarrow as pa
from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from pydp_cli.transforms.findings import did_you_mean
from pydp_cli.transforms.types import is_text

_PLAIN: dict[str, pa.DataType] = {
    "text": pa.string(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "time": pa.time64("us"),
    "duration": pa.duration("us"),
    "binary": pa.binary(),
}
_OTHER_NAMES = {
    "string": "text",
    "boolean": "bool",
    "integer": "int64",
    "int": "int64",
    "double": "float64",
    "float": "float64",
    "number": "float64",
    "date32": "date",
    "datetime": "timestamp",
}
_DECIMAL = re.compile(r"decimal(?:128)?\(\s*([0-9]{1,2})\s*(?:,\s*([0-9]{1,2})\s*)?\)", re.ASCII)
_UNITS = re.compile(r"(timestamp|time|duration)\[(s|ms|us|ns)(?:,\s*(?:tz=)?([A-Za-z0-9_+:/-]+))?\]", re.ASCII)
TYPE_NAMES = (*_PLAIN, "decimal(12,2)", "timestamp[us, UTC]")


def parse_type(text: object) -> pa.DataType:
    """Read a type: `int64`, `decimal(12,2)`, `timestamp`, `timestamp[us, UTC]`, `date`; raises `ValueError`."""
    if isinstance(text, pa.DataType):
        return text
    if not isinstance(text, str):
        raise ValueError("a type is written as a word, such as int64 or date")  # noqa: TRY004 - pydantic reports it
    word = text.strip().lower()
    if (known := _PLAIN.get(_OTHER_NAMES.get(word, word))) is not None:
        return known
    if found := _DECIMAL.fullmatch(word):
        precision, scale = int(found[1]), int(found[2] or 0)
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError("a decimal has 1 to 38 digits, and no more of them behind the point than in all")
        return pa.decimal128(precision, scale)
    if found := _UNITS.fullmatch(text.strip()):
        return _with_unit(found[1], found[2], found[3])
    raise ValueError(f'unknown type "{text[:50]}" ({did_you_mean(word, _PLAIN) or "such as int64, date or text"})')


def _with_unit(kind: str, unit: str, zone: str | None) -> pa.DataType:
    if kind == "timestamp":
        if zone is not None and not re.fullmatch(r"[+-][0-9]{2}:[0-9]{2}", zone):
            try:
                ZoneInfo(zone)
            except (KeyError, ValueError, OSError):  # a folder of the zone data raises IsADirectoryError
                raise ValueError(f'unknown time zone "{zone[:50]}"') from None
        return pa.timestamp(unit, zone)
    if zone is not None:
        raise ValueError(f"a {kind} has no time zone")
    if kind == "time":
        return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    return pa.duration(unit)


def type_name(kind: pa.DataType) -> str:
    """Write a type as `parse_type` reads it; types that it does not read as Arrow writes them."""
    if is_text(kind):
        return "text"
    for name, plain in _PLAIN.items():
        if plain == kind:
            return name
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}, {kind.tz}]" if kind.tz else f"timestamp[{kind.unit}]"
    if pa.types.is_time(kind):
        return f"time[{kind.unit}]"
    return f"duration[{kind.unit}]" if pa.types.is_duration(kind) else str(kind)


def dense_type(kind: pa.DataType) -> pa.DataType:
    """Name the type that transforms and conditions see for a stored type: all kinds of text are one."""
    if pa.types.is_dictionary(kind):
        return dense_type(kind.value_type)
    return pa.string() if is_text(kind) else kind


ColumnType = Annotated[
    pa.DataType,
    PlainValidator(parse_type),
    PlainSerializer(type_name),
    WithJsonSchema({"type": "string", "description": "An Arrow type.", "examples": list(TYPE_NAMES)}),
]
