"""The two faces of a column: as the file stores it, and dense as transforms see it.

Text has many physical types (string, large_string, string_view, dictionaries of those). Transforms see one:
`pa.string()`.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.policy.column_types import dense_type


def densify(column: pa.Array) -> pa.Array:
    """Give a column as transforms see it; the same object where nothing has to change."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = dense_type(column.type)
    return column if column.type == kind else pc.cast(column, kind)


def stored_type(source: pa.DataType, given: pa.DataType) -> pa.DataType:
    """Name the type in which a treated column is stored: the source's own physical type where the values are alike.

    A treated dictionary column gets 32-bit indices, because treatment may make more distinct values.
    """
    if given != dense_type(source):
        return given
    if pa.types.is_dictionary(source):
        return pa.dictionary(pa.int32(), source.value_type)
    return source


def store(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Give a dense column its stored type."""
    if column.type == kind:
        return column
    if pa.types.is_dictionary(kind):
        return pc.cast(column, kind.value_type).dictionary_encode()
    return pc.cast(column, kind)


def take_rows(column: pa.Array, rows: pa.Array) -> pa.Array:
    """Take rows of a column in its own type; Arrow takes none of views, which become plain text or bytes."""
    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        column = densify(column)
    return column.take(rows)
