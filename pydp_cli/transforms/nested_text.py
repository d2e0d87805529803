"""Nested values (lists, structs, maps) as canonical JSON, a column at a time, and back.

Lists are arrays, structs objects with their fields in order, maps arrays of `{"key": …, "value": …}`; what is inside
is the canonical text of the value as a JSON string, or `null`. No blanks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import BadValue

Write = Callable[[pa.Array], pa.StringArray]
Read = Callable[[pa.StringArray, pa.DataType], pa.Array]
_ESCAPES = {chr(code): json.dumps(chr(code))[1:-1] for code in (0x5C, 0x22, *range(0x20))}


def can_nest(kind: pa.DataType, is_leaf: Callable[[pa.DataType], bool]) -> bool:
    """Tell whether a type is built of lists, structs and maps over types that `is_leaf` accepts."""
    if not pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        return is_leaf(kind) and not pa.types.is_null(kind)
    if pa.types.is_struct(kind):
        names = [kind.field(place).name for place in range(kind.num_fields)]
        parts = [kind.field(place).type for place in range(kind.num_fields)]
        return bool(names) and len(set(names)) == len(names) and all(can_nest(part, is_leaf) for part in parts)
    if pa.types.is_map(kind):
        return can_nest(kind.key_type, is_leaf) and can_nest(kind.item_type, is_leaf)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and can_nest(kind.value_type, is_leaf))


def to_json(column: pa.Array, write: Write) -> pa.StringArray:
    """Write a nested column as JSON; null stays null. `write` gives the text of what is inside."""
    text = _json(column, write)
    return pc.if_else(pc.is_valid(column), text, pa.scalar(None, pa.string())) if column.null_count else text


def _json(column: pa.Array, write: Write) -> pa.StringArray:
    """Write a column as JSON; null is `null`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _json(column.dictionary_decode(), write)
    if pa.types.is_struct(kind):
        parts: list[object] = []
        for place, values in enumerate(column.flatten()):
            name = json.dumps(kind.field(place).name, ensure_ascii=False)
            parts += [("{" if place == 0 else ",") + name + ":", _json(values, write)]
        text = pc.binary_join_element_wise(*parts, "}", "")
    elif pa.types.is_map(kind):
        entry = pa.StructArray.from_arrays([column.keys, column.items], names=["key", "value"])
        text = _joined(column, entry, write)
    elif pa.types.is_nested(kind):
        text = _joined(column, column.values, write)
    else:
        quoted = pc.binary_join_element_wise('"', _escaped(write(column)), '"', "")
        return pc.fill_null(quoted, "null")
    return pc.if_else(pc.is_valid(column), text, "null")


def _joined(column: pa.Array, values: pa.Array, write: Write) -> pa.StringArray:
    """Join the values of each list; `values` are those of the whole column, from its first offset on or before."""
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        offsets = np.arange(len(column) + 1, dtype=np.int32) * size
        inside = values.slice(column.offset * size, len(column) * size)
    else:
        offsets = column.offsets.to_numpy().astype(np.int64)
        inside = values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        offsets = (offsets - offsets[0]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _json(inside, write))
    return pc.binary_join_element_wise("[", pc.binary_join(lists, ","), "]", "")


def _escaped(text: pa.StringArray) -> pa.StringArray:
    if not pc.any(pc.match_substring_regex(text, r'[\x00-\x1f"\\]')).as_py():
        return text
    for character, escape in _ESCAPES.items():
        text = pc.replace_substring(text, character, escape)
    return text


def from_json(text: pa.StringArray, kind: pa.DataType, read: Read) -> pa.Array:
    """Read JSON back as a nested type; null stays null. `read` reads what is inside. Raises `BadValue`."""
    import pyarrow.json as pj

    if not len(text):
        return pa.nulls(0, kind)
    lines = pc.binary_join_element_wise('{"v":', pc.fill_null(text, "null"), "}\n", "")
    data = _content(lines)
    schema = pa.schema([("v", _of_text(kind))])
    try:
        table = pj.read_json(
            BytesIO(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except pa.ArrowInvalid:  # its message quotes the value
        raise BadValue(f"not canonical JSON of {kind}") from None
    return _typed(table.column("v").combine_chunks(), kind, read)


def _content(lines: pa.StringArray) -> bytes:
    """Give all values, one after the other."""
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return bytes(memoryview(data)[int(ends[0]) : int(ends[-1])])


def _of_text(kind: pa.DataType) -> pa.DataType:
    """Give the type that the JSON has: the same, with text inside, maps as lists, all lists alike."""
    if pa.types.is_dictionary(kind) or not pa.types.is_nested(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        return pa.struct([(field.name, _of_text(field.type)) for field in fields])
    if pa.types.is_map(kind):
        return pa.list_(pa.struct([("key", _of_text(kind.key_type)), ("value", _of_text(kind.item_type))]))
    return pa.list_(_of_text(kind.value_type))


def _typed(column: pa.Array, kind: pa.DataType, read: Read) -> pa.Array:
    """Give text inside of nested values its type."""
    if pa.types.is_dictionary(kind) or not pa.types.is_nested(kind):
        return read(column, kind)
    valid = pc.is_valid(column)
    mask = pc.invert(valid) if column.null_count else None
    if pa.types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        parts = [_typed(values, field.type, read) for values, field in zip(column.flatten(), fields, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=mask)
    offsets = column.offsets
    first, last = int(offsets[0].as_py()), int(offsets[len(column)].as_py())
    inside = column.values.slice(first, last - first)
    starts = pc.subtract(offsets, first)
    if pa.types.is_map(kind):
        keys, items = inside.flatten()
        if pa.types.is_dictionary(kind.key_type):
            raise BadValue("a map whose keys are a dictionary cannot be read back")
        flat = pa.MapArray.from_arrays(
            starts, _typed(keys, kind.key_type, read), _typed(items, kind.item_type, read), type=kind
        )
        return pc.if_else(valid, flat, pa.scalar(None, kind)) if mask is not None else flat
    values = _typed(inside, kind.value_type, read)
    if pa.types.is_fixed_size_list(kind):
        return _fixed_size(values, valid, kind)
    maker = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    wide = starts.cast(pa.int64()) if pa.types.is_large_list(kind) else starts
    return maker.from_arrays(wide, values, type=kind, mask=mask)


def _fixed_size(values: pa.Array, valid: pa.BooleanArray, kind: pa.DataType) -> pa.Array:
    """Make lists of one size; a null one takes room too."""
    size = kind.list_size
    present = valid.to_numpy(zero_copy_only=False)
    if len(values) != int(present.sum()) * size:
        raise BadValue(f"not canonical JSON of {kind}")
    places = np.repeat(present, size)
    at = np.cumsum(places) - 1
    spread = values.take(pa.array(at, mask=~places))
    mask = pa.array(~present) if not present.all() else None
    return pa.FixedSizeListArray.from_arrays(spread, type=kind, mask=mask)
