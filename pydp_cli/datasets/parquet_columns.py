"""Bring decoded columns into a type in which rows can be taken, and in which nothing of those that go is left."""

from __future__ import annotations

import numpy as np
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


def compacted(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Drop from a column's dictionaries what no row refers to: a writer would store it all the same.

    The order of what stays is kept, because it is the order of ordered categories.
    """
    if not pa.types.is_dictionary(column.type):
        return column
    return pa.chunked_array([_with_used_values(chunk) for chunk in column.chunks], column.type)


def _with_used_values(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    indices = chunk.indices
    used = np.unique(indices.drop_null().to_numpy(zero_copy_only=False))
    if len(used) == len(chunk.dictionary):
        return chunk
    places = np.zeros(len(chunk.dictionary), np.int32)
    places[used] = np.arange(len(used), dtype=np.int32)
    moved = pa.array(places).take(indices)
    return pa.DictionaryArray.from_arrays(moved, chunk.dictionary.take(pa.array(used)), ordered=chunk.type.ordered)


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
