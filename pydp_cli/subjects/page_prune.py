"""Decode only the pages of a row group that may hold what is looked for, where the file has a page index.

Worth it in large row groups of sorted or clustered values. Whatever is missing or does not fit together says nothing:
then the row group is decoded as a whole, and damage is told by that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from pydp_cli.datasets.parquet_page_index import Page, PagedColumn
from pydp_cli.datasets.parquet_read import ParquetSource
from pydp_cli.subjects.parquet_prune import Wanted, is_between, is_plain

LEAST_ROWS = 1 << 18
"""In fewer, to read the index takes longer than to decode all."""
MOST_FOOTER_BYTES = 1 << 18
_PHYSICAL = {1: "INT32", 2: "INT64", 6: "BYTE_ARRAY"}
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OSError, pa.ArrowException)

Ranges = list[tuple[int, int]]


def some_rows(
    source: ParquetSource, group: int, wanted: Mapping[str, Wanted]
) -> Iterator[tuple[int, pa.RecordBatch]] | None:
    """Give the rows of a row group that may be of interest, in runs, each with the position of its first row.

    None where that is not known, or where it is most of them.
    """
    rows = source.group_rows[group]
    if rows < LEAST_ROWS or source.metadata.serialized_size > MOST_FOOTER_BYTES:
        return None
    try:
        columns = _paged(source, group, wanted)
        if columns is None:
            return None
        ranges = _ranges(columns, wanted)
        if 2 * sum(end - first for first, end in ranges) > rows:
            return None
        decoded = {name: column.decoded(ranges) for name, column in columns.items()} if ranges else {}
        for column in decoded.values():
            column.validate(full=True)
    except _DAMAGE:
        return None
    if any(column.type != source.schema.field(name).type for name, column in decoded.items()):
        return None
    return _runs(decoded, ranges)


def _paged(source: ParquetSource, group: int, wanted: Mapping[str, Wanted]) -> dict[str, PagedColumn] | None:
    """Give the columns with their page indexes; None where one has none, or compares otherwise."""
    found = {}
    for name, looked_for in wanted.items():
        column = PagedColumn.find(source.footer, group, name, source.read_at)
        if column is None or not looked_for.exact:
            return None
        if not is_plain(source.schema.field(name).type, _PHYSICAL.get(column.physical_type, "")):
            return None
        found[name] = column
    return found


def _ranges(columns: Mapping[str, PagedColumn], wanted: Mapping[str, Wanted]) -> Ranges:
    """Give the rows of the pages that may be of interest, of any of the columns, joined where they touch."""
    found = sorted(
        (page.first_row, page.first_row + page.rows)
        for name, column in columns.items()
        for page in column.pages
        if _may_hold(page, column.physical_type, wanted[name])
    )
    joined: Ranges = []
    for first, end in found:
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


def _may_hold(page: Page, physical: int, wanted: Wanted) -> bool:
    if page.bounds is None:
        return False
    if _PHYSICAL[physical] == "BYTE_ARRAY":
        return is_between(wanted.stored("BYTE_ARRAY"), *page.bounds)
    return is_between(wanted.numbers, *(int.from_bytes(bound, "little", signed=True) for bound in page.bounds))


def _runs(decoded: Mapping[str, pa.Array], ranges: Ranges) -> Iterator[tuple[int, pa.RecordBatch]]:
    start = 0
    for first, end in ranges:
        columns = [column.slice(start, end - first) for column in decoded.values()]
        yield first, pa.record_batch(columns, list(decoded))
        start += end - first
