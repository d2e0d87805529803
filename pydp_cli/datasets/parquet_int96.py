"""Read INT96 timestamps (Spark, Hive, Impala) without losing any: the unit is chosen by looking at them.

Nanoseconds reach from 1677 to 2262 only, and pyarrow wraps what is outside (9999-12-31 becomes 1816-03-30) without a
word; microseconds reach far enough but cut the rest off. So nanoseconds are used where every value fits, else
microseconds where no value has more digits, and a file that needs both is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import InputError

_LIMIT_US = (2**63 - 1) // 1000


def has_int96(schema: Any) -> bool:
    """Tell whether any leaf of a Parquet schema is INT96."""
    return bool(int96_paths(schema))


def int96_paths(schema: Any) -> list[str]:
    """List the leaf paths that are INT96."""
    return [schema.column(index).path for index in range(len(schema)) if schema.column(index).physical_type == "INT96"]


def int96_unit(open_with: Callable[[str | None], Any], name: str) -> str:
    """Choose `ns` or `us` so that every value of the file is kept; reads the INT96 columns only."""
    if all(_fits(column) for column in _timestamps(open_with("us"))):
        return "ns"
    both = zip(_timestamps(open_with("us")), _timestamps(open_with("ns")), strict=True)
    if any(_has_nanoseconds(micros, nanos) for micros, nanos in both):
        raise InputError(
            "its INT96 timestamps need both nanoseconds and years beyond 2262, which no Arrow type holds",
            place=name,
            hint="rewrite the file with INT64 timestamps",
        )
    return "us"


def _timestamps(parquet: Any) -> Iterator[pa.Array]:
    for batch in parquet.iter_batches(columns=int96_paths(parquet.schema), use_threads=False):
        for column in batch.columns:
            yield from _timestamps_within(column)


def _timestamps_within(column: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_timestamp(column.type):
        yield column
    elif pa.types.is_struct(column.type):
        for child in column.flatten():
            yield from _timestamps_within(child)
    elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        yield from _timestamps_within(column.flatten())
    elif pa.types.is_map(column.type):
        yield from _timestamps_within(column.keys)
        yield from _timestamps_within(column.items)


def _fits(micros: pa.Array) -> bool:
    bounds = pc.min_max(micros.cast(pa.int64()))
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    return low is None or (low > -_LIMIT_US and high < _LIMIT_US)


def _has_nanoseconds(micros: pa.Array, nanos: pa.Array) -> bool:
    number = micros.cast(pa.int64())
    whole = pc.multiply(number, 1000)  # wraps where out of range, which `inside` leaves out
    inside = pc.and_(pc.less(number, _LIMIT_US), pc.greater(number, -_LIMIT_US))
    differs = pc.not_equal(whole, nanos.cast(pa.int64()))
    return bool(pc.any(pc.and_(inside, differs)).as_py())
