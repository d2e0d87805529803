"""Read the page index of a Parquet file, and decode only some pages of a column.

The page index says of each page of a column chunk where it is, which rows it has, and the least and the greatest of its
values. The structs and their fields are those of parquet-format, parquet.thrift: `ColumnIndex` and `OffsetIndex`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.parquet_splice import MAGIC, first_byte
from pydp_cli.datasets.thrift_compact import Items, NotThrift, Reader, Struct, write_struct

# FileMetaData
_SCHEMA, _NUM_ROWS, _ROW_GROUPS, _ORDERS = 2, 3, 4, 7
# SchemaElement, and RowGroup
_CHILDREN, _COLUMNS, _GROUP_ROWS = 5, 1, 3
# ColumnChunk
_META, _OFFSET_INDEX, _OFFSET_INDEX_LENGTH, _COLUMN_INDEX, _COLUMN_INDEX_LENGTH = 3, 4, 5, 6, 7
# ColumnMetaData
_PATH, _NUM_VALUES, _COMPRESSED, _DATA_PAGE, _DICTIONARY_PAGE = 3, 5, 7, 9, 11
_NEEDED_META = (1, 2, _PATH, 4, _NUM_VALUES, 6, _COMPRESSED, _DATA_PAGE, _DICTIONARY_PAGE)
_BY_TYPE = 1  # of ColumnOrder
_V1, _V2, _VALUES = 5, 8, 1  # of PageHeader, and of both of its headers of data pages
_STRUCT = 12

ReadAt = Callable[[int, int], bytes]
"""Give so many bytes of the file from a position on."""
Bounds = tuple[bytes, bytes]


@dataclass(frozen=True)
class Page:
    """A data page: `length` bytes `at` a position, and `rows` from `first_row` of the row group on.

    `bounds` are the least and the greatest value as they are stored; they may have been cut so that they still bound
    what is there. None where all is null.
    """

    at: int
    length: int
    first_row: int
    rows: int
    bounds: Bounds | None = field(repr=False)


@dataclass(frozen=True)
class PagedColumn:
    """A column chunk that has a page index; columns of structs and lists have none here."""

    footer: Struct
    group: int
    leaf: int
    pages: tuple[Page, ...]
    read_at: ReadAt

    @classmethod
    def find(cls, footer: Struct, group: int, column: str, read_at: ReadAt) -> PagedColumn | None:
        """Find the page index of a column in a row group; None where there is none that can be relied on.

        Raises `NotThrift` (a `ValueError`) where the file is damaged.
        """
        chunks = footer[_ROW_GROUPS][group][_COLUMNS]
        leaf = next((n for n, chunk in enumerate(chunks) if chunk[_META][_PATH] == [column.encode()]), None)
        if leaf is None or not {_OFFSET_INDEX, _COLUMN_INDEX} <= set(chunks[leaf]):
            return None
        orders = footer.get(_ORDERS, ())
        if len(orders) <= leaf or _BY_TYPE not in orders[leaf]:
            return None
        pages = _pages(chunks[leaf], footer[_ROW_GROUPS][group][_GROUP_ROWS], read_at)
        return cls(footer, group, leaf, pages, read_at)

    @property
    def physical_type(self) -> int:
        """How values are stored, as parquet.thrift's `Type`."""
        return int(self.footer[_ROW_GROUPS][self.group][_COLUMNS][self.leaf][_META][1])

    def decoded(self, ranges: Sequence[tuple[int, int]]) -> pa.Array:
        """Decode the rows of some ranges, from one to before another, one after the other.

        Raises `NotThrift` where pages do not have the rows that the index says, and what pyarrow raises over damage.
        """
        wanted = [page for page in self.pages if any(_overlap(page, one) for one in ranges)]
        column = self._read(wanted)
        starts, start = [], 0
        for page in wanted:
            starts.append((page, start))
            start += page.rows
        pieces = []
        for first, end in ranges:
            page, at = next((page, at) for page, at in starts if page.first_row <= first < page.first_row + page.rows)
            pieces += column.slice(at + first - page.first_row, end - first).chunks
        return pa.concat_arrays(pieces)

    def _read(self, pages: Sequence[Page]) -> pa.ChunkedArray:
        """Decode pages, by putting them into a file of their own."""
        old = self.footer[_ROW_GROUPS][self.group][_COLUMNS][self.leaf][_META]
        at = old.get(_DICTIONARY_PAGE)
        dictionary = self.read_at(at, self.pages[0].at - at) if at else b""
        stored = [self.read_at(page.at, page.length) for page in pages]
        if any(_num_values(data) != page.rows for data, page in zip(stored, pages, strict=True)):
            raise NotThrift("a page does not have the rows that the index says")
        data, rows = b"".join(stored), sum(page.rows for page in pages)
        meta = _some_of(old, _NEEDED_META)
        meta[_NUM_VALUES], meta[_COMPRESSED] = rows, len(dictionary) + len(data)
        meta[_DATA_PAGE] = len(MAGIC) + len(dictionary)
        if at:
            meta[_DICTIONARY_PAGE] = len(MAGIC)
        footer = write_struct(self._footer_of(meta, rows))
        blob = b"".join([MAGIC, dictionary, data, footer, len(footer).to_bytes(4, "little"), MAGIC])
        return pq.ParquetFile(pa.BufferReader(blob), page_checksum_verification=True).read(use_threads=False).column(0)

    def _footer_of(self, meta: Struct, rows: int) -> Struct:
        old_group = self.footer[_ROW_GROUPS][self.group]
        chunk = _some_of(old_group[_COLUMNS][self.leaf], (2, _META))
        chunk[_META] = meta
        group = _some_of(old_group, (_COLUMNS, 2, _GROUP_ROWS))
        group[_COLUMNS], group[_GROUP_ROWS] = Items(_STRUCT, [chunk]), rows
        root, *elements = self.footer[_SCHEMA]
        root = _some_of(root, root)
        root[_CHILDREN] = 1
        leaves = [element for element in elements if not element.get(_CHILDREN)]
        footer = _some_of(self.footer, (1, _SCHEMA, _NUM_ROWS, _ROW_GROUPS))
        footer[_SCHEMA] = Items(_STRUCT, [root, leaves[self.leaf]])
        footer[_NUM_ROWS], footer[_ROW_GROUPS] = rows, Items(_STRUCT, [group])
        return footer


def page_bounds(chunk: Struct, read_at: ReadAt) -> list[Bounds | None]:
    """Give the least and the greatest value of each page of a column chunk, as they are stored; None where all is null.

    Nothing where there is no index. Raises `NotThrift` where it is damaged.
    """
    if _COLUMN_INDEX not in chunk:
        return []
    bounds = Reader(read_at(chunk[_COLUMN_INDEX], chunk[_COLUMN_INDEX_LENGTH])).struct()
    only_nulls, least, greatest = bounds[1], bounds[2], bounds[3]
    if not len(only_nulls) == len(least) == len(greatest):
        raise NotThrift("a page index does not have all pages")
    return [None if null else (low, high) for null, low, high in zip(only_nulls, least, greatest, strict=True)]


def _pages(chunk: Struct, rows: int, read_at: ReadAt) -> tuple[Page, ...]:
    offsets = Reader(read_at(chunk[_OFFSET_INDEX], chunk[_OFFSET_INDEX_LENGTH])).struct()[1]
    bounds = page_bounds(chunk, read_at)
    firsts = [one[3] for one in offsets]
    if len(offsets) != len(bounds) or firsts[:1] != [0]:
        raise NotThrift("a page index does not have all pages")
    counts = [end - first for first, end in zip(firsts, [*firsts[1:], rows], strict=True)]
    begin = first_byte(chunk[_META])
    end = begin + chunk[_META][_COMPRESSED]
    at = begin
    for one in offsets:
        if one[1] < at or one[2] <= 0:
            raise NotThrift("a page index names pages that overlap")
        at = one[1] + one[2]
    if min(counts) <= 0 or at > end:
        raise NotThrift("a page index names what is not there")
    return tuple(
        Page(one[1], one[2], one[3], count, bound) for one, count, bound in zip(offsets, counts, bounds, strict=True)
    )


def _num_values(page: bytes) -> int:
    header = Reader(page).struct()
    return int(header[_V1 if _V1 in header else _V2][_VALUES])


def _overlap(page: Page, rows: tuple[int, int]) -> bool:
    return page.first_row < rows[1] and rows[0] < page.first_row + page.rows


def _some_of(struct: Struct, fields: Sequence[int] | Struct) -> Struct:
    """Copy some fields of a struct, those that it has."""
    some = Struct()
    for number in fields:
        if number in struct:
            some[number], some.kinds[number] = struct[number], struct.kinds[number]
    return some
