"""A look at a file's first rows before it is treated, without losing them where it can be read once only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa

from pydp_cli.datasets.interface import Chunk, Source

HEAD_ROWS = 4096


@dataclass
class HeadChunk:
    """A chunk that was read already."""

    batches: list[pa.RecordBatch]
    group: int | None
    rejected: list[tuple[int, bytes]] = field(default_factory=list)

    def read(self) -> Iterator[pa.RecordBatch]:
        """Yield what was read."""
        yield from self.batches


@dataclass
class Head:
    """A source whose first chunks were looked at; `batch` has their first rows."""

    schema: pa.Schema
    batch: pa.RecordBatch
    _first: list[HeadChunk]
    _rest: Iterator[Chunk]

    def chunks(self) -> Iterator[Chunk]:
        """Yield all of the file's pieces, once."""
        return chain(self._first, self._rest)


def read_head(source: Source) -> Head:
    """Read the first chunks, until there are enough rows to tell columns of cells from others."""
    rest = source.chunks()
    first: list[HeadChunk] = []
    rows = 0
    for chunk in rest:
        batches = list(chunk.read())
        first.append(HeadChunk(batches, chunk.group, list(getattr(chunk, "rejected", ()))))
        rows += sum(batch.num_rows for batch in batches)
        if rows >= HEAD_ROWS:
            break
    found = [batch.slice(0, HEAD_ROWS) for chunk in first for batch in chunk.batches]
    table = pa.Table.from_batches(found, source.schema).slice(0, HEAD_ROWS).combine_chunks()
    empty = pa.RecordBatch.from_pylist([], schema=source.schema)
    return Head(source.schema, next(iter(table.to_batches()), empty), first, rest)
