"""Bring decoded columns into a type in which rows can be taken."""

from __future__ import annotations

import pyarrow as pa

from pydp_cli.errors import UnsupportedType


def editable(column: pa.ChunkedArray, place: str) -> pa.ChunkedArray:
    """Give a column in a type that Parquet stores alike and whose rows Arrow can take.

    Views become plain text or bytes, and so do dictionaries within nested values; a dictionary column keeps its
    dictionary, with 32-bit indices.
    """
    kind = _dense(column.type)
    if pa.types.is_dictionary(column.type):
        kind = pa.dictionary(pa.int32(), kind, ordered=column.type.ordered)
    if kind == column.type:
        return column
    try:
        return column.cast(kind)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise UnsupportedType("values of this type cannot be changed in place", place=place) from None


def _dense(kind: pa.DataType) -> pa.DataType:  # noqa: PLR0911 - one for each type
    if pa.types.is_dictionary(kind):
        return _dense(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([_dense_field(kind.field(index)) for index in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(_dense_field(kind.key_field), _dense_field(kind.item_field), keys_sorted=kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_dense_field(kind.value_field), kind.list_size)
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(_dense_field(kind.value_field))
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_dense_field(kind.value_field))
    return kind


def _dense_field(field: pa.Field) -> pa.Field:
    return field.with_type(_dense(field.type))
