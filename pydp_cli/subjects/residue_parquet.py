"""Residue in Parquet files: what is left of a person besides the rows, in what a file says of its data.

Metadata, names of columns, statistics, page indexes, dictionaries, and the bloom filters of the columns of people's
ids.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.parquet_dictionaries import READABLE, Dictionary, dictionaries
from pydp_cli.datasets.parquet_footer import footer_bytes
from pydp_cli.datasets.parquet_page_index import page_bounds
from pydp_cli.datasets.thrift_compact import NotThrift, Reader, Struct
from pydp_cli.subjects.bloom_filters import blocks_of, has, stale
from pydp_cli.subjects.parquet_prune import is_plain
from pydp_cli.subjects.sought import Sought

_TEXTS = frozenset({"STRING", "ENUM", "JSON", "NONE"})
_WHOLE_NUMBERS = frozenset({"INT", "NONE"})
_UNSIGNED = frozenset({"UINT_8", "UINT_16", "UINT_32", "UINT_64"})


def parquet_residue(path: str, shown: str, sought: Sought) -> Iterator[tuple[str, bool]]:
    """Say what is left in a local file, and whether that is certain; nothing where it is not Parquet.

    Raises `InputError` for a damaged file, whose name is `shown`.
    """
    with open(path, "rb") as stream:  # noqa: PTH123 - paths are strings here
        if stream.read(4) == b"PAR1":
            with pq.ParquetFile(path) as parquet:
                yield from _Parquet(parquet, path, shown, stream, sought).run()


class _Parquet:
    def __init__(self, parquet: Any, path: str, shown: str, stream: BinaryIO, sought: Sought) -> None:
        self.parquet, self.path, self.shown, self.stream, self.sought = parquet, path, shown, stream, sought
        self.leaves = {parquet.schema.column(at).path: at for at in range(len(parquet.schema))}

    def run(self) -> Iterator[tuple[str, bool]]:
        needles = self.sought.needles
        for key, value in (self.parquet.metadata.metadata or {}).items():
            said = (key + b" " + (value if key != b"ARROW:schema" else b64decode(value))).decode(errors="replace")
            if needles.in_text(said):
                name = needles.masked(key.decode(errors="replace"))
                yield f'the metadata "{name}" holds an identifier', True
        if any(needles.in_text(name) for name in self.leaves):
            yield "the name of a column holds an identifier", True
        for group, column in self._statistics():
            if not self._in_rows(group, column):
                yield f"the statistics of column {self._named(column)} hold an identifier", True
        for group, column in self._dictionaries():
            groups = range(self.parquet.num_row_groups) if self._is_category(column) else [group]
            if not any(self._in_rows(one, column) for one in groups):
                yield f"the dictionary of column {self._named(column)} holds an identifier", True
        for column in self.leaves:
            if column in self.sought.columns:
                yield from self._filters(column)

    def _named(self, column: str) -> str:
        return f'"{self.sought.needles.masked(column)}"'

    def _column(self, group: int, column: str) -> pa.ChunkedArray:
        leaves = [self.leaves[column]]
        return self.parquet.reader.read_row_group(group, column_indices=leaves, use_threads=False).column(0)

    def _in_rows(self, group: int, column: str) -> bool:
        """Tell whether rows of a row group hold it there: then the search has told it, or a rule keeps it."""
        return any(self.sought.is_in(column, chunk) for chunk in self._column(group, column).chunks)

    def _dictionaries(self) -> list[tuple[int, str]]:
        """Give the row groups and columns whose dictionaries hold an identifier."""
        decoded = self._decoded_by_arrow()
        found = set(self._in_texts(decoded))
        for one in dictionaries(
            self.stream, self.shown, self.sought.may_be_in, without=decoded, may_hold=self._may_hold
        ):
            if self._in_dictionary(one):
                found.add((one.group, one.column))
        return sorted(found)

    def _may_hold(self, column: str, raw: bytes) -> bool:
        """Tell whether a dictionary of texts has to be looked at: that of ids always, for they have many spellings."""
        return column in self.sought.columns or self.sought.needles.may_be_in_bytes(raw)

    def _in_dictionary(self, one: Dictionary) -> bool:
        """Tell whether an identifier is among the values of a dictionary, whether rows refer to it or not."""
        if not pa.types.is_binary(one.values.type):
            return self.sought.is_one_of(one.column, one.values)
        texts = pa.array([value.decode("utf-8", errors="replace") for value in one.values.to_pylist()], pa.string())
        return self.sought.is_in(one.column, texts)

    def _in_texts(self, columns: Collection[str]) -> Iterator[tuple[int, str]]:
        """Give the row groups and columns of text whose dictionaries, which Arrow gives whole, hold an identifier."""
        wanted = [column for column in columns if self.sought.may_be_in(column, is_text=True)]
        if not wanted:
            return
        with pq.ParquetFile(self.path, read_dictionary=wanted) as parquet:
            for group in range(parquet.num_row_groups):
                read = parquet.reader.read_row_group(
                    group, column_indices=[self.leaves[column] for column in wanted], use_threads=True
                )
                for column in wanted:
                    if any(self.sought.is_in(column, chunk.dictionary) for chunk in read.column(column).chunks):
                        yield group, column

    def _statistics(self) -> Iterator[tuple[int, str]]:
        """Give the row groups and columns whose least or greatest value is an identifier."""
        bounds: dict[str, list[tuple[int, str]]] = {}
        for number in range(self.parquet.metadata.num_row_groups):
            group = self.parquet.metadata.row_group(number)
            for at in range(group.num_columns):
                leaf = group.column(at)
                if not self.sought.may_be_in(leaf.path_in_schema, is_text=leaf.physical_type == "BYTE_ARRAY"):
                    continue
                statistics, found = leaf.statistics, bounds.setdefault(leaf.path_in_schema, [])
                if statistics is not None and statistics.has_min_max:
                    found += [(number, one) for one in _bounds(statistics)]
                if leaf.has_column_index:
                    found += [(number, one) for one in self._bounds_of_pages(number, at)]
        for column, found in bounds.items():
            if self.sought.is_in(column, pa.array([bound for _, bound in found], pa.string())):
                hit = {number: None for number, bound in found if self.sought.is_in(column, pa.array([bound]))}
                yield from ((number, column) for number in hit)

    def _bounds_of_pages(self, group: int, leaf: int) -> list[str]:
        """Give the least and the greatest value of each page of a column of whole numbers or texts."""
        column = self.parquet.schema.column(leaf)
        kind, means = column.physical_type, column.logical_type.type
        stored = [one for bounds in page_bounds(self.footer[4][group][1][leaf], self._read_at) for one in bounds or ()]
        if kind == "BYTE_ARRAY" and means in _TEXTS:
            return [one.decode("utf-8", errors="replace") for one in stored]
        if kind not in {"INT32", "INT64"} or means not in _WHOLE_NUMBERS:
            return []
        signed = column.converted_type not in _UNSIGNED
        return [str(int.from_bytes(one, "little", signed=signed)) for one in stored]

    @cached_property
    def footer(self) -> Struct:
        """The footer as it is written."""
        return Reader(footer_bytes(self.stream)).struct()

    def _filters(self, column: str) -> Iterator[tuple[str, bool]]:
        """Ask the bloom filters of a column of people's ids for what no row has."""
        metadata, leaf = self.parquet.metadata, self.leaves[column]
        at = self.parquet.schema_arrow.get_field_index(column)
        for number in range(metadata.num_row_groups if at >= 0 else 0):
            chunk = metadata.row_group(number).column(leaf)
            if not chunk.num_values or not is_plain(self.parquet.schema_arrow.field(at).type, chunk.physical_type):
                continue
            try:
                blocks = blocks_of(chunk, self._read_at)
            except (NotThrift, LookupError, TypeError, ValueError):
                yield f"the bloom filter of column {self._named(column)} is damaged", False
                return
            digests = self.sought.digests(column, chunk.physical_type)
            if blocks is None or not has(blocks, digests).any():
                continue
            found = stale(blocks, digests, self._column(number, column))
            if found is not None and found.certain:
                yield f"the bloom filter of column {self._named(column)} holds an identifier", True
            elif found is not None:
                rate = f"it says so of {found.false_positives:.2%} of other values, too"
                yield f"the bloom filter of column {self._named(column)} may hold an identifier: {rate}", False

    def _read_at(self, offset: int, length: int) -> bytes:
        self.stream.seek(offset)
        return self.stream.read(length)

    def _decoded_by_arrow(self) -> frozenset[str]:
        """Name the columns of text whose dictionaries Arrow has to give: ids, and what is packed in its own way.

        Arrow can give those that are in no other column.
        """
        schema, metadata = self.parquet.schema_arrow, self.parquet.metadata
        kinds = {name: schema.field(schema.names.index(name)).type for name in schema.names}
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        with_dictionary = {
            group.column(at).path_in_schema
            for group in groups
            for at in range(group.num_columns)
            if group.column(at).has_dictionary_page
            and (group.column(at).path_in_schema in self.sought.columns or group.column(at).compression not in READABLE)
        }
        return frozenset(name for name in with_dictionary if name in kinds and pa.types.is_string(kinds[name]))

    def _is_category(self, column: str) -> bool:
        """Tell whether a column is of categories: each row group has those of all, and some row of any may have it."""
        at = self.parquet.schema_arrow.get_field_index(column)
        return at >= 0 and bool(pa.types.is_dictionary(self.parquet.schema_arrow.field(at).type))


def _bounds(statistics: Any) -> list[str]:
    """Give the least and the greatest value of a column of whole numbers or texts; others identify nobody.

    They are texts, for no type of Arrow holds every whole number; and of a text the raw bytes are taken, for a writer
    may have cut it within a character. A time is not looked at: Python has not all that a file can hold.
    """
    kind, means = statistics.physical_type, statistics.logical_type.type
    if kind == "BYTE_ARRAY" and means in _TEXTS:
        return [bound.decode("utf-8", errors="replace") for bound in (statistics.min_raw, statistics.max_raw)]
    return [str(statistics.min), str(statistics.max)] if kind in {"INT32", "INT64"} and means in _WHOLE_NUMBERS else []
