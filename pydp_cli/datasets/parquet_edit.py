"""Change rows of a Parquet file: row groups and columns that are not concerned are copied without being decoded.

A row group that loses rows is decoded and encoded again column by column, each with the codec, the encoding, the page
version, the checksums, the statistics, the indexes and the bloom filter it had. Where only cells change, the other
columns of the row group are copied too. The footer keeps all it holds, also what this reader does not know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.edits import Edited, Edits, Replacement, Rows
from pydp_cli.datasets.parquet_categories import GoneCategories, gone_categories, without
from pydp_cli.datasets.parquet_columns import editable
from pydp_cli.datasets.parquet_footer import ColumnLayout, footer_bytes, row_group_layout
from pydp_cli.datasets.parquet_layout import writer_options
from pydp_cli.datasets.parquet_pages import peek_page_header
from pydp_cli.datasets.parquet_read import Layout, ParquetSource, open_parquet
from pydp_cli.datasets.parquet_splice import Read, Splicer, first_byte, read_footer
from pydp_cli.datasets.thrift_compact import Items, NotThrift, Reader, Struct
from pydp_cli.errors import InputError, UsageError

# FileMetaData
_SCHEMA, _ROW_GROUPS, _CREATED_BY, _ENCRYPTION = 2, 4, 6, 8
# RowGroup
_COLUMNS, _BYTES, _ROWS, _SORTING, _COMPRESSED_BYTES = 1, 2, 3, 4, 6
# ColumnChunk
_FILE_PATH, _META, _CRYPTO = 1, 3, 8
# ColumnMetaData
_ENCODINGS, _PATH, _UNCOMPRESSED, _COMPRESSED, _DICTIONARY, _STATISTICS, _BLOOM = 2, 3, 6, 7, 11, 12, 14
# SchemaElement
_TYPE, _LENGTH, _REPETITION, _CHILDREN, _CONVERTED, _SCALE, _LOGICAL = 1, 2, 3, 5, 6, 7, 10
_PLAIN_DICTIONARY = 2  # of Encoding
_DELTA = "DELTA_BINARY_PACKED"
_DECIMAL, _TIME, _TIMESTAMP = 5, 7, 8  # of LogicalType
_UNITS = {7: 1, 9: 1, 8: 2, 10: 2}  # of ConvertedType: milliseconds are 1, microseconds 2, as in TimeUnit
_INT32, _INT64, _FIXED = 1, 2, 7  # of Type

_STRUCT = 12
_HEAD_BYTES = 64
_OLD_WRITER = re.compile(rb"parquet-mr( version)? 1\.[0-2]\.")
_LEAST_FALSE_POSITIVES = 1e-6
_MARGIN = 1.5
"""By how much a filter may be worse than it was: the writer makes it as small as that allows."""


@dataclass(frozen=True)
class _Root:
    """A top-level column: its field, the Parquet columns it takes, and its part of the footer's schema."""

    field: pa.Field
    leaves: range
    elements: tuple[Struct, ...]


@dataclass(frozen=True)
class _Like:
    """One column of one row group, as what is encoded is to be."""

    schema: pa.Schema
    layout: Layout
    group_rows: tuple[int, ...]


def edit_parquet(path: str, stream: BinaryIO, edits: Edits) -> Edited:
    """Write to `stream` what the file becomes.

    Raises `InputError` for a damaged or encrypted file, and `UsageError` where a column is missing, may not hold nulls
    or is stored in a way in which it cannot be written again.
    """
    source = open_parquet(path, path)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - paths are strings here
        with _explained(path):
            edit = _Edit(source, file, edits, Splicer(stream))
        try:
            return edit.run()
        except NotThrift as error:
            raise _damaged(path) from error


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn what is met on the way through a damaged footer into an error that names the file."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _damaged(path: str) -> InputError:
    return InputError("the Parquet file is damaged", place=path, hint="get it again from its source")


class _Edit:
    def __init__(self, source: ParquetSource, file: Any, edits: Edits, splicer: Splicer) -> None:
        self.source, self.file, self.edits, self.splicer = source, file, edits, splicer
        self.footer = Reader(footer_bytes(file)).struct()
        self.size = os.fstat(file.fileno()).st_size
        self.roots = tuple(_roots(self.footer[_SCHEMA], source.schema))
        self.layouts = [row_group_layout(group) for group in self.footer[_ROW_GROUPS]]
        self.encoded_bytes = 0
        _refuse_what_cannot_be_kept(self.footer, edits, source)

    def run(self) -> Edited:
        groups = self.footer[_ROW_GROUPS]
        self.splicer.begin(self.footer)
        gone = {root.field.name: found for root in self.roots if (found := self._gone(root)) is not None}
        unclean = frozenset[int]().union(*(one.groups for one in gone.values()))
        start = copied = encoded = dropped = 0
        for number, group in enumerate(groups):
            rows = group[_ROWS]
            here = self.edits.between(start, start + rows)
            start += rows
            if rows and len(here.delete) == rows:
                dropped += 1
            elif here or number in unclean:
                self._append_edited(number, group, here, gone)
                encoded += 1
            else:
                self.splicer.append_group(group, [self._read] * len(group[_COLUMNS]))
                copied += 1
        if self.edits.last >= start:
            raise InputError("has fewer rows than when it was searched", place=self.source.name, hint="run again")
        self.splicer.close()
        return Edited(
            rows_before=start,
            rows_deleted=len(self.edits.delete),
            cells_changed=_cells_changed(self.edits),
            units_copied=copied,
            units_encoded=encoded,
            units_dropped=dropped,
            bytes_copied=self.splicer.copied - self.encoded_bytes,
        )

    def _gone(self, root: _Root) -> GoneCategories | None:
        """Tell which categories of a column no row has any more."""
        replacement = self.edits.replace.get(root.field.name)
        edited = self.edits.delete if replacement is None else np.union1d(self.edits.delete, replacement.rows)
        if not len(edited) or not pa.types.is_dictionary(root.field.type):
            return None
        return gone_categories(lambda group: self.source.column_of(group, root.leaves), self.source.group_rows, edited)

    def _append_edited(self, number: int, group: Struct, edits: Edits, gone: Mapping[str, GoneCategories]) -> None:
        chunks: list[Struct] = []
        reads: list[Read] = []
        for root in self.roots:
            old = [group[_COLUMNS][leaf] for leaf in root.leaves]
            replacement = edits.replace.get(root.field.name)
            name = root.field.name
            is_unclean = name in gone and number in gone[name].groups
            if not len(edits.delete) and replacement is None and not is_unclean:
                chunks += old
                reads += [self._read] * len(old)
                continue
            column = editable(self.source.column_of(number, root.leaves), self._place(root))
            if replacement is not None:
                column = _replaced(column, replacement, root.field, self._place(root))
            if len(edits.delete):
                keep = np.ones(group[_ROWS], bool)
                keep[edits.delete] = False
                column = column.filter(pa.array(keep))
            new, read = self._encoded(root, without(column, gone.get(name)), number, old)
            chunks += new
            reads += [read] * len(new)
        group[_SORTING] = self._sorting(group, edits)
        if not group[_SORTING]:
            del group[_SORTING]
        group[_COLUMNS] = Items(_STRUCT, chunks)
        group[_ROWS] -= len(edits.delete)
        group[_BYTES] = sum(chunk[_META][_UNCOMPRESSED] for chunk in chunks)
        if _COMPRESSED_BYTES in group:
            group[_COMPRESSED_BYTES] = sum(chunk[_META][_COMPRESSED] for chunk in chunks)
        self.splicer.append_group(group, reads)

    def _encoded(
        self, root: _Root, column: pa.ChunkedArray, number: int, old: Sequence[Struct]
    ) -> tuple[list[Struct], Read]:
        """Encode a column as it was; gives its chunks and what reads them."""
        schema = pa.schema([root.field.with_type(column.type)])
        table = pa.Table.from_arrays([column], schema=schema)
        options = self._options(root, schema, number, old)
        # Format 1.0 has another name for dictionary encoding, and lacks some types.
        for version in ("1.0", "2.6") if _is_of_version_1(old) else ("2.6",):
            out = pa.BufferOutputStream()
            with pq.ParquetWriter(out, schema, **options | {"version": version}) as writer:
                writer.write_table(table, row_group_size=max(1, len(column)))
            data = memoryview(out.getvalue())
            footer = read_footer(data)
            if _are_alike(root.elements, footer[_SCHEMA][1:]) and len(footer[_ROW_GROUPS]) == 1:
                break
        else:
            raise UsageError(
                "is stored in a way in which it cannot be written again", place=self._place(root), hint=_HOW_TO_GO_ON
            )
        chunks = list(footer[_ROW_GROUPS][0][_COLUMNS])
        for new, was in zip(chunks, old, strict=True):
            new[_META][_PATH] = was[_META][_PATH]
            self.encoded_bytes += new[_META][_COMPRESSED]
        return chunks, lambda at, length: data[at : at + length]

    def _options(self, root: _Root, schema: pa.Schema, number: int, old: Sequence[Struct]) -> dict[str, Any]:
        layout = self.layouts[number].columns[root.leaves.start : root.leaves.stop]
        rows = self.source.group_rows[number]
        pages = [peek_page_header(self.file, column.first_data_page) for column in layout]
        like = Layout(
            columns=layout,
            sorting=(),
            has_checksums=any(page is not None and page.has_checksum for page in pages),
            data_page_version="2.0" if any(page is not None and page.is_version_2 for page in pages) else "1.0",
            stores_arrow_schema=False,
        )
        options = writer_options(schema, _Like(pa.schema([root.field]), like, (rows,)), treated=None)
        paths = list(options["compression"]) if isinstance(options["compression"], dict) else []
        stored = dict(zip(paths, (chunk[_META] for chunk in old), strict=True))
        if any(map(_is_decimal_of_integers, root.elements)):
            encodings = {path: _DELTA for path, one in zip(paths, layout, strict=True) if _is_delta(one)}
            options["column_encoding"] = {**options.get("column_encoding", {}), **encodings} or None
        dictionaries = [self._page_bytes(meta[_DICTIONARY]) for meta in stored.values() if meta.get(_DICTIONARY)]
        return options | {
            "store_schema": False,
            "write_statistics": [path for path, meta in stored.items() if _STATISTICS in meta] or False,
            "dictionary_pagesize_limit": max([1 << 20, *dictionaries]),
            "store_decimal_as_integer": any(map(_is_decimal_of_integers, root.elements)),
            "bloom_filter_options": {
                path: {"ndv": rows, "fpp": self._false_positives(meta[_BLOOM])}
                for path, meta in stored.items()
                if _BLOOM in meta
            }
            or None,
        }

    def _sorting(self, group: Struct, edits: Edits) -> Items:
        """Keep the sort order as far as its leading columns keep their values."""
        changed = {leaf for root in self.roots if root.field.name in edits.replace for leaf in root.leaves}
        kept = []
        for one in group.get(_SORTING, ()):
            if one[1] in changed:
                break
            kept.append(one)
        group.kinds.setdefault(_SORTING, 9)
        return Items(_STRUCT, kept)

    def _page_bytes(self, at: int) -> int:
        """Give the decompressed size of the page at a position."""
        return int(Reader(self._read(at, min(_HEAD_BYTES, self.size - at))).struct()[2])

    def _false_positives(self, at: int) -> float:
        """Tell how often a split-block Bloom filter says yes to a stranger: each value sets one bit in eight words."""
        reader = Reader(self._read(at, min(_HEAD_BYTES, self.size - at)))
        size = reader.struct()[1]
        bits = np.frombuffer(self._read(at + reader.at, size), np.uint8)
        filled = float(np.bitwise_count(bits).sum()) / max(1, 8 * size)
        return float(min(max(_MARGIN * filled**8, _LEAST_FALSE_POSITIVES), 0.5))

    def _read(self, at: int, length: int) -> bytes:
        if at < 0 or length < 0 or at + length > self.size:
            raise NotThrift("the footer names what is not in the file")
        pieces = []
        while length > 0:
            data = os.pread(self.file.fileno(), length, at)
            if not data:
                raise InputError("changed while it was read", place=self.source.name, hint="run again")
            pieces.append(data)
            at, length = at + len(data), length - len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _place(self, root: _Root) -> str:
        return f'{self.source.name}, column "{root.field.name}"'


_HOW_TO_GO_ON = "write the file again with another tool, or keep the column as it is"


def _refuse_what_cannot_be_kept(footer: Struct, edits: Edits, source: ParquetSource) -> None:
    for name in edits.replace:
        if name not in source.schema.names:
            raise UsageError(f'there is no column "{name}"', place=source.name)
    if _ENCRYPTION in footer or any(
        _CRYPTO in chunk or _META not in chunk for group in footer[_ROW_GROUPS] for chunk in group[_COLUMNS]
    ):
        raise UsageError("encrypted Parquet files cannot be changed in place", place=source.name)
    if any(_FILE_PATH in chunk for group in footer[_ROW_GROUPS] for chunk in group[_COLUMNS]):
        raise UsageError("its columns are in other files", place=source.name)
    if _OLD_WRITER.match(footer.get(_CREATED_BY, b"")):  # it left the dictionary page's header out of the size
        raise UsageError(
            "was written by a version of parquet-mr that notes wrong sizes", place=source.name, hint=_HOW_TO_GO_ON
        )
    for group in footer[_ROW_GROUPS]:
        for chunk in group[_COLUMNS]:
            if first_byte(chunk[_META]) < 4:
                raise NotThrift("the footer names what is not in the file")


def _roots(elements: Sequence[Struct], schema: pa.Schema) -> Iterator[_Root]:
    """Cut the footer's schema, which is a tree in depth-first order, into the top-level columns."""
    at = 1
    leaf = 0
    for field in schema:
        start, first = at, leaf
        open_elements = 1
        while open_elements:
            children = elements[at].get(_CHILDREN, 0)
            leaf += not children
            open_elements += children - 1
            at += 1
        yield _Root(field, range(first, leaf), tuple(elements[start:at]))


def _are_alike(old: Sequence[Struct], new: Sequence[Struct]) -> bool:
    """Tell whether what was encoded under the new schema can be read under the old one."""
    return [_meaning(element) for element in old] == [_meaning(element) for element in new]


def _meaning(element: Struct) -> tuple[Any, ...]:
    stored = element.get(_TYPE)
    return (
        stored,
        element.get(_LENGTH) if stored == _FIXED else None,
        element.get(_REPETITION),
        element.get(_CHILDREN, 0),
        _unit(element),
        _scale(element),
    )


def _unit(element: Struct) -> int | None:
    logical = element.get(_LOGICAL, {})
    for kind in (_TIME, _TIMESTAMP):
        if kind in logical:
            return int(next(iter(logical[kind][2])))
    return _UNITS.get(element.get(_CONVERTED, -1))


def _scale(element: Struct) -> int | None:
    if not _is_decimal(element):
        return None
    logical = element.get(_LOGICAL, {})
    return int(logical[_DECIMAL][1] if _DECIMAL in logical else element.get(_SCALE, 0))


def _is_decimal(element: Struct) -> bool:
    return _DECIMAL in element.get(_LOGICAL, {}) or element.get(_CONVERTED) == _DECIMAL


def _is_decimal_of_integers(element: Struct) -> bool:
    return _is_decimal(element) and element.get(_TYPE) in {_INT32, _INT64}


def _is_delta(column: ColumnLayout) -> bool:
    return _DELTA in column.encodings and column.physical_type in {"INT32", "INT64"} and not column.has_dictionary


def _is_of_version_1(chunks: Sequence[Struct]) -> bool:
    return any(_PLAIN_DICTIONARY in chunk[_META][_ENCODINGS] for chunk in chunks)


def _replaced(column: pa.ChunkedArray, replacement: Replacement, field: pa.Field, place: str) -> pa.ChunkedArray:
    """Put the new values in their places, chunk by chunk."""
    chunks = []
    start = 0
    for chunk in column.chunks:
        first, last = np.searchsorted(replacement.rows, [start, start + len(chunk)])
        rows: Rows = replacement.rows[first:last] - start
        start += len(chunk)
        if len(rows):
            old = chunk.take(pa.array(rows))
            dictionary = pa.types.is_dictionary(old.type)
            new = replacement.values(old.dictionary_decode() if dictionary else old, place=place)
            if new.null_count and not field.nullable:
                raise UsageError("the column may not hold nulls", place=place)
            order = np.arange(len(chunk))
            order[rows] = np.arange(len(chunk), len(chunk) + len(rows))
            both = pa.concat_arrays([chunk, new.dictionary_encode().cast(chunk.type) if dictionary else new])
            chunks.append(both.take(pa.array(order)))
        else:
            chunks.append(chunk)
    return pa.chunked_array(chunks, column.type)


def _cells_changed(edits: Edits) -> int:
    return sum(len(np.setdiff1d(one.rows, edits.delete, assume_unique=True)) for one in edits.replace.values())
