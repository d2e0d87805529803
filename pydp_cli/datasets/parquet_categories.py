"""Find what goes from the dictionaries of a column of categories, which writers repeat in every row group.

A row group without a row of a person has the person's category all the same: pandas and pyarrow write the whole
dictionary each time. So a category that only rows had which go or change, is to go from every row group. The others
stay, used or not, for their order is the order of ordered categories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.datasets.edits import Rows

Decode = Callable[[int], pa.ChunkedArray]


@dataclass(frozen=True)
class GoneCategories:
    """Categories that no row has any more, and the row groups whose dictionaries hold one of them."""

    values: pa.Array = field(repr=False)
    groups: frozenset[int] = frozenset()


def gone_categories(column_of: Decode, group_rows: Sequence[int], edited: Rows) -> GoneCategories | None:
    """Tell what goes where some rows of a column, by their sorted positions in the file, go or change.

    `column_of` decodes the column of a row group. None where the column has no categories.
    """
    starts = np.concatenate([[0], np.cumsum(group_rows)])
    parts = [edited[slice(*np.searchsorted(edited, starts[at : at + 2]))] - starts[at] for at in range(len(group_rows))]
    had = _values_of(column_of, parts)
    if had is None or not len(had):
        return None
    kept = np.zeros(len(had), bool)
    holders: dict[int, set[int]] = {}
    for group, rows in enumerate(parts):
        start = 0
        for chunk in column_of(group).chunks:
            places = pc.index_in(chunk.dictionary, value_set=had).fill_null(-1).to_numpy()
            holders.setdefault(group, set()).update(places[places >= 0].tolist())
            stays = np.ones(len(chunk), bool)
            stays[rows[slice(*np.searchsorted(rows, [start, start + len(chunk)]))] - start] = False
            used = chunk.indices.filter(pa.array(stays)).drop_null().unique().to_numpy()
            kept[places[used][places[used] >= 0]] = True
            start += len(chunk)
    gone = set(np.flatnonzero(~kept).tolist())
    groups = frozenset(group for group, held in holders.items() if held & gone)
    return GoneCategories(had.filter(pa.array(~kept)), groups)


def _values_of(column_of: Decode, parts: Sequence[Rows]) -> pa.Array | None:
    """Give the distinct values of some rows of each row group; None where the column has no categories."""
    found = []
    for group, rows in enumerate(parts):
        if len(rows):
            column = column_of(group)
            if not pa.types.is_dictionary(column.type):
                return None
            taken = column.take(pa.array(rows))
            found += [chunk.dictionary_decode() for chunk in taken.chunks]
    return pa.chunked_array(found).unique().drop_null() if found else None


def without(column: pa.ChunkedArray, gone: GoneCategories | None) -> pa.ChunkedArray:
    """Take what is gone out of a column's dictionaries: a writer would store it though no row refers to it."""
    if gone is None or not pa.types.is_dictionary(column.type):
        return column
    return pa.chunked_array([_without(chunk, gone.values) for chunk in column.chunks], column.type)


def _without(chunk: pa.DictionaryArray, gone: pa.Array) -> pa.DictionaryArray:
    indices = chunk.indices
    stays = pc.invert(pc.is_in(chunk.dictionary, value_set=gone)).to_numpy(zero_copy_only=False)
    stays[indices.drop_null().unique().to_numpy()] = True
    if stays.all():
        return chunk
    places = (np.cumsum(stays) - 1).astype(np.int32)
    moved = pa.array(places).take(indices)
    return pa.DictionaryArray.from_arrays(moved, chunk.dictionary.filter(pa.array(stays)), ordered=chunk.type.ordered)
