"""Cut a stream of CSV into blocks that end where a record ends, with few and fast looks at the bytes.

Every second quote ends what the one before it began, so a line ending with an even number of quotes before it ends a
record. That holds as long as every quote is where it belongs; `quotes_are_sound` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pydp_cli.datasets.csv_dialect import CsvDialect
from pydp_cli.datasets.csv_records import scan_records
from pydp_cli.errors import InputError

MAX_RECORD_BYTES = 1 << 30
_WINDOW = 1 << 20
_LF, _CR = 10, 13

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Block:
    """Whole records. `offset` is where they begin in the decoded stream, `line` the number of their first line.

    `line_feeds` counts those in `data`.
    """

    data: bytes
    offset: int
    line: int
    line_feeds: int


@dataclass(frozen=True)
class Cutting:
    """How a stream is cut. With `set_aside`, blocks end at record boundaries even among records that are wrong."""

    dialect: CsvDialect
    name: str
    block_bytes: int
    one_column: bool
    set_aside: bool


def cut_blocks(
    read: Callable[[int], bytes], rest: bytes, cutting: Cutting, *, offset: int, line: int
) -> Iterator[Block]:
    """Cut `rest` and what `read` gives after it. Blank lines at the end belong to a file of one column only.

    What cannot be cut because a quote is where it does not belong comes as one last block, for its reader to refuse.
    """
    wanted = cutting.block_bytes
    while True:
        fresh = read(wanted)
        data = rest + fresh if rest else fresh
        if not fresh:
            data, end, last = _without_blank_end(rest, cutting), None, True
        else:
            end = _record_end(data, cutting)
            last = end is None and not cutting.set_aside and not quotes_are_sound(data, cutting.dialect)
        if last and data:
            yield Block(data, offset, line, count_byte(data, _LF))
        if last:
            return
        if end is None:
            rest, wanted = data, max(cutting.block_bytes, len(data))
            if len(rest) > MAX_RECORD_BYTES:
                raise InputError(
                    f"a record that begins here is larger than {MAX_RECORD_BYTES >> 20} MiB",
                    place=f"{cutting.name}:{line}",
                    hint="a closing quote may be missing",
                )
            continue
        block = data[:end]
        line_feeds = count_byte(block, _LF)
        yield Block(block, offset, line, line_feeds)
        offset, line = offset + end, line + line_feeds
        rest, wanted = data[end:], cutting.block_bytes


def _without_blank_end(data: bytes, cutting: Cutting) -> bytes:
    if cutting.one_column:
        return data
    text = data.rstrip(b"\r\n")
    return data[: data.find(b"\n", len(text)) + 1 or len(data)] if text else b""


def _record_end(data: bytes, cutting: Cutting) -> int | None:
    """Find the end of the last record that is whole, or None; blank lines after it wait for what follows them."""
    end = _last_even_line_end(data, cutting.dialect.quote)
    if cutting.set_aside and not quotes_are_sound(data[:end] if end else data, cutting.dialect):
        end = None
        for record in scan_records(data, cutting.dialect, complete=False):
            end = record.end
    if end and not cutting.one_column and data.endswith((b"\n\n", b"\n\r\n"), 0, end):
        text_end = len(data[:end].rstrip(b"\r\n"))
        end = data.find(b"\n", text_end) + 1 if text_end else None
    return end


def _last_even_line_end(data: bytes, quote: str) -> int | None:
    """Find the position after the last line feed with an even number of quotes before it."""
    end = data.rfind(b"\n") + 1
    if not end:
        return None
    if not quote or quote.encode() not in data:
        return end
    every = np.frombuffer(data, np.uint8)[:end]
    quotes = _count(every, ord(quote))
    if quotes % 2 == 0:
        return end
    for start in range((end - 1) // _WINDOW * _WINDOW, -1, -_WINDOW):  # the window at the end first
        window = every[start : start + _WINDOW]
        at_quotes = np.flatnonzero(window == ord(quote))
        at_line_feeds = np.flatnonzero(window == _LF)
        quotes -= len(at_quotes)
        before = np.searchsorted(at_quotes, at_line_feeds) + quotes
        even = at_line_feeds[before % 2 == 0]
        if len(even):
            return start + int(even[-1]) + 1
    return None


def quotes_are_sound(data: bytes, dialect: CsvDialect) -> bool:
    """Tell whether every quote begins, ends or is doubled in a field, as far as `data` goes.

    Looks at what is beside each quote: the odd ones open, so a field must begin there (or the quote before it has just
    closed, and the two are one quote of the text); the even ones close.
    """
    if not dialect.quote or dialect.quote.encode() not in data:
        return True
    quote, delimiter = ord(dialect.quote), ord(dialect.delimiter)
    every = np.frombuffer(data, np.uint8)
    inside = 0
    for start in range(0, len(every), _WINDOW):
        at_quotes = np.flatnonzero(every[start : start + _WINDOW] == quote) + start
        opening, closing = at_quotes[inside::2], at_quotes[1 - inside :: 2]
        before = every.take(opening[1:] - 1 if len(opening) and opening[0] == 0 else opening - 1)
        after = every.take(closing[:-1] + 1 if len(closing) and closing[-1] == len(every) - 1 else closing + 1)
        if not ((before == delimiter) | (before == _LF) | (before == quote)).all():
            return False
        if not ((after == delimiter) | (after == _LF) | (after == quote) | (after == _CR)).all():
            return False
        inside = (inside + len(at_quotes)) % 2
    return True


def count_byte(data: bytes, value: int) -> int:
    """Count one byte value; NumPy's comparison beats `bytes.count` where there are many."""
    return _count(np.frombuffer(data, np.uint8), value)


def _count(every: Bytes, value: int) -> int:
    windows = (every[start : start + _WINDOW] for start in range(0, len(every), _WINDOW))
    return sum(int(np.count_nonzero(window == value)) for window in windows)
