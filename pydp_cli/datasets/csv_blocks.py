"""Cut a stream of CSV into blocks that end where a record ends, with few and fast looks at the bytes.

Every second quote ends what the one before it began, so a line ending with an even number of quotes before it ends a
record. That holds as long as every quote is where it belongs (`csv_quotes`).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from pydp_cli.datasets.csv_dialect import CsvDialect
from pydp_cli.datasets.csv_quotes import CR, LF, WINDOW_BYTES, Bytes, count_byte, last_bit, quoting
from pydp_cli.datasets.csv_records import scan_records
from pydp_cli.errors import InputError

MAX_RECORD_BYTES = 1 << 30


class Reader(Protocol):
    """What blocks are read from."""

    def fill(self, target: memoryview) -> int:
        """Fill the target with the next bytes; fewer than fit only at the end."""
        ...


@dataclass(frozen=True)
class Block:
    """Whole records. `offset` is where they begin in the decoded stream, `line` the number of their first line.

    `data` comes from Arrow's allocator: unlike the system's it does not fetch fresh pages for each.
    """

    data: pa.Buffer
    offset: int
    line: int
    line_feeds: int
    quotes: int


@dataclass(frozen=True)
class Cutting:
    """How a stream is cut. With `set_aside`, blocks end at record boundaries even among records that are wrong."""

    dialect: CsvDialect
    name: str
    block_bytes: int
    one_column: bool
    set_aside: bool


def cut_blocks(reader: Reader, cutting: Cutting, *, offset: int, line: int) -> Generator[Block, None, bytes]:
    """Cut what the reader gives, and return the blank lines at its end; those of a file of one column are rows.

    What cannot be cut because a quote is where it does not belong comes as one last block, for its reader to refuse.
    """
    waiting: Bytes = np.empty(0, np.uint8)
    wanted = cutting.block_bytes
    while True:
        buffer, got = _joined(waiting, reader, wanted)
        whole = data = np.frombuffer(buffer, np.uint8)
        if got:
            end, quotes = _record_end(data, cutting)
            last = end is None and not cutting.set_aside and not _is_sound(data, cutting)
        else:
            end, quotes, last = None, 0, True
            data = data if cutting.one_column else _without_blank_end(data)
        if last:
            if len(data):
                yield Block(buffer.slice(0, len(data)), offset, line, count_byte(data, LF), _quotes(data, cutting))
            return whole[len(data) :].tobytes()
        if end is None:
            waiting, wanted = data, max(cutting.block_bytes, len(data))
            if len(data) > MAX_RECORD_BYTES:
                raise InputError(
                    f"a record that begins here is larger than {MAX_RECORD_BYTES >> 20} MiB",
                    place=f"{cutting.name}:{line}",
                    hint="a closing quote may be missing",
                )
            continue
        line_feeds = count_byte(data[:end], LF)
        yield Block(buffer.slice(0, end), offset, line, line_feeds, quotes)
        offset, line = offset + end, line + line_feeds
        waiting, wanted = data[end:], cutting.block_bytes


def _joined(waiting: Bytes, reader: Reader, wanted: int) -> tuple[pa.Buffer, int]:
    buffer = pa.allocate_buffer(len(waiting) + wanted)
    target = memoryview(buffer).cast("B")
    target[: len(waiting)] = waiting.data
    got = reader.fill(target[len(waiting) :])
    return buffer.slice(0, len(waiting) + got), got


def _quotes(data: Bytes, cutting: Cutting) -> int:
    return count_byte(data, ord(cutting.dialect.quote)) if cutting.dialect.quote else 0


def _is_sound(data: Bytes, cutting: Cutting) -> bool:
    return not cutting.dialect.quote or quoting(data, cutting.dialect).sound


def _record_end(data: Bytes, cutting: Cutting) -> tuple[int | None, int]:
    """Find the end of the last record that is whole, or None, and count the quotes before it.

    Blank lines after it wait for what follows them.
    """
    end = _last_line_end(data)
    quotes = _quotes(data[:end], cutting)
    if quotes % 2:
        end = last_bit(quoting(data[:end], cutting.dialect).line_ends) + 1
        quotes = _quotes(data[:end], cutting)
    if cutting.set_aside and not _is_sound(data[:end] if end else data, cutting):
        end = max((record.end for record in scan_records(data.tobytes(), cutting.dialect, complete=False)), default=0)
        quotes = _quotes(data[:end], cutting)
    if end and not cutting.one_column and (b"\n" + data[:end][-3:].tobytes()).endswith((b"\n\n", b"\n\r\n")):
        end = len(_without_blank_end(data[:end]))
    return end or None, quotes


def _last_line_end(data: Bytes) -> int:
    """Find the position after the last line feed, or 0."""
    stop, length = len(data), 1 << 12
    while stop > 0:
        start = max(0, stop - length)
        found = data[start:stop].tobytes().rfind(b"\n")
        if found >= 0:
            return start + found + 1
        stop, length = start, min(2 * length, WINDOW_BYTES)
    return 0


def _without_blank_end(data: Bytes) -> Bytes:
    """Drop the blank lines at the end; nothing is left of blank lines alone."""
    stop = len(data)
    while stop > 0:
        start = max(0, stop - WINDOW_BYTES)
        text = np.flatnonzero((data[start:stop] != LF) & (data[start:stop] != CR))
        if len(text):
            stop = start + int(text[-1]) + 1
            break
        stop = start
    ending = data[stop:].tobytes()
    stray = ending.replace(b"\r\n", b"\n\n").rfind(b"\r") + 1  # a carriage return alone is text
    if stop + stray == 0:
        return data[:0]
    line_end = ending.find(b"\n", stray) + 1
    return data[: stop + line_end] if line_end else data
