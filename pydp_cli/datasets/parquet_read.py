"""Read Parquet: schema and layout first, then batches in order, with page checksums verified where the file has them.

The main process decodes, one thread, batch by batch, and never holds more than one batch and the pages it comes from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.parquet_footer import ColumnLayout, first_row_group, footer_bytes
from pydp_cli.datasets.parquet_int96 import has_int96, int96_unit
from pydp_cli.datasets.parquet_pages import peek_page_header
from pydp_cli.datasets.thrift_compact import Reader, Struct
from pydp_cli.errors import InputError, PydpError, Refused

BATCH_ROWS = 1 << 16
BATCH_BYTES = 16 << 20  # of a decoded batch; fewer rows where cells are large
STREAM_BYTES = 1 << 18  # read ahead for each column
PROBES = (16, 256, 4096)  # rows to try first, while cells may turn out to be large


class BatchChunk:
    """A decoded batch with the row group it came from. Pickled as Arrow IPC, which cuts slices to size."""

    __slots__ = ("batch", "group")

    def __init__(self, batch: pa.RecordBatch, group: int | None) -> None:
        self.batch = batch
        self.group = group

    def read(self) -> Iterator[pa.RecordBatch]:
        """Yield the one batch, and let go of it."""
        batch = self.batch
        del self.batch
        yield batch

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle_chunk, (pack_batch(self.batch), self.group)


def pack_batch(batch: pa.RecordBatch) -> pa.Buffer:
    """Serialize a batch with its schema and dictionaries, and only the rows it shows."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    return out.getvalue()


def unpack_batch(data: pa.Buffer) -> pa.RecordBatch:
    """Undo `pack_batch`, without copying."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch()


def _unpickle_chunk(data: pa.Buffer, group: int | None) -> BatchChunk:
    return BatchChunk(unpack_batch(data), group)


@dataclass(frozen=True)
class Layout:
    """What a writer needs to know to write a file like this one."""

    columns: tuple[ColumnLayout, ...]
    sorting: tuple[tuple[str, bool, bool], ...]  # leaf path, descending, nulls first
    has_checksums: bool
    data_page_version: str
    stores_arrow_schema: bool


class ParquetSource:
    """One Parquet file. Every error names the file, and the row group where it is known, never a value."""

    def __init__(self, file: Any, name: str, path: str | None = None) -> None:
        self._file, self.name, self.path = file, name, path
        with explained(name):
            self._parquet = self._open(None)
            if has_int96(self._parquet.schema):
                self._parquet = self._open(int96_unit(self._open, name))
            self.schema: pa.Schema = self._parquet.schema_arrow
            self.metadata = self._parquet.metadata
            self.layout = _layout(self._parquet, file)
            self.num_rows: int = self.metadata.num_rows
            self.num_row_groups: int = self.metadata.num_row_groups
            self.group_rows = tuple(self.metadata.row_group(group).num_rows for group in range(self.num_row_groups))
            self.created_by: str = self.metadata.created_by
        _refuse_odd_schema(self.schema, name)

    def chunks(self) -> Iterator[BatchChunk]:
        """Yield the batches of every row group in order; a row group without rows yields none."""
        for group in range(self.num_row_groups):
            yield from self.chunks_of(group)

    def chunks_of(self, group: int, columns: Sequence[str] | None = None) -> Iterator[BatchChunk]:
        """Yield the batches of one row group, or of some of its columns."""
        left = self.group_rows[group]
        with explained(self.name, group):
            batches = self._parquet.iter_batches(
                batch_size=self._batch_rows(group), row_groups=[group], columns=columns, use_threads=False
            )
            while left > 0:
                batch = next(batches, None)
                if batch is None:
                    break
                left -= batch.num_rows
                if left <= 0:
                    del batches  # the column readers and their pages go before the last batch is treated
                batch.validate(full=True)
                chunk = BatchChunk(batch, group)
                del batch
                yield chunk
                del chunk
        if left != 0:
            raise InputError(
                "a row group holds more or fewer rows than it says", place=f"{self.name}, row group {group + 1}"
            )

    def batches_of(
        self, group: int, *, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group, or of some of its columns, for whoever looks for a few rows in it."""
        with explained(self.name, group):
            batches = self._parquet.iter_batches(
                batch_size=batch_rows, row_groups=[group], columns=columns, use_threads=False
            )
        while True:
            with explained(self.name, group):
                batch = next(batches, None)
                if batch is not None:
                    batch.validate(full=True)
            if batch is None:
                return
            yield batch

    @cached_property
    def footer(self) -> Struct:
        """The footer as it is written; to read one takes a second for each 3 MB. Raises `NotThrift` over damage."""
        return Reader(footer_bytes(self._file)).struct()

    def read_at(self, offset: int, length: int) -> bytes:
        """Read some bytes of the file."""
        self._file.seek(offset)
        return bytes(self._file.read(length))

    def column_of(self, group: int, leaves: Sequence[int]) -> pa.ChunkedArray:
        """Decode one column of one row group; `leaves` are the Parquet columns that it takes."""
        with explained(self.name, group):
            table = self._parquet.reader.read_row_group(group, column_indices=list(leaves), use_threads=False)
            table.validate(full=True)
        if table.num_rows != self.group_rows[group]:
            raise InputError(
                "a row group holds more or fewer rows than it says", place=f"{self.name}, row group {group + 1}"
            )
        return table.column(0)

    def _batch_rows(self, group: int) -> int:
        """Choose the rows of a batch so that it decodes to about `BATCH_BYTES`.

        What a few rows decode to is measured, because a dictionary makes large cells look small in the file.
        """
        metadata = self.metadata.row_group(group)
        rows = _rows_of_batch(metadata.total_byte_size / max(1, metadata.num_rows))
        for probe in PROBES:
            if probe >= min(rows, metadata.num_rows):
                break
            few = next(self._parquet.iter_batches(batch_size=probe, row_groups=[group], use_threads=False), None)
            if few is not None and few.num_rows:
                rows = min(rows, _rows_of_batch(few.nbytes / few.num_rows))
        return rows

    def _open(self, int96_unit: str | None) -> Any:
        self._file.seek(0)
        return pq.ParquetFile(
            self._file,
            pre_buffer=False,
            buffer_size=STREAM_BYTES,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit=int96_unit,
        )


def _rows_of_batch(row_bytes: float) -> int:
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(row_bytes, 1.0))))


def open_parquet(where: str | BinaryIO | Any, name: str) -> ParquetSource:
    """Open a Parquet file by path or as a seekable binary file.

    Raises `InputError` where it is not Parquet, cut off, damaged or encrypted, and `Refused` where a checksum is wrong.
    """
    path = where if isinstance(where, str) else None
    if isinstance(where, str):
        try:
            # Read, not mapped: a mapped file that another process cuts off would kill this one.
            where = pa.OSFile(where, "rb")
        except OSError as error:
            raise InputError(f"cannot be read ({_reason(error)})", place=name) from error
    _check_ends(where, name)
    return ParquetSource(where, name, path)


def _check_ends(file: Any, name: str) -> None:
    size = file.seek(0, 2)
    file.seek(0)
    head = bytes(file.read(4))
    file.seek(max(0, size - 4))
    tail = bytes(file.read(4))
    file.seek(0)
    if size == 0:
        raise InputError("the file is empty", place=name)
    if b"PARE" in {head, tail}:
        raise _encrypted(name)
    if head != b"PAR1":
        raise InputError("not a Parquet file", place=name)
    if tail != b"PAR1" or size < 12:
        raise InputError("the Parquet file is cut off", place=name, hint="its end is missing: get it again")


@contextlib.contextmanager
def explained(name: str, group: int | None = None) -> Iterator[None]:
    """Turn what pyarrow raises over a damaged file into an error that holds none of its text, which may quote data."""
    place = name if group is None else f"{name}, row group {group + 1}"
    try:
        yield
    except PydpError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        text = str(error)
        if "CRC checksum" in text:
            raise Refused(
                "a page's checksum is wrong: the data was altered or damaged",
                place=place,
                hint="get the file again from its source",
            ) from None
        if "decrypt" in text.lower() or "encrypt" in text.lower():
            raise _encrypted(name) from None
        if isinstance(error, pa.ArrowNotImplementedError):
            raise InputError("uses a feature of Parquet that cannot be read here", place=place) from None
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"cannot be read ({_reason(error)})", place=place) from None
        raise InputError("the Parquet file is damaged", place=place, hint="get it again from its source") from None


def _encrypted(name: str) -> InputError:
    return InputError(
        "the Parquet file is encrypted (modular encryption)", place=name, hint="decrypt it with the tool that wrote it"
    )


def _reason(error: OSError) -> str:
    return (error.strerror or "error").lower()


def _refuse_odd_schema(schema: pa.Schema, name: str) -> None:
    names = schema.names
    if len(set(names)) < len(names):
        double = next(column for column in names if names.count(column) > 1)
        raise InputError(f'two columns have the name "{double}"', place=name)


def _layout(parquet: Any, file: Any) -> Layout:
    metadata, schema = parquet.metadata, parquet.schema
    first = first_row_group(file)
    arrow_schema = b"ARROW:schema" in (metadata.metadata or {})
    if first is None:
        leaves = [schema.column(index) for index in range(len(schema))]
        columns = tuple(
            ColumnLayout(leaf.path, leaf.physical_type, "SNAPPY", True, (), False, False, 0) for leaf in leaves
        )
        return Layout(columns, (), False, "1.0", arrow_schema)
    pages = [peek_page_header(file, column.first_data_page) for column in first.columns]
    headers = [header for header in pages if header is not None]
    return Layout(
        columns=first.columns,
        sorting=first.sorting,
        has_checksums=any(header.has_checksum for header in headers),
        data_page_version="2.0" if any(header.is_version_2 for header in headers) else "1.0",
        stores_arrow_schema=arrow_schema,
    )
