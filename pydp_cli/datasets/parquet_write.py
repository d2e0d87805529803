"""Write Parquet like the file it came from: metadata, compression, encodings, checksums and row groups."""

from __future__ import annotations

from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.interface import Encoder, Source
from pydp_cli.datasets.memory import give_back_memory
from pydp_cli.datasets.pandas_metadata import with_consistent_pandas_metadata
from pydp_cli.datasets.parquet_layout import writer_options
from pydp_cli.datasets.parquet_read import ParquetSource, pack_batch, unpack_batch
from pydp_cli.errors import OutputError

GROUP_ROWS = 1 << 20  # of a row group where the source has none
RELEASE_BATCHES = 4  # after which freed memory goes back to the system
GROUP_BYTES = 160 << 20  # held decoded until a row group is complete; a larger one is split


class Portable:
    """A treated batch on its way from a worker; pickled as Arrow IPC, which cuts slices to size."""

    __slots__ = ("batch",)

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (pack_batch(self.batch),)


def _unpickle(data: pa.Buffer) -> Portable:
    return Portable(unpack_batch(data))


class BatchEncoder:
    """Hands batches over as they are: the sink encodes, because row groups span batches."""

    def encode(self, batch: pa.RecordBatch) -> Portable:
        """Wrap the batch, so that it is cheap to pickle if it must be."""
        return Portable(batch)

    def gather(self, pieces: list[Portable], group: int | None) -> list[Portable]:
        """Leave the batches as they are."""
        del group
        return pieces


class ParquetSink:
    """Collects the batches of a row group, then encodes them column by column.

    A new row group begins where the source began one. A row group of more than `group_bytes` is written as several, so
    that memory stays bounded whatever the source did. Where the source is no Parquet file, row groups have about a
    million rows.
    """

    def __init__(
        self,
        stream: BinaryIO,
        schema: pa.Schema,
        like: Source | None = None,
        *,
        treated: frozenset[str] | None = None,
        group_bytes: int = GROUP_BYTES,
    ) -> None:
        self.encoder: Encoder = BatchEncoder()
        self._like = like if isinstance(like, ParquetSource) else None
        self._schema = with_consistent_pandas_metadata(schema, self._like.schema if self._like else None)
        self._group_bytes = group_bytes
        self._group: int | None = None
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._arrived = 0  # rows of the source's current row group that have come
        self._stream = pa.PythonFile(stream, mode="w")
        self._writer = pq.ParquetWriter(
            self._stream, self._schema, **writer_options(self._schema, self._like, treated=treated)
        )

    def write(self, piece: Any, group: int | None) -> None:
        """Take one batch of row group `group`."""
        if group != self._group:
            self._flush()
            self._group, self._arrived = group, 0
        batch = piece.batch
        del piece.batch
        size = batch.nbytes
        if self._held and self._held_bytes + size > self._group_bytes:
            self._flush()
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += size
        self._arrived += batch.num_rows
        del batch
        if len(self._held) % RELEASE_BATCHES == 0:
            give_back_memory()
        if self._is_complete():
            self._flush()

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        try:
            self._writer.close()
            self._stream.flush()
        except pa.ArrowException as error:
            raise OutputError("the Parquet footer cannot be written") from error

    def abandon(self) -> None:
        """Keep pyarrow from writing a footer when its writer is collected."""
        self._writer.is_open = False

    def _is_complete(self) -> bool:
        """Tell early that no more rows will come, so that the group is written before the next one is read."""
        if self._like is not None and self._group is not None:
            return bool(self._arrived == self._like.group_rows[self._group])
        return self._held_rows >= GROUP_ROWS

    def _flush(self) -> None:
        if self._held_rows:
            give_back_memory()
            table = pa.Table.from_batches(self._held, self._held[0].schema)
            self._held.clear()
            try:
                self._writer.write_table(table, row_group_size=self._held_rows)
            except pa.ArrowInvalid as error:
                raise _explained(table) from error
        self._held.clear()
        self._held_rows = self._held_bytes = 0


def _explained(table: pa.Table) -> OutputError:
    for field in table.schema:
        if not field.nullable and table.column(field.name).null_count:
            return OutputError(
                "the column may not hold nulls, and its treatment made some", place=f'column "{field.name}"'
            )
    return OutputError("a column cannot be written as Parquet")
