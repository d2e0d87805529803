"""The exact rules of CSV: where each record ends and what is wrong with it.

This is the slow and precise reading. `csv_blocks` and `csv_read` use it only where a block does not pass their
whole-block checks, to say which line is wrong or to set bad records aside.

A quoted field begins with the quote right after a delimiter or line ending and ends with the quote right before one;
a quote inside is doubled. A quote anywhere else is an error, and so is a carriage return outside quotes that does not
belong to a line ending. After a bad record the next one starts on the line after it; where the quotes themselves do not
pair up, it starts on the line after the bad record's first line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydp_cli.datasets.csv_dialect import CsvDialect

STRAY_QUOTE = "a quote inside a field that is not quoted"
TEXT_AFTER_QUOTE = "text after the closing quote of a field"
UNCLOSED_QUOTE = "a quoted field opens here and is never closed"
LONE_CR = "a carriage return outside quotes that does not end a line"


@dataclass(frozen=True)
class Record:
    """One record: its bytes are `data[start:end]`, line ending included.

    `at` is where the problem was met, if there is one.
    """

    start: int
    end: int
    fields: int
    problem: str | None = None
    at: int = 0


def scan_records(data: bytes, dialect: CsvDialect, *, start: int = 0, complete: bool = True) -> Iterator[Record]:
    """Yield the records of `data` from `start` on.

    With `complete=False` more data may follow: what would be the last record is left out where it could go on.
    """
    while start < len(data):
        end = data.find(b"\n", start) + 1
        if dialect.quote and data.find(dialect.quote.encode(), start, end or len(data)) >= 0:
            record = _scan_quoted(data, start, dialect, complete=complete)
        elif end or complete:
            record = _scan_plain(data, start, end or len(data), dialect)
        else:
            return
        if record is None:
            return
        yield record
        start = record.end


def _scan_plain(data: bytes, start: int, end: int, dialect: CsvDialect) -> Record:
    text = data[start:end]
    text = text[:-2] if text.endswith(b"\r\n") else text.removesuffix(b"\n")
    at = text.find(b"\r")
    fields = text.count(dialect.delimiter.encode()) + 1
    return Record(start, end, fields, LONE_CR if at >= 0 else None, start + at)


def _scan_quoted(  # noqa: C901 - the rules in one place
    data: bytes, start: int, dialect: CsvDialect, *, complete: bool
) -> Record | None:
    """Read one record field by field; None where it might go on after the end of the data."""
    delimiter, quote = dialect.delimiter.encode(), dialect.quote.encode()
    structural = re.compile(b"[" + re.escape(delimiter + quote) + b"\r\n]")
    fields, place = 1, start
    problem: tuple[str, int] | None = None
    field_starts = True
    while True:
        if field_starts and data.startswith(quote, place):
            opened, place = place, _after_closing_quote(data, place, quote)
            if place < 0 or (place == len(data) and not complete):
                return _first_line(data, start, *(problem or (UNCLOSED_QUOTE, opened))) if complete else None
            if place < len(data) and data[place : place + 1] not in (delimiter, b"\r", b"\n"):
                whole = complete or data.find(b"\n", start) >= 0
                return _first_line(data, start, *(problem or (TEXT_AFTER_QUOTE, place))) if whole else None
        field_starts = False
        found = structural.search(data, place)
        if found is None:
            return Record(start, len(data), fields, *(problem or (None,))) if complete else None
        at, place, character = found.start(), found.end(), found.group()
        if character == delimiter:
            fields, field_starts = fields + 1, True
        elif character == b"\n":
            return Record(start, place, fields, *(problem or (None,)))
        elif character == quote:
            problem = problem or (STRAY_QUOTE, at)
        elif place == len(data) and not complete:
            return None
        elif data[place : place + 1] != b"\n":
            problem = problem or (LONE_CR, at)


def _after_closing_quote(data: bytes, opened: int, quote: bytes) -> int:
    """Give the position after the quote that closes a field, or -1."""
    place = opened + 1
    while True:
        place = data.find(quote, place) + 1
        if not place:
            return -1
        if not data.startswith(quote, place):
            return place
        place += 1


def _first_line(data: bytes, start: int, problem: str, at: int) -> Record:
    end = data.find(b"\n", start) + 1 or len(data)
    return Record(start, end, 0, problem, at)


def field_spans(record: bytes, start: int, dialect: CsvDialect) -> tuple[tuple[int, int], ...]:
    """Give where each field of a sound record begins and ends, its quotes included; `start` is where the record is."""
    end = len(record) - (record.endswith(b"\n") + record.endswith(b"\r\n"))
    delimiter, quote = dialect.delimiter.encode(), dialect.quote.encode()
    spans = []
    place = 0
    while True:
        quoted = bool(quote) and record.startswith(quote, place, end)
        stop = record.find(delimiter, _after_closing_quote(record, place, quote) if quoted else place, end)
        spans.append((start + place, start + (end if stop < 0 else stop)))
        if stop < 0:
            return tuple(spans)
        place = stop + 1
