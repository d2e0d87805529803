"""Parse a block of CSV with Arrow, and prove that what it made of the block is the only way to read it.

Arrow's parser is fast but lenient: it takes quotes in odd places as text, a lone carriage return as a line ending and
a blank line as a row of nothing. The proof counts: line feeds against rows, delimiters against cells, quotes that open
against quotes that close.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from pydp_cli.datasets.csv_blocks import quotes_are_sound
from pydp_cli.datasets.csv_dialect import CsvDialect

_BOM = "\ufeff".encode()
_LF, _CR = 10, 13
_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")


def parse_block(data: bytes, columns: int, dialect: CsvDialect) -> list[pa.StringArray] | None:
    """Parse whole records, the last line feed included, as text; None where Arrow refuses.

    Unquoted null text is null, quoted text never is.
    """
    if data.startswith(_BOM):  # Arrow drops one at the start of what it takes for a file
        data = _BOM + data
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=_read_options(columns, min(1 << len(data).bit_length(), (1 << 31) - 1)),
            parse_options=_parse_options(dialect),
            convert_options=_convert_options(columns, dialect.null, check_utf8=not data.isascii()),
        )
    except pa.ArrowInvalid:  # its message holds the row
        return None
    return [
        column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) for column in table.itercolumns()
    ]


@lru_cache
def _read_options(columns: int, block_size: int) -> Any:
    names = [str(position) for position in range(columns)]
    return pyarrow.csv.ReadOptions(use_threads=False, block_size=block_size, column_names=names)


@lru_cache
def _parse_options(dialect: CsvDialect) -> Any:
    return pyarrow.csv.ParseOptions(
        delimiter=dialect.delimiter, quote_char=dialect.quote or False, ignore_empty_lines=False
    )


@lru_cache
def _convert_options(columns: int, null: str, *, check_utf8: bool) -> Any:
    return pyarrow.csv.ConvertOptions(
        column_types={str(position): pa.string() for position in range(columns)},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[null],
        check_utf8=check_utf8,
    )


def is_proven(data: bytes, line_feeds: int, columns: list[pa.StringArray], dialect: CsvDialect) -> bool:
    """Tell whether the parsed columns are certainly what `data` says; False means: look closer."""
    rows = len(columns[0])
    if len(columns) > 1 and _has_empty_row(columns) and _BLANK_LINE.search(data):
        return False
    if not dialect.quote or dialect.quote.encode() not in data:
        return rows == line_feeds
    return (rows == line_feeds and _quotes_enclose(data, rows * (len(columns) - 1), dialect)) or _pairs_up(
        data, rows, dialect
    )


def _has_empty_row(columns: list[pa.StringArray]) -> bool:
    empty: npt.NDArray[np.bool_] | None = None
    for column in columns:
        none = _lengths(column) == 0
        empty = none if empty is None else empty & none
        if not empty.any():
            return False
    return True


def _lengths(column: pa.StringArray) -> npt.NDArray[np.int32]:
    offsets: npt.NDArray[np.int32] = np.frombuffer(column.buffers()[1], np.int32)
    return np.diff(offsets[column.offset : column.offset + len(column) + 1])


def _quotes_enclose(data: bytes, delimiters: int, dialect: CsvDialect) -> bool:
    """Tell whether quotes are only around fields that hold neither quotes nor delimiters nor line feeds.

    If there are only as many delimiters and line feeds as cells need, each of them separates cells. If moreover every
    quote is right after one or right before one, then each is at the edge of a cell. A cell with an opening quote only
    would have swallowed the next delimiter; so if those that open are as many as those that close, none stands alone.
    """
    every = np.frombuffer(data, np.uint8)
    is_separator = every == ord(dialect.delimiter)
    if np.count_nonzero(is_separator) != delimiters:
        return False
    is_quote = every == ord(dialect.quote)
    is_separator |= every == _LF
    quotes = np.count_nonzero(is_quote)
    opening = np.count_nonzero(is_quote[1:] & is_separator[:-1]) + int(is_quote[0])
    if dialect.newline == "\r\n":
        is_separator |= every == _CR
    closing = np.count_nonzero(is_quote[:-1] & is_separator[1:])
    return bool(opening == closing and opening + closing == quotes)


def _pairs_up(data: bytes, rows: int, dialect: CsvDialect) -> bool:
    """Tell whether the quotes are sound and the rows are the line feeds outside them."""
    if not quotes_are_sound(data, dialect):
        return False
    every = np.frombuffer(data, np.uint8)
    at_quotes = np.flatnonzero(every == ord(dialect.quote))
    if len(at_quotes) % 2:
        return False
    before = np.searchsorted(at_quotes, np.flatnonzero(every == _LF))
    return int(np.count_nonzero(before % 2 == 0)) == rows
