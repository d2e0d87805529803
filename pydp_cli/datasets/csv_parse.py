"""Parse a block of CSV with Arrow, and prove that what it made of the block is the only way to read it.

Arrow's parser is fast but lenient: it takes quotes in odd places as text, a lone carriage return as a line ending and
a blank line as a row of nothing. The proof is that every quote is where it belongs, and that there are as many rows as
line feeds outside quotes, none of them blank.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from pydp_cli.datasets.csv_dialect import CsvDialect
from pydp_cli.datasets.csv_quotes import count_bits, quoting

_BOM = "\ufeff".encode()
_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")


def parse_block(data: pa.Buffer, quotes: int, columns: int, dialect: CsvDialect) -> list[pa.StringArray] | None:
    """Parse whole records, the last line feed included, as text; None where Arrow refuses or it is not UTF-8.

    Unquoted null text is null, quoted text never is. `quotes` is how many there are in the data.
    """
    if not _is_utf8(data):
        return None
    if bytes(memoryview(data)[: len(_BOM)]) == _BOM:  # Arrow drops one at the start of what it takes for a file
        data = pa.py_buffer(_BOM + data.to_pybytes())
    empty_is_null = quotes == 0 and dialect.null == ""
    try:
        batches = list(
            pyarrow.csv.open_csv(
                pa.BufferReader(data),
                read_options=_read_options(columns, min(1 << data.size.bit_length(), (1 << 31) - 1)),
                parse_options=_parse_options(dialect),
                convert_options=_convert_options(columns, None if empty_is_null else dialect.null),
            )
        )
    except pa.ArrowInvalid:  # its message holds the row
        return None
    assert len(batches) == 1
    return [_empty_as_null(column) for column in batches[0].columns] if empty_is_null else batches[0].columns


def _is_utf8(data: pa.Buffer) -> bool:
    """Validate the block as a whole: delimiters are ASCII, so if it is UTF-8 each cell is."""
    if np.frombuffer(data, np.uint8).max() < 128:
        return True
    offsets = pa.py_buffer(np.array([0, data.size], np.int32))
    try:
        pa.BinaryArray.from_buffers(pa.binary(), 1, [None, offsets, data]).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _empty_as_null(column: pa.StringArray) -> pa.StringArray:
    """Make empty cells null: faster than to have Arrow look each cell up, and the same where nothing is quoted."""
    if not len(column):
        return column
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    filled = offsets[1:] > offsets[:-1]
    if filled.all():
        return column
    valid = pa.py_buffer(np.packbits(filled, bitorder="little"))
    _, ends, data = column.buffers()
    return pa.StringArray.from_buffers(len(column), ends, data, valid, -1, column.offset)


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
def _convert_options(columns: int, null: str | None) -> Any:
    return pyarrow.csv.ConvertOptions(
        column_types={str(position): pa.string() for position in range(columns)},
        strings_can_be_null=null is not None,
        quoted_strings_can_be_null=False,
        null_values=[] if null is None else [null],
        check_utf8=False,
    )


def is_proven(
    data: pa.Buffer, line_feeds: int, quotes: int, columns: list[pa.StringArray], dialect: CsvDialect
) -> bool:
    """Tell whether the parsed columns are certainly what `data` says; False means: look closer."""
    rows = len(columns[0])
    if len(columns) > 1 and _has_empty_row(columns) and _BLANK_LINE.search(data):
        return False
    if not quotes:
        return rows == line_feeds
    found = quoting(np.frombuffer(data, np.uint8), dialect)
    return found.sound and found.closed and count_bits(found.line_ends) == rows


def _has_empty_row(columns: list[pa.StringArray]) -> bool:
    empty: npt.NDArray[np.bool_] | None = None
    for column in columns:
        none = lengths(column) == 0
        empty = none if empty is None else empty & none
        if not empty.any():
            return False
    return True


def lengths(column: pa.StringArray) -> npt.NDArray[np.int32]:
    """Give the bytes of each cell; what is beneath a null counts too."""
    if not len(column):
        return np.zeros(0, np.int32)
    offsets: npt.NDArray[np.int32] = np.frombuffer(column.buffers()[1], np.int32)
    return np.diff(offsets[column.offset : column.offset + len(column) + 1])
