"""Write record batches as CSV: Arrow's writer for speed, quotes only where they are needed, null and "" kept apart.

Arrow's writer takes cells as they are or quotes every one. So the few cells that need quotes get them beforehand, and
their structural characters travel through Arrow as bytes that are in no UTF-8 text, to be put right in what it wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pydp_cli.datasets.csv_detect import DELIMITERS
from pydp_cli.datasets.csv_dialect import CsvDialect
from pydp_cli.datasets.csv_text import has_text, text_of
from pydp_cli.errors import OutputError, UnsupportedType

_STAND_INS = range(0xF8, 0x100)
"""Bytes that occur in no UTF-8 text; each stands for one structural character."""


@dataclass(frozen=True)
class CsvEncoder:
    """Turns batches into bytes of a CSV file. Picklable and without state."""

    dialect: CsvDialect
    quoted_too: str = ""
    """Characters besides the dialect's own that put a cell in quotes."""

    def encode(self, batch: pa.RecordBatch) -> bytes | pa.Buffer:
        """Write the rows, each with its line ending, in the encoding of the file.

        Null is the dialect's null text. Quotes are around what holds a delimiter, a quote or a line ending, around
        text that would be read as null, and nowhere else. A null in a file of one column is a blank line.
        """
        if not batch.num_rows or not batch.num_columns:
            return b""
        dialect = self.dialect
        shields = _shields(dialect, self.quoted_too)
        columns, shielded = [], False
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            text = text_of(column)
            quoted = _quote_where_needed(text, dialect, shields, name, alone=batch.num_columns == 1)
            shielded |= quoted is not text
            columns.append(quoted)
        written = _write(columns, dialect, shields if shielded else {})
        return written if dialect.encoding == "utf-8" else _in_encoding(written.to_pybytes(), dialect.encoding)

    def gather(self, pieces: list[bytes | pa.Buffer], group: int | None) -> list[bytes | pa.Buffer]:
        """Leave the pieces as they are."""
        del group
        return pieces


def _write(columns: list[pa.StringArray], dialect: CsvDialect, shields: dict[bytes, int]) -> pa.Buffer:
    rows, ends = len(columns[0]), [_offsets(column) for column in columns]
    text = sum(int(offsets[-1] - offsets[0]) for offsets in ends)
    nulls = sum(column.null_count for column in columns) * len(dialect.null.encode())
    buffer = pa.allocate_buffer(text + nulls + rows * (len(columns) - 1 + len(dialect.newline)))  # never too small
    with pa.FixedSizeBufferWriter(buffer) as out:
        pyarrow.csv.write_csv(
            pa.RecordBatch.from_arrays(columns, names=[str(position) for position in range(len(columns))]),
            out,
            pyarrow.csv.WriteOptions(
                include_header=False,
                batch_size=max(1, min(rows, (1 << 16) // len(columns))),
                delimiter=dialect.delimiter,
                eol=dialect.newline,
                null_string=dialect.null,
                quoting_style="none",
            ),
        )
        size = out.tell()
    if shields:
        characters = np.zeros(256, np.uint8)
        for character, stand_in in shields.items():
            characters[stand_in] = character[0]
        every = np.frombuffer(buffer, np.uint8)[:size]
        places = np.flatnonzero(every >= _STAND_INS[0])
        every[places] = characters[every[places]]
    return buffer.slice(0, size)


def _offsets(column: pa.StringArray) -> npt.NDArray[np.int32]:
    offsets: npt.NDArray[np.int32] = np.frombuffer(column.buffers()[1], np.int32)
    return offsets[column.offset : column.offset + len(column) + 1]


def _shields(dialect: CsvDialect, quoted_too: str) -> dict[bytes, int]:
    """Assign a stand-in to each character that Arrow's writer refuses in a cell, or that must be quoted."""
    characters = dict.fromkeys('"\r\n' + dialect.delimiter + dialect.quote + quoted_too)
    assert len(characters) <= len(_STAND_INS)
    return dict(zip((character.encode() for character in characters), _STAND_INS, strict=False))


def _quote_where_needed(
    column: pa.StringArray, dialect: CsvDialect, shields: dict[bytes, int], name: str, *, alone: bool
) -> pa.StringArray:
    """Quote the cells that need it, and put stand-ins for structural characters; the same object if there are none."""
    offsets, data = _offsets(column), column.buffers()[2]
    text = data.slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes() if data else b""
    found = [character for character in shields if character in text]
    needed = _null_lookalikes(column, np.diff(offsets), dialect, alone=alone)
    if not found and needed is None:
        return column
    every = np.frombuffer(text, np.uint8)
    for character in found:
        at = np.flatnonzero(every == character[0])
        rows = np.searchsorted(offsets, at + offsets[0], side="right") - 1
        needed = np.zeros(len(column), bool) if needed is None else needed
        needed[rows] = True
    assert needed is not None
    if found and column.null_count:
        beneath = needed & ~column.is_valid().to_numpy(zero_copy_only=False)
        if beneath.any():  # Arrow's writer looks at the bytes beneath a null too: take leaves none there
            column = column.take(pa.array(np.arange(len(column))))
            needed &= ~beneath
    places = np.flatnonzero(needed)
    return _with_quotes(column, places, dialect, shields, name) if len(places) else column


def _null_lookalikes(
    column: pa.StringArray, lengths: npt.NDArray[np.int32], dialect: CsvDialect, *, alone: bool
) -> npt.NDArray[np.bool_] | None:
    """Find text that would be read as null without quotes; None if there is none."""
    looks: npt.NDArray[np.bool_] = lengths == len(dialect.null.encode())
    if dialect.null and alone and dialect.quote:
        looks |= lengths == 0  # other readers skip a blank line
    if looks.any() and column.null_count:
        looks &= column.is_valid().to_numpy(zero_copy_only=False)
    if dialect.null and looks.any():
        looks &= pc.is_in(column, pa.array(["", dialect.null])).to_numpy(zero_copy_only=False)
    return looks if looks.any() else None


def _with_quotes(
    column: pa.StringArray,
    places: npt.NDArray[np.int64],
    dialect: CsvDialect,
    shields: dict[bytes, int],
    name: str,
) -> pa.StringArray:
    quote = dialect.quote
    cells = column.take(pa.array(places))
    if quote:
        doubled = pc.replace_substring(cells, pattern=quote, replacement=quote * 2)
        cells = pc.binary_join_element_wise(quote, doubled, quote, "")
    elif _needs_quotes(cells, dialect):
        raise OutputError(
            "holds text that cannot be written without quotes",
            place=f'column "{name}"',
            hint="declare a quote character under csv:, or a null: other than the empty text",
        )
    shielded = _translated(cells, {character[0]: stand_in for character, stand_in in shields.items()})
    order = np.arange(len(column))
    order[places] = np.arange(len(column), len(column) + len(places))
    return pa.concat_arrays([column, shielded]).take(pa.array(order))


def _needs_quotes(cells: pa.StringArray, dialect: CsvDialect) -> bool:
    structural = [dialect.delimiter, "\r", "\n"]
    return (
        any(pc.any(pc.match_substring(cells, text)).as_py() for text in structural)
        or pc.any(pc.equal(cells, dialect.null)).as_py()
    )


def _translated(cells: pa.StringArray, stand_ins: dict[int, int]) -> pa.StringArray:
    table = bytearray(range(256))
    for character, stand_in in stand_ins.items():
        table[character] = stand_in
    _, offsets, data = cells.buffers()
    text = data.to_pybytes().translate(bytes(table)) if data else b""
    return pa.StringArray.from_buffers(len(cells), offsets, pa.py_buffer(text), offset=cells.offset)


def _in_encoding(text: bytes, encoding: str) -> bytes:
    try:
        return text.decode().encode(encoding)
    except UnicodeEncodeError:
        raise OutputError(
            f"the output holds characters that {encoding} cannot represent",
            hint="declare encoding: utf-8 under csv: for the output",
        ) from None


class CsvSink:
    """Writes encoded pieces in order, after the byte-order mark and the header.

    `final_newline` may be set until `close`, for an input whose last byte is known only when it was read.
    """

    def __init__(self, stream: BinaryIO, schema: pa.Schema, dialect: CsvDialect) -> None:
        for column in schema:
            if not has_text(column.type):
                raise UnsupportedType(
                    f"values of type {column.type} cannot be written as CSV",
                    place=f'column "{column.name}"',
                    hint="drop the column, or write Parquet",
                )
        self.encoder = CsvEncoder(dialect)
        self.final_newline = dialect.final_newline
        self._stream = stream
        self._line_end = dialect.newline.encode(dialect.encoding)
        self._held = b""
        self._ends_blank = False
        if dialect.bom:
            stream.write("\ufeff".encode(dialect.encoding))
        if dialect.header:
            self.write(_header(schema, dialect), None)

    def write(self, piece: bytes | pa.Buffer, group: int | None) -> None:  # noqa: ARG002 - CSV has no groups
        """Append one piece; its last line ending is held back until it is known not to be the file's last."""
        if len(piece):
            text = memoryview(piece).cast("B")
            self._stream.write(self._held)
            self._stream.write(text[: -len(self._line_end)])
            self._held = self._line_end
            self._ends_blank = text[-2 * len(self._line_end) :] in (self._line_end, self._line_end * 2)

    def close(self) -> None:
        """Write the last line ending, if the file is to have one. The stream is its owner's to close.

        A blank last line is a null in a file of one column, and only its line ending shows that it is there.
        """
        if self.final_newline or self._ends_blank:
            self._stream.write(self._held)
        self._held = b""

    def abandon(self) -> None:
        """Forget the line ending that was held back."""
        self._held = b""


def _header(schema: pa.Schema, dialect: CsvDialect) -> bytes:
    """Write the names as cells; a name is never null, so only a lone empty one needs quotes for its own sake."""
    names = [pa.array([name], pa.string()) for name in schema.names]
    if len(names) > 1:
        names = [name if name[0].as_py() else pa.nulls(1, pa.string()) for name in names]
    columns = pa.RecordBatch.from_arrays(names, names=schema.names)
    return CsvEncoder(replace(dialect, null=""), _misleading(schema.names, dialect)).encode(columns)


def _misleading(names: list[str], dialect: CsvDialect) -> str:
    """Give the delimiters of other dialects by which a reader that detects them would cut this header too."""
    if dialect.delimiter not in DELIMITERS or not dialect.quote:
        return ""
    others = [other for other in DELIMITERS if other != dialect.delimiter]
    return "".join(o for o in others if sum(name.count(o) for name in names) >= max(1, len(names) - 1))
