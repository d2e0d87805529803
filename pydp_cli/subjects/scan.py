"""Read the key columns of a file, batch by batch, and nothing of the rest where the format allows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.datasets.csv_read import CsvChunk
from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.interface import Chunk, Source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.datasets.parquet_read import ParquetSource
from pydp_cli.errors import InputError
from pydp_cli.pipeline.head import read_head
from pydp_cli.pipeline.physical import take_rows
from pydp_cli.policy.identity_text import check_type, plain_text
from pydp_cli.subjects.page_prune import some_rows
from pydp_cli.subjects.parquet_prune import Wanted, groups_of_interest

BATCH_ROWS = 1 << 17
MERGED_ROWS = 1 << 20
"""Rows that are looked up together: what is looked for is hashed once for each look-up."""
FOUND_IN_BYTES = 8
"""So many values are looked for in the bytes of a text file before it is parsed; more cost as much as parsing."""
NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
"""How Hive and Spark name the folder of the rows without a value."""
Fingerprint = tuple[int, int, int]


class Opening(Protocol):
    """What makes the encrypted columns of a file readable."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that it must be given."""
        ...

    @property
    def decrypts(self) -> tuple[str, ...]:
        """The columns that it decrypts."""
        ...

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Decrypt the columns of a batch."""
        ...

    def candidates(self, batch: pa.RecordBatch) -> pa.Array | None:
        """Give the rows that may be of interest, without decrypting the others; None where all have to be read."""
        ...


Decode = Callable[[pa.Schema, pa.RecordBatch | None, list[str]], Opening | None]
"""Given a file's schema, its first rows (of text) and columns: what decrypts those that are encrypted."""


@dataclass(frozen=True)
class KeyBatch:
    """Some rows of a file: the position of the first, and the key columns.

    Where `rows` is there, the columns hold only those of the rows, counted from the first.
    """

    start: int
    columns: Mapping[str, pa.Array]
    num_rows: int
    rows: pa.Array | None = None


def fingerprint(file: InputFile) -> Fingerprint | None:
    """Give what changes when a local file is replaced or written to."""
    if file.filesystem is not None:
        return None
    try:
        found = os.stat(file.path)  # noqa: PTH116 - paths are strings here, as users wrote them
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=file.path) from error
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def scan_keys(
    file: InputFile,
    columns: Sequence[str],
    *,
    csv: CsvOptions,
    decode: Decode | None = None,
    wanted: Mapping[str, Wanted] | None = None,
    share: tuple[int, int] = (0, 1),
) -> Iterator[KeyBatch]:
    """Read the named columns of a file; those of its partition folders are as text.

    Row groups whose statistics show that nothing of `wanted` is in them are skipped. `decode` is asked, once the
    schema is known, for what makes encrypted columns readable. `share` is a number and how many there are: only such a
    part of a Parquet file's row groups is read.
    """
    with ExitStack() as closing:
        source = open_source(file, csv_options=csv, closing=closing)
        _check_columns(source, file, columns)
        partitions = {name: file.partition_columns[name] for name in columns if name in file.partition_columns}
        stored = [name for name in columns if name not in partitions]
        doubled = [name for name in partitions if name in source.schema.names]
        head = None if isinstance(source, ParquetSource) else read_head(source)
        made = None if decode is None else decode(source.schema, None if head is None else head.batch, stored)
        needed = list(dict.fromkeys([*stored, *doubled, *(made.needs if made is not None else ())]))
        sought = None if made is not None or partitions else wanted
        if head is not None:
            batches = _text_batches(head.chunks(), needed, sought)
        elif isinstance(source, ParquetSource) and not any("." in name for name in needed):
            batches = _parquet_batches(source, needed, sought, share)
        elif share[0]:
            batches = iter(())
        else:  # pyarrow would take a name with a dot for a path into a struct
            batches = _positioned(batch for chunk in source.chunks() for batch in chunk.read())
        for start, whole in batches:
            rows = None if made is None else made.candidates(whole)
            batch = whole if rows is None else taken(whole, rows)
            plain = None if made is None else made.apply(batch)
            found = {
                name: plain.column(name)
                if made is not None and plain is not None and name in made.decrypts
                else batch.column(name)
                for name in stored
            }
            for name, value in partitions.items():
                known = None if value == NULL_FOLDER else value
                if name in doubled:
                    _refuse_other_values(batch.column(name), known, f'{file.path}, column "{name}"')
                found[name] = pa.array([known], pa.string()).take(pa.array(np.zeros(batch.num_rows, np.int32)))
            yield KeyBatch(start, found, whole.num_rows, rows)


def _refuse_other_values(column: pa.Array, value: str | None, place: str) -> None:
    """Refuse rows that say something else than their folder: one of both is somebody else."""
    text = plain_text(column)
    others = text.is_valid() if value is None else pc.invert(pc.equal(text, value).fill_null(False))
    if others.true_count:
        raise InputError(
            "some rows have another value than the name of their folder",
            place=place,
            hint="move them, or set them right",
        )


def taken(batch: pa.RecordBatch, rows: pa.Array) -> pa.RecordBatch:
    """Take some rows of a batch."""
    return pa.record_batch([take_rows(column, rows) for column in batch.columns], batch.schema.names)


def merged(batches: Iterable[KeyBatch], most_rows: int = MERGED_ROWS) -> Iterator[KeyBatch]:
    """Put batches that follow each other together, up to a number of rows."""
    waiting: list[KeyBatch] = []
    rows = 0
    for batch in batches:
        if batch.rows is not None:
            yield from [_joined(waiting, rows)] if waiting else []
            yield batch
            waiting, rows = [], 0
            continue
        if waiting and (rows + batch.num_rows > most_rows or waiting[0].start + rows != batch.start):
            yield _joined(waiting, rows)
            waiting, rows = [], 0
        waiting.append(batch)
        rows += batch.num_rows
    if waiting:
        yield _joined(waiting, rows)


def _joined(batches: list[KeyBatch], rows: int) -> KeyBatch:
    if len(batches) == 1:
        return batches[0]
    names = batches[0].columns
    columns = {name: pa.concat_arrays([batch.columns[name] for batch in batches]) for name in names}
    return KeyBatch(batches[0].start, columns, rows)


def _check_columns(source: Source, file: InputFile, columns: Sequence[str]) -> None:
    for name in columns:
        if name in file.partition_columns:
            continue
        at = source.schema.get_field_index(name)
        if at < 0:
            raise InputError(f'there is no column "{name}", by which people are found', place=file.path)
        check_type(source.schema.field(at).type, f'{file.path}, column "{name}"')


def _positioned(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    start = 0
    for batch in batches:
        yield start, batch
        start += batch.num_rows


def _text_batches(
    chunks: Iterable[Chunk], columns: Sequence[str], wanted: Mapping[str, Wanted] | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Give the batches of a text file with the position of their first row; blocks without a find are not parsed.

    A block without a quote has a row in each line, and holds a value as it is or not at all.
    """
    texts = _texts_to_find(columns, wanted)
    start, unread = 0, None
    for chunk in chunks:
        if texts is not None and isinstance(chunk, CsvChunk) and _is_without(chunk, texts):
            start += chunk.line_feeds + _lacks_newline(chunk)
            unread = chunk.layout.columns
            continue
        unread = None
        for batch in chunk.read():
            yield start, batch
            start += batch.num_rows
    if unread is not None:  # says where the file ends
        yield start, pa.RecordBatch.from_pylist([], pa.schema([pa.field(name, pa.string()) for name in unread]))


def _texts_to_find(columns: Sequence[str], wanted: Mapping[str, Wanted] | None) -> list[bytes] | None:
    """Give all that is looked for, where that is little, and every value is stored as it compares."""
    if wanted is None or not all(name in wanted and wanted[name].exact for name in columns):
        return None
    texts = {text for name in columns for text in wanted[name].stored("BYTE_ARRAY")}
    return sorted(texts) if len(texts) <= FOUND_IN_BYTES else None


def _is_without(chunk: CsvChunk, texts: Sequence[bytes]) -> bool:
    if chunk.quotes or chunk.data is None:
        return False
    data = chunk.data.to_pybytes()
    return not any(text in data for text in texts)


def _lacks_newline(chunk: CsvChunk) -> bool:
    return chunk.data is not None and chunk.data.slice(chunk.data.size - 1).to_pybytes() not in b"\r\n"


def _parquet_batches(
    source: ParquetSource, columns: list[str], wanted: Mapping[str, Wanted] | None, share: tuple[int, int]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Give batches of the columns with the position of their first row; what is of no interest is skipped."""
    interesting = [True] * source.num_row_groups
    if wanted is not None and set(columns) != set(wanted):
        wanted = None
    if wanted is not None:
        interesting = groups_of_interest(source.metadata, source.schema, wanted, source.read_at)
    start = 0
    for group, rows in enumerate(source.group_rows):
        position = start
        start += rows
        if not interesting[group] or not rows or group * share[1] // source.num_row_groups != share[0]:
            continue
        if not columns:
            yield position, pa.record_batch([pa.nulls(rows)], ["-"])
            continue
        some = None if wanted is None else some_rows(source, group, wanted)
        if some is not None:
            yield from ((position + first, batch) for first, batch in some)
            continue
        for batch in source.batches_of(group, columns=columns, batch_rows=BATCH_ROWS):
            yield position, batch
            position += batch.num_rows
    if columns:  # says where the file ends, also where its last row groups were skipped
        yield start, pa.RecordBatch.from_pylist([], pa.schema([source.schema.field(name) for name in columns]))
