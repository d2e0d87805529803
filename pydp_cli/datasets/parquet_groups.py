"""Treat a Parquet file row group by row group, so that workers decode and encode too, and not only treat.

A worker reads its row group from the file itself and encodes what came of it as a Parquet file in memory; the sink
joins those without decoding them. The result is the same to the byte as when one process does everything.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

import pyarrow as pa

from pydp_cli.datasets.file_state import State, state_of
from pydp_cli.datasets.interface import Encoder
from pydp_cli.datasets.parquet_read import ParquetSource, open_parquet
from pydp_cli.datasets.parquet_splice import Splicer
from pydp_cli.datasets.parquet_write import ParquetSink, Portable
from pydp_cli.errors import InputError


@dataclass(frozen=True)
class GroupChunk:
    """One row group of a file, or some of its columns, which whoever gets it reads by itself."""

    path: str
    name: str
    state: State
    group: int
    columns: tuple[str, ...] | None = None

    def read(self) -> Iterator[pa.RecordBatch]:
        """Decode the row group; raises `InputError` where the file is no longer what it was."""
        for chunk in _opened(self.path, self.name, self.state).chunks_of(self.group, self.columns):
            yield from chunk.read()


@lru_cache(maxsize=1)
def _opened(path: str, name: str, state: State) -> ParquetSource:
    if state_of(path) != state:
        raise InputError("changed while it was read", place=name, hint="run again when nothing writes to it")
    return open_parquet(path, name)


@dataclass(frozen=True)
class SourceByGroups:
    """A Parquet file whose chunks are its row groups."""

    whole: ParquetSource
    path: str
    state: State
    columns: tuple[str, ...] | None = None

    @property
    def schema(self) -> pa.Schema:
        """The file's schema."""
        return self.whole.schema

    def chunks(self) -> Iterator[GroupChunk]:
        """Yield the row groups that have rows."""
        for group, rows in enumerate(self.whole.group_rows):
            if rows:
                yield GroupChunk(self.path, self.whole.name, self.state, group, self.columns)


def by_groups(source: object, columns: tuple[str, ...] | None = None) -> SourceByGroups | None:
    """Give the file, or some of its columns, by its row groups, where there are several and it can be opened again."""
    if not isinstance(source, ParquetSource) or source.path is None or sum(rows > 0 for rows in source.group_rows) < 2:
        return None
    return SourceByGroups(source, source.path, state_of(source.path), columns)


@dataclass(frozen=True)
class GroupEncoder:
    """Encodes the treated batches of a row group as a Parquet file in memory."""

    schema: pa.Schema
    like: ParquetSource
    treated: frozenset[str] | None

    def encode(self, batch: pa.RecordBatch) -> Portable:
        """Hold the batch until its row group is complete."""
        return Portable(batch)

    def gather(self, pieces: list[Portable], group: int | None) -> list[bytes]:
        """Encode the row group."""
        out = io.BytesIO()
        sink = ParquetSink(out, self.schema, self.like, treated=self.treated)
        waiting = deque(pieces)
        pieces.clear()
        while waiting:
            sink.write(waiting.popleft(), group)  # whose memory is free when the sink is done with it
        sink.close()
        return [out.getvalue()]


class SpliceSink:
    """Joins encoded row groups to a file."""

    def __init__(
        self, stream: BinaryIO, schema: pa.Schema, like: ParquetSource, *, treated: frozenset[str] | None
    ) -> None:
        encoder = GroupEncoder(schema, like, treated)
        self.encoder: Encoder = encoder
        self._splicer = Splicer(stream)
        self._splicer.append(encoder.gather([], None)[0])  # the schema, where no row is left

    def write(self, piece: Any, group: int | None) -> None:
        """Append one encoded row group."""
        del group
        self._splicer.append(piece)

    def close(self) -> None:
        """Write the footer."""
        self._splicer.close()

    def abandon(self) -> None:
        """Leave the file without its footer."""
