"""What a format offers to the pipeline: chunks to read in workers, an encoder for workers, and an ordered sink."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa


class Chunk(Protocol):
    """A picklable piece of the input, in order."""

    @property
    def group(self) -> int | None:
        """The row group it came from, if any."""
        ...

    def read(self) -> Iterator[pa.RecordBatch]:
        """Decode the piece; errors name the place (line number, row group), never a value."""
        ...


class Source(Protocol):
    """One input file (or stdin). `schema` is known before the first chunk is asked for."""

    @property
    def schema(self) -> pa.Schema:
        """The stored schema."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Yield the file's pieces in order, holding at most a few in memory."""
        ...


class Encoder(Protocol):
    """Turns a treated batch into what the sink writes. Picklable and without state."""

    def encode(self, batch: pa.RecordBatch) -> Any:
        """Encode one batch."""
        ...

    def gather(self, pieces: list[Any], group: int | None) -> list[Any]:
        """Make of the encoded batches of one chunk what the sink is to be given."""
        ...


class Sink(Protocol):
    """Receives encoded pieces in order; nothing is visible at the target until the publication is committed."""

    @property
    def encoder(self) -> Encoder:
        """What workers encode with."""
        ...

    def write(self, piece: Any, group: int | None) -> None:
        """Append one encoded piece that came from row group `group`."""
        ...

    def close(self) -> None:
        """Write what remains (footer, compression trailer)."""
        ...

    def abandon(self) -> None:
        """Give up after an error: nothing more is written."""
        ...
