"""Change rows of a CSV file, compressed or not: every other line stays as it is, to the byte.

Blocks in which nothing happens are copied; in the others, the records that go are left out, and of those with new
values only these fields are written anew, quoted where they were or have to be.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from pydp_cli.datasets.compression import open_compressed
from pydp_cli.datasets.csv_dialect import CsvDialect, CsvOptions
from pydp_cli.datasets.csv_quotes import quoting
from pydp_cli.datasets.csv_records import field_spans
from pydp_cli.datasets.csv_stream import original_bytes
from pydp_cli.datasets.edits import Edited, Edits, Replacement, Rows
from pydp_cli.datasets.formats import open_source
from pydp_cli.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from pydp_cli.datasets.csv_read import CsvChunk
    from pydp_cli.datasets.locations import InputFile

_LF = 10


def edit_csv(file: InputFile, stream: BinaryIO, edits: Edits, options: CsvOptions | None) -> Edited:
    """Write to `stream` what the file becomes.

    Raises `InputError` where the file cannot be read, `UsageError` where a column is missing, and `OutputError` where a
    new value cannot be written in the file's encoding.
    """
    with ExitStack() as closing:
        source: Any = open_source(file, csv_options=options, closing=closing)
        for name in edits.replace:
            if name not in source.schema.names:
                raise UsageError(f'there is no column "{name}"', place=file.path)
        out = open_compressed(stream, file.format.compression if file.format is not None else None)
        out.write(source.head)
        edit = _Edit(file.path, source.dialect, tuple(source.schema.names), edits)
        for chunk in source.chunks():
            out.write(edit.block(chunk))
        if edits.last >= edit.rows:
            raise InputError("has fewer rows than when it was searched", place=file.path, hint="run again")
        out.write(original_bytes(source.blank_end, source.dialect.encoding))
        out.close()
    changed = (np.setdiff1d(one.rows, edits.delete, assume_unique=True) for one in edits.replace.values())
    return Edited(
        rows_before=edit.rows,
        rows_deleted=len(edits.delete),
        cells_changed=sum(map(len, changed)),
        units_copied=edit.copied,
        units_encoded=edit.changed,
        units_dropped=edit.dropped,
        bytes_copied=edit.bytes_copied,
    )


@dataclass
class _Edit:
    """Goes through the blocks of a file, counting rows."""

    name: str
    dialect: CsvDialect
    columns: tuple[str, ...]
    edits: Edits
    rows: int = 0
    copied: int = 0
    changed: int = 0
    dropped: int = 0
    bytes_copied: int = 0

    def block(self, chunk: CsvChunk) -> bytes | memoryview:
        """Give what a block becomes, in the encoding of the file."""
        assert chunk.data is not None
        data = memoryview(chunk.data).cast("B")
        ends = None
        rows = chunk.line_feeds + (data[-1] != _LF)
        if chunk.quotes:
            ends = _record_ends(data, self.dialect)
            rows = len(ends)
        here = self.edits.between(self.rows, self.rows + rows)
        self.rows += rows
        if not here:
            self.copied += 1
            self.bytes_copied += len(data)
            return self._in_encoding(data)
        if len(here.delete) == rows:
            self.dropped += 1
            return b""
        self.changed += 1
        return self._in_encoding(self._edited(data, _record_ends(data, self.dialect) if ends is None else ends, here))

    def _edited(self, data: memoryview, ends: Rows, edits: Edits) -> bytes:
        """Put the block together from what stays and what is new."""
        new: dict[int, bytes] = dict.fromkeys(edits.delete.tolist(), b"")
        spans: dict[int, tuple[tuple[int, int], ...]] = {}
        patches: dict[int, list[tuple[int, int, bytes]]] = {}
        for column, replacement in edits.replace.items():
            for row, patch in self._patches(data, ends, column, replacement, spans):
                patches.setdefault(row, []).append(patch)
        for row, made in patches.items():
            if row not in new:
                new[row] = _patched(data, _start(ends, row), int(ends[row]), sorted(made))
        pieces: list[bytes | memoryview] = []
        kept = 0
        for row in sorted(new):
            pieces += [data[kept : _start(ends, row)], new[row]]
            kept = int(ends[row])
        return b"".join([*pieces, data[kept:]])

    def _patches(
        self,
        data: memoryview,
        ends: Rows,
        column: str,
        replacement: Replacement,
        spans: dict[int, tuple[tuple[int, int], ...]],
    ) -> list[tuple[int, tuple[int, int, bytes]]]:
        """Give for each row of a column where its field is and what it becomes."""
        at = self.columns.index(column)
        places, old = [], []
        for row in replacement.rows.tolist():
            if row not in spans:
                start = _start(ends, row)
                spans[row] = field_spans(bytes(data[start : int(ends[row])]), start, self.dialect)
                if len(spans[row]) != len(self.columns):
                    raise InputError("has other rows than when it was searched", place=self.name, hint="run again")
            start, end = spans[row][at]
            places.append((row, start, end))
            old.append(self._value(bytes(data[start:end])))
        place = f'{self.name}, column "{column}"'
        new = replacement.values(pa.array(old, pa.string()), place=place).to_pylist()
        return [
            (row, (start, end, self._field(value, was_quoted=self._is_quoted(bytes(data[start:end])), place=place)))
            for (row, start, end), value in zip(places, new, strict=True)
        ]

    def _value(self, raw: bytes) -> str | None:
        """Read a field; unquoted null text is null."""
        if self._is_quoted(raw):
            quote = self.dialect.quote
            return raw[1:-1].decode().replace(quote + quote, quote)
        text = raw.decode()
        return None if text == self.dialect.null else text

    def _is_quoted(self, raw: bytes) -> bool:
        return bool(self.dialect.quote) and raw.startswith(self.dialect.quote.encode())

    def _field(self, value: str | None, *, was_quoted: bool, place: str) -> bytes:
        """Write a field: null unquoted, text quoted where it was or has to be."""
        dialect = self.dialect
        if value is None:
            return dialect.null.encode()
        needs = (
            was_quoted
            or value == dialect.null
            or (len(self.columns) == 1 and not value)
            or any(character in value for character in ("\r", "\n", dialect.delimiter, dialect.quote) if character)
        )
        if not needs:
            return value.encode()
        if not dialect.quote:
            raise OutputError("a new value cannot be written without quotes, which the file does not use", place=place)
        doubled = value.replace(dialect.quote, dialect.quote * 2)
        return f"{dialect.quote}{doubled}{dialect.quote}".encode()

    def _in_encoding(self, data: bytes | memoryview) -> bytes | memoryview:
        if self.dialect.encoding == "utf-8":
            return data
        try:
            return original_bytes(bytes(data), self.dialect.encoding)
        except UnicodeEncodeError:
            raise OutputError(f"a new value cannot be written in {self.dialect.encoding}", place=self.name) from None


def _record_ends(data: memoryview, dialect: CsvDialect) -> Rows:
    """Give the position after each record of a block, whose last may lack its line ending."""
    every = np.frombuffer(data, np.uint8)
    if dialect.quote:
        bits = quoting(every, dialect).line_ends
        ends = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little")[: len(every)]) + 1
    else:
        ends = np.flatnonzero(every == _LF) + 1
    return ends if len(ends) and ends[-1] == len(every) else np.append(ends, len(every))


def _start(ends: Rows, row: int) -> int:
    return int(ends[row - 1]) if row else 0


def _patched(data: memoryview, start: int, end: int, patches: list[tuple[int, int, bytes]]) -> bytes:
    pieces: list[bytes | memoryview] = []
    for first, last, new in patches:
        pieces += [data[start:first], new]
        start = last
    return b"".join([*pieces, data[start:end]])
