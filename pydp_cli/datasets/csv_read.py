"""Read CSV as text, exactly: open a stream, find its dialect and its columns, and give it out in blocks of records.

A block that `csv_parse` cannot prove right is read again by `csv_records`, to say which line is wrong, or to set the
bad lines aside and keep the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from pydp_cli.datasets.csv_blocks import MAX_RECORD_BYTES, Block, Cutting, cut_blocks
from pydp_cli.datasets.csv_detect import SAMPLE_BYTES, detect_dialect, detect_encoding
from pydp_cli.datasets.csv_dialect import CsvDialect, CsvOptions
from pydp_cli.datasets.csv_parse import is_proven, parse_block
from pydp_cli.datasets.csv_records import LONE_CR, TEXT_AFTER_QUOTE, UNCLOSED_QUOTE, Record, scan_records
from pydp_cli.datasets.csv_stream import Filling, ReadInto, open_decoded, original_bytes
from pydp_cli.datasets.file_state import State, file_state
from pydp_cli.errors import InputError

BLOCK_BYTES = 1 << 21
_SET_ASIDE_HINT = "correct the line, or set such lines aside with --bad-rows FILE"


@dataclass(frozen=True)
class Layout:
    """What every block of a file shares."""

    name: str
    dialect: CsvDialect
    columns: tuple[str, ...]
    set_aside: bool


@dataclass(frozen=True)
class FileAt:
    """A file and the state it was in, so that another process reads the same bytes or none."""

    path: Path
    state: State

    def read(self, offset: int, length: int, name: str) -> pa.Buffer:
        """Read a piece; raises `InputError` where the file is no longer what it was."""
        with self.path.open("rb", buffering=0) as file:
            if file_state(file) != self.state:
                raise InputError("changed while it was read", place=name, hint="run again when nothing writes to it")
            file.seek(offset)
            data = pa.allocate_buffer(length)
            if Filling(file).fill(memoryview(data).cast("B")) < length:
                raise InputError("changed while it was read", place=name, hint="run again when nothing writes to it")
            return data


@dataclass
class CsvChunk:
    """A block of whole records. Pickled, it leaves the bytes behind where the other side can read the file itself.

    After `read`, `rejected` holds the first line number and the bytes of each record that was set aside.
    """

    layout: Layout
    line: int
    line_feeds: int
    quotes: int
    offset: int
    length: int
    data: pa.Buffer | None
    file: FileAt | None = None
    group: int | None = None
    rejected: list[tuple[int, bytes]] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "data": None} if self.file else vars(self)

    def read(self) -> Iterator[pa.RecordBatch]:
        """Parse the block; every column is text. Raises `InputError` with the line, unless bad rows are set aside."""
        layout, data = self.layout, self._load()
        line_feeds = self.line_feeds
        if data.slice(data.size - 1).to_pybytes() not in b"\r\n":  # the last line; a lone \r is an error
            data, line_feeds = pa.py_buffer(data.to_pybytes() + b"\n"), line_feeds + 1
        columns = self._parse(data, self.quotes)
        if columns is None or not is_proven(data, line_feeds, self.quotes, columns, layout.dialect):
            good, rows = self._separate(data.to_pybytes())
            if columns is None or self.rejected:
                columns = self._parse(pa.py_buffer(good), self.quotes) if rows else []
            if columns is None or (columns and len(columns[0]) != rows):
                raise InputError("records that cannot be read", place=f"{layout.name}:{self.line}")
        if columns:
            yield pa.RecordBatch.from_arrays(columns, names=list(layout.columns))

    def _parse(self, data: pa.Buffer, quotes: int) -> list[pa.StringArray] | None:
        return parse_block(data, quotes, len(self.layout.columns), self.layout.dialect)

    def _load(self) -> pa.Buffer:
        if self.data is not None:
            return self.data
        assert self.file is not None
        return self.file.read(self.offset, self.length, self.layout.name)

    def _separate(self, data: bytes) -> tuple[bytes, int]:
        """Give the good records and their number; raise for the first bad one, or note it down."""
        line, good = self.line, []
        all_utf8 = _bad_byte(data) is None
        for record in scan_records(data, self.layout.dialect):
            text = data[record.start : record.end]
            error = self._error(data, record, line, None if all_utf8 else _bad_byte(text))
            if error is None:
                good.append(text)
            elif self.layout.set_aside:
                self.rejected.append((line, original_bytes(text, self.layout.dialect.encoding)))
            else:
                raise error
            line += text.count(b"\n")
        return b"".join(good), len(good)

    def _error(self, data: bytes, record: Record, line: int, bad_byte: int | None) -> InputError | None:
        name, expected = self.layout.name, len(self.layout.columns)
        if record.problem is not None:
            return record_error(data, record, line, name)
        if bad_byte is not None:
            return InputError(
                f"byte {self.offset + record.start + bad_byte} of the file is not valid {self.layout.dialect.encoding}",
                place=f"{name}:{line}",
                hint="declare the file's encoding under csv:, for example encoding: cp1252",
            )
        if record.fields != expected:
            blank = record.fields == 1 and not data[record.start : record.end].strip(b"\r\n")
            got = "a blank line" if blank else f"{record.fields} field{'s' * (record.fields != 1)}"
            wanted = f"{expected} fields are" if blank else f"{expected} {'is' if expected == 1 else 'are'}"
            return InputError(f"{got} where {wanted} expected", place=f"{name}:{line}", hint=_SET_ASIDE_HINT)
        return None


@dataclass
class CsvSource:
    """One CSV file. Its `dialect` is known before the first chunk, but for `final_newline` of a stream (see there).

    `head` are the bytes before the first record, as they are in the file, and `blank_end` those after the last, known
    after the last chunk.
    """

    schema: pa.Schema
    dialect: CsvDialect
    head: bytes
    _layout: Layout
    _cutting: Cutting
    _reader: Filling
    _offset: int
    _line: int
    _file: FileAt | None
    blank_end: bytes = b""

    def chunks(self) -> Iterator[CsvChunk]:
        """Yield the blocks, once. After the last one `dialect.final_newline` is right for a stream too."""
        ends_well = self.dialect.final_newline
        for block in self._blocks():
            ends_well = block.data.slice(block.data.size - 1).to_pybytes() == b"\n"
            yield CsvChunk(
                layout=self._layout,
                line=block.line,
                line_feeds=block.line_feeds,
                quotes=block.quotes,
                offset=block.offset,
                length=block.data.size,
                data=block.data,
                file=self._file,
            )
        self.dialect = replace(self.dialect, final_newline=ends_well)

    def _blocks(self) -> Iterator[Block]:
        self.blank_end = yield from cut_blocks(self._reader, self._cutting, offset=self._offset, line=self._line)


def open_csv(
    stream: BinaryIO,
    name: str,
    options: CsvOptions | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
    set_aside: bool = False,
    path: Path | None = None,
) -> CsvSource:
    """Open a CSV stream; `name` is what errors call it.

    `path` says that the stream is that uncompressed file from its beginning, so that workers can read it themselves.
    With `set_aside`, bad records do not stop the reading: each chunk gives them out in `rejected`. Raises `InputError`
    for an empty file, a bad header, and names that occur twice.
    """
    options = options or CsvOptions()
    plain = cast("ReadInto", stream)
    head = Filling(plain).read(SAMPLE_BYTES)
    encoding, mark = detect_encoding(head, options, name)
    reader = open_decoded(plain, head, encoding, name, skip=len(mark), escape=set_aside)
    sample = reader.read(SAMPLE_BYTES)
    while b"\n" not in sample and not reader.ended and len(sample) <= MAX_RECORD_BYTES:
        sample += reader.read(len(sample))
    if not sample and options.columns is None:
        raise InputError("the file is empty", place=name, hint="a CSV file begins with the names of its columns")
    dialect = detect_dialect(sample, options, name, encoding=encoding, bom=bool(mark), complete=reader.ended)
    sample, columns, header_bytes = _read_columns(sample, reader, options, dialect, name)
    layout = Layout(name, dialect, columns, set_aside)
    own_file = _file_at(stream, path) if path is not None else None
    if reader.ended:
        final_newline = sample.endswith(b"\n") or not sample
    else:
        final_newline = own_file is None or _ends_with(own_file.path, "\n".encode(encoding))
    reader.put_back(sample[header_bytes:])
    return CsvSource(
        schema=pa.schema([pa.field(column, pa.string()) for column in columns]),
        dialect=replace(dialect, final_newline=final_newline),
        head=mark + original_bytes(sample[:header_bytes], encoding),
        _layout=layout,
        _cutting=Cutting(dialect, name, block_bytes, one_column=len(columns) == 1, set_aside=set_aside),
        _reader=reader,
        _offset=len(mark) + header_bytes,
        _line=1 + sample.count(b"\n", 0, header_bytes),
        _file=own_file if encoding == "utf-8" else None,
    )


def _read_columns(
    sample: bytes, reader: Filling, options: CsvOptions, dialect: CsvDialect, name: str
) -> tuple[bytes, tuple[str, ...], int]:
    """Give the sample (it grows until it holds the first record), the columns' names, and the header's length."""
    if options.columns is not None:
        return sample, options.columns, 0
    record = next(scan_records(sample, dialect, complete=reader.ended), None)
    while record is None:
        if len(sample) > MAX_RECORD_BYTES:
            raise InputError("the first record does not end", place=f"{name}:1", hint="a closing quote may be missing")
        sample += reader.read(len(sample))
        record = next(scan_records(sample, dialect, complete=reader.ended), None)
    if record.problem is not None:
        raise record_error(sample, record, 1, name)
    if not dialect.header:
        return sample, tuple(f"column_{position}" for position in range(1, record.fields + 1)), 0
    text = sample[: record.end]
    bad_byte = _bad_byte(text)
    if bad_byte is not None:
        raise InputError(
            f"byte {bad_byte + 3 * dialect.bom} of the file is not valid {dialect.encoding}",
            place=f"{name}:1",
            hint="declare the file's encoding under csv:, for example encoding: cp1252",
        )
    if not text.strip(b"\r\n"):
        raise InputError("the header line is blank", place=f"{name}:1", hint="a CSV file begins with column names")
    names = _header_names(text, record.fields, dialect)
    if len(set(names)) < len(names):
        second = next(position for position, column in enumerate(names) if column in names[:position])
        first = names.index(names[second])
        raise InputError(  # without the name: where there is no header it is a value
            f"columns {first + 1} and {second + 1} have the same name in the header",
            place=f"{name}:1",
            hint="rename one; or, if the file has no header, declare header: false under csv:",
        )
    return sample, names, record.end


def _header_names(text: bytes, fields: int, dialect: CsvDialect) -> tuple[str, ...]:
    line = text if text.endswith(b"\n") else text + b"\n"
    quotes = line.count(dialect.quote.encode()) if dialect.quote else 0
    columns = parse_block(pa.py_buffer(line), quotes, fields, replace(dialect, null=""))
    assert columns is not None
    return tuple(column[0].as_py() or "" for column in columns)


def record_error(data: bytes, record: Record, line: int, name: str) -> InputError:
    """Say where a record's quotes or line endings are wrong; `line` is the record's first."""
    at = line + data.count(b"\n", record.start, record.at)
    hint = _SET_ASIDE_HINT
    if record.problem == UNCLOSED_QUOTE:
        hint = "close the quote, or declare another quote character under csv:"
    elif record.problem == TEXT_AFTER_QUOTE and at != line:
        hint = f"the record begins on line {line}: a closing quote may be missing there"
    elif record.problem == LONE_CR and at == 1:  # so are all line endings of the file, most likely
        hint = "convert the file's line endings to line feeds"
    return InputError(str(record.problem), place=f"{name}:{at}", hint=hint)


def _bad_byte(text: bytes) -> int | None:
    """Find the first byte that is not UTF-8."""
    if text.isascii():
        return None
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _file_at(stream: BinaryIO, path: Path) -> FileAt:
    return FileAt(path.absolute(), file_state(stream))


def _ends_with(path: Path, ending: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(-len(ending), os.SEEK_END)
        return file.read() == ending
