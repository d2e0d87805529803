"""Write a column of any type as the text that its cells hold, and read it back as exactly what it was.

Flat types have their canonical text (see `canonical`). Nested ones have canonical JSON (see `nested_text`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import BadValue, UnsupportedType
from pydp_cli.transforms.canonical import canonical_text, has_canonical_text
from pydp_cli.transforms.nested_text import can_nest, from_json, to_json
from pydp_cli.transforms.parse import MOST_ROWS_NAMED, parse_text
from pydp_cli.transforms.types import is_text


def has_cell_text(kind: pa.DataType) -> bool:
    """Tell whether a type can be written as text and read back."""
    return can_nest(kind, _is_readable) if pa.types.is_nested(kind) else _is_readable(kind)


def to_cell_text(column: pa.Array) -> pa.StringArray:
    """Write a column as text; null stays null.

    Raises `BadValue` with the rows whose text would not be read back as the same value, such as dates before the year
    1, and `UnsupportedType` for types that have no text.
    """
    kind = column.type
    if is_text(kind):
        return canonical_text(column)
    if not has_cell_text(kind):
        raise UnsupportedType(f"values of type {kind} cannot be encrypted: they have no canonical text")
    try:
        text = to_json(column, canonical_text) if pa.types.is_nested(kind) else canonical_text(column)
    except pa.ArrowInvalid:  # its message quotes the value
        raise _lost(()) from None
    if not _is_always_exact(kind):
        _check_read_back(text, column)
    return text


def from_cell_text(text: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Read text back as the type that it was written from; raises `BadValue` where it is not of the type."""
    if pa.types.is_dictionary(kind):
        return _in_dictionary(from_cell_text(text, kind.value_type), kind)
    if pa.types.is_nested(kind):
        return from_json(text, kind, from_cell_text)
    if pa.types.is_null(kind):
        return pa.nulls(len(text))
    if pa.types.is_float16(kind):
        return parse_text(text, pa.float32()).cast(kind)
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name != "arrow.uuid":
        return pa.ExtensionArray.from_storage(kind, from_cell_text(text, kind.storage_type))
    return parse_text(text, kind)


def _is_readable(kind: pa.DataType) -> bool:
    if not has_canonical_text(kind):
        return False
    if pa.types.is_null(kind) or isinstance(kind, pa.BaseExtensionType):
        return True
    if pa.types.is_dictionary(kind):
        return has_cell_text(kind.value_type)
    try:
        from_cell_text(pa.nulls(0, pa.string()), kind)
    except UnsupportedType:
        return False
    return True


def _is_always_exact(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind) or pa.types.is_binary(kind)
    )


def _in_dictionary(dense: pa.Array, kind: pa.DictionaryType) -> pa.DictionaryArray:
    found = dense.dictionary_encode() if not pa.types.is_dictionary(dense.type) else dense
    try:
        indices = found.indices.cast(kind.index_type)
    except pa.ArrowInvalid:
        raise BadValue(f"more distinct values than fit {kind}") from None
    return pa.DictionaryArray.from_arrays(indices, found.dictionary.cast(kind.value_type), ordered=kind.ordered)


def _check_read_back(text: pa.StringArray, column: pa.Array) -> None:
    """Refuse values that would be lost, before they are."""
    try:
        back = from_cell_text(text, column.type)
    except BadValue as error:
        raise _lost(error.rows) from None
    again = to_json(back, canonical_text) if pa.types.is_nested(column.type) else canonical_text(back)
    same = pc.fill_null(pc.equal(again, text), fill_value=True)
    if not pc.all(same, min_count=0).as_py() or back.null_count != column.null_count:
        raise _lost(tuple(np.flatnonzero(~same.to_numpy(zero_copy_only=False))[:MOST_ROWS_NAMED].tolist()))
    if not _equal(back, column):
        raise _lost(tuple(_differing(back, column)))


def _equal(back: pa.Array, column: pa.Array) -> bool:
    """Compare values; of floats all that are not a number count as one."""
    if pa.types.is_floating(column.type):
        return True  # their text was compared
    return bool(back.equals(column))


def _differing(back: pa.Array, column: pa.Array) -> list[int]:
    rows = (row for row in range(len(column)) if not back.slice(row, 1).equals(column.slice(row, 1)))
    return [row for row, _ in zip(rows, range(MOST_ROWS_NAMED), strict=False)]


def _lost(rows: tuple[int, ...]) -> BadValue:
    return BadValue(
        "not every part of the value would come back from its text",
        hint="encrypt the whole file (--whole-file), or store the column as another type",
        rows=rows,
    )
