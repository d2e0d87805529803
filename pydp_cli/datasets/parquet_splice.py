"""Join column chunks that were encoded apart into one Parquet file, without decoding them.

Pages are copied as they are. What names positions in the file is moved: the column chunks' offsets in the footer, and
the page locations of the offset index. Bloom filters and page indexes come after the last row group, as in files that
Arrow writes. The structs and their fields are those of parquet-format, parquet.thrift.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from pydp_cli.datasets.thrift_compact import Items, NotThrift, Reader, Struct, write_struct

MAGIC = b"PAR1"
_I16, _I64 = 4, 6

# FileMetaData
_NUM_ROWS, _ROW_GROUPS = 3, 4
# RowGroup
_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _ORDINAL = 1, 3, 5, 7
COPY_BYTES = 8 << 20

Read = Callable[[int, int], "bytes | memoryview"]
"""Gives the bytes of a file at a position, as many as asked for."""
# ColumnChunk
_FILE_OFFSET, _META, _OFFSET_INDEX, _OFFSET_INDEX_LENGTH, _COLUMN_INDEX, _COLUMN_INDEX_LENGTH = 2, 3, 4, 5, 6, 7
# ColumnMetaData
_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _COMPRESSED, _BLOOM, _BLOOM_LENGTH = 9, 10, 11, 7, 14, 15


@dataclass
class _Later:
    """What belongs to a column chunk and is written after the last row group."""

    chunk: Struct
    bloom: bytes | memoryview = b""
    column_index: bytes | memoryview = b""
    offset_index: Struct | None = None


@dataclass
class Splicer:
    """Writes one Parquet file from column chunks of others that have the same schema.

    The first footer that it is given is what the new file's becomes: schema, metadata and all it does not know.
    """

    stream: BinaryIO
    copied: int = 0
    """Bytes of column chunks written so far."""
    _at: int = 0
    _footer: Struct | None = None
    _groups: list[Struct] = field(default_factory=list)
    _later: list[_Later] = field(default_factory=list)

    def begin(self, footer: Struct) -> None:
        """Take the footer of the first file, with nothing of its row groups."""
        if self._footer is None:
            self._footer = footer
            self._write(MAGIC)

    def append(self, part: bytes | memoryview) -> None:
        """Append all row groups of a whole Parquet file."""
        data = memoryview(part)
        footer = read_footer(data)
        self.begin(footer)
        for group in footer[_ROW_GROUPS]:
            self.append_group(group, [lambda at, length: data[at : at + length]] * len(group[_COLUMNS]))

    def append_group(self, group: Struct, reads: Sequence[Read]) -> None:
        """Append one row group, whose column chunks are each in the file that its `reads` reads.

        `group` becomes part of the new footer.
        """
        start = self._at
        for chunk, read in zip(group[_COLUMNS], reads, strict=True):
            later = _detached(chunk, read)
            self._later.append(later)
            moved = self._copy(chunk[_META], read)
            _move(chunk[_META], (_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE), moved)
            if chunk[_FILE_OFFSET]:  # newer writers leave it 0
                _move(chunk, (_FILE_OFFSET,), moved)
            for location in later.offset_index[1] if later.offset_index is not None else ():
                _move(location, (1,), moved)
        if _GROUP_OFFSET in group:
            group[_GROUP_OFFSET] = start
        if _ORDINAL in group:
            group[_ORDINAL] = len(self._groups)
        self._groups.append(group)

    def close(self) -> None:
        """Write filters, indexes and the footer. The stream is its owner's to close."""
        if self._footer is None:
            raise ValueError("a Parquet file needs at least one part, if only for its schema")
        for later in self._later:
            if later.bloom:
                later.chunk[_META][_BLOOM] = self._write(later.bloom)
        for later in self._later:
            if later.column_index:
                later.chunk[_COLUMN_INDEX] = self._write(later.column_index)
        for later in self._later:
            if later.offset_index is not None:
                index = write_struct(later.offset_index)
                later.chunk[_OFFSET_INDEX] = self._write(index)
                later.chunk[_OFFSET_INDEX_LENGTH] = len(index)
        self._footer[_ROW_GROUPS] = Items(12, self._groups)
        self._footer[_NUM_ROWS] = sum(group[_GROUP_ROWS] for group in self._groups)
        footer = write_struct(self._footer)
        self._write(footer + len(footer).to_bytes(4, "little") + MAGIC)

    def _copy(self, meta: Struct, read: Read) -> int:
        """Copy the pages of a column chunk, and give how far they moved."""
        start, left = first_byte(meta), meta[_COMPRESSED]
        moved, at = self._at - start, start
        while left > 0:
            data = read(at, min(left, COPY_BYTES))
            self._write(data)
            at, left = at + len(data), left - len(data)
        self.copied += meta[_COMPRESSED]
        return moved

    def _write(self, data: bytes | memoryview) -> int:
        """Write, and give where it begins."""
        at = self._at
        self.stream.write(data)
        self._at += len(data)
        return at


def read_footer(data: memoryview) -> Struct:
    """Read the footer of a whole file in memory; raises `NotThrift` (a `ValueError`) where it is damaged."""
    length = int.from_bytes(data[-8:-4], "little")
    return Reader(bytes(data[len(data) - 8 - length : -8])).struct()


def first_byte(meta: Struct) -> int:
    """Give where the pages of a column chunk begin."""
    return int(min(meta[_DATA_PAGE], meta.get(_DICTIONARY_PAGE) or meta[_DATA_PAGE]))


def _move(struct: Struct, fields: tuple[int, ...], by: int) -> None:
    for number in fields:
        if number in struct:
            struct[number] += by


def _detached(chunk: Struct, read: Read) -> _Later:
    meta = chunk[_META]
    later = _Later(chunk)
    if _BLOOM in meta:
        at = meta[_BLOOM]
        reader = Reader(bytes(read(at, 64)))
        size = reader.struct()[1]
        if not isinstance(size, int):
            raise NotThrift("a bloom filter has no size")
        later.bloom = read(at, size + reader.at)
    if _COLUMN_INDEX in chunk:
        later.column_index = read(chunk[_COLUMN_INDEX], chunk[_COLUMN_INDEX_LENGTH])
    if _OFFSET_INDEX in chunk:
        later.offset_index = Reader(bytes(read(chunk[_OFFSET_INDEX], chunk[_OFFSET_INDEX_LENGTH]))).struct()
        if not isinstance(later.offset_index[1], Items):
            raise NotThrift("an offset index has no page locations")
    return later
