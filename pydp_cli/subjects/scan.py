"""Read the key columns of a file, batch by batch, and nothing of the rest where the format allows it."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.interface import Source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.errors import InputError
from pydp_cli.pipeline.head import read_head
from pydp_cli.pipeline.readable import Readable
from pydp_cli.policy.identity_text import check_type

BATCH_ROWS = 1 << 17
MERGED_ROWS = 1 << 20
"""Rows that are looked up together: what is looked for is hashed once for each look-up."""
Fingerprint = tuple[int, int, int]
Decode = Callable[[pa.Schema, pa.RecordBatch | None, list[str]], Readable | None]
"""Given a file's schema, its first rows (of text) and columns: what decrypts those that are encrypted."""


@dataclass(frozen=True)
class KeyBatch:
    """Some rows of a file: the position of the first, and the key columns."""

    start: int
    columns: Mapping[str, pa.Array]
    num_rows: int


@dataclass(frozen=True)
class Wanted:
    """What is looked for in a column, sorted, as text and as numbers; `exact` where stored values compare as such."""

    values: Sequence[str]
    exact: bool
    numbers: Sequence[int] = ()

    @classmethod
    def of(cls, values: Iterable[str], *, exact: bool) -> Wanted:
        """Sort what is looked for."""
        texts = sorted(values)
        return cls(texts, exact, sorted(number for text in texts if (number := _whole(text)) is not None))


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
) -> Iterator[KeyBatch]:
    """Read the named columns of a file; those of its partition folders are as text.

    Row groups whose statistics show that nothing of `wanted` is in them are skipped. `decode` is asked, once the
    schema is known, for what makes encrypted columns readable.
    """
    with ExitStack() as closing:
        source = open_source(file, csv_options=csv, closing=closing)
        _check_columns(source, file, columns)
        partitions = {name: file.partition_columns[name] for name in columns if name in file.partition_columns}
        stored = [name for name in columns if name not in partitions]
        is_parquet = hasattr(source, "num_row_groups")
        head = None if is_parquet else read_head(source)
        made = None if decode is None else decode(source.schema, None if head is None else head.batch, stored)
        needed = list(dict.fromkeys([*stored, *(made.needs if made is not None else ())]))
        if is_parquet:
            batches = _parquet_batches(source, file, needed, None if made is not None or partitions else wanted)
        else:
            assert head is not None
            batches = _positioned(batch for chunk in head.chunks() for batch in chunk.read())
        for start, batch in batches:
            plain = None if made is None else made.apply(batch)
            found = {
                name: plain.column(name)
                if made is not None and plain is not None and name in made.decrypts
                else batch.column(name)
                for name in stored
            }
            for name, value in partitions.items():
                found[name] = pa.array([value], pa.string()).take(pa.array(np.zeros(batch.num_rows, np.int32)))
            yield KeyBatch(start, found, batch.num_rows)


def merged(batches: Iterable[KeyBatch], most_rows: int = MERGED_ROWS) -> Iterator[KeyBatch]:
    """Put batches that follow each other together, up to a number of rows."""
    waiting: list[KeyBatch] = []
    rows = 0
    for batch in batches:
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


def _parquet_batches(
    source: Source, file: InputFile, columns: list[str], wanted: Mapping[str, Wanted] | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Give batches of the columns with the position of their first row; row groups of no interest are skipped."""
    if any("." in name for name in columns):  # pyarrow would take it for a path into a struct
        yield from _positioned(batch for chunk in source.chunks() for batch in chunk.read())
        return
    stream = file.filesystem.open_input_file(file.path) if file.filesystem is not None else file.path
    with pq.ParquetFile(stream) as parquet:
        metadata = parquet.metadata
        leaves = {parquet.schema.column(at).path: at for at in range(len(parquet.schema))}
        start = 0
        for group in range(metadata.num_row_groups):
            position, rows = start, metadata.row_group(group).num_rows
            start += rows
            if wanted is not None and not _may_hold(metadata.row_group(group), columns, leaves, wanted):
                continue
            if not columns:
                yield position, pa.record_batch([pa.nulls(rows)], ["-"])
                continue
            for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
                yield position, batch
                position += batch.num_rows
        if columns:  # says where the file ends, also where its last row groups were skipped
            read = parquet.schema_arrow
            yield start, pa.RecordBatch.from_pylist([], pa.schema([read.field(name) for name in columns]))


def _may_hold(group: Any, columns: list[str], leaves: Mapping[str, int], wanted: Mapping[str, Wanted]) -> bool:
    """Tell by the statistics whether a row group may hold anything that is looked for; when in doubt, it may."""
    for name in columns:
        looked_for = wanted.get(name)
        if looked_for is None or not looked_for.values:
            continue
        if not looked_for.exact or name not in leaves:
            return True
        statistics = group.column(leaves[name]).statistics
        if statistics is None or not statistics.has_min_max or _overlaps(statistics, looked_for):
            return True
    return False


def _overlaps(statistics: Any, wanted: Wanted) -> bool:
    """Tell whether something that is looked for is between the least and the greatest value of a row group."""
    least, greatest = statistics.min, statistics.max
    if isinstance(least, int) and not isinstance(least, bool):
        return _between(wanted.numbers, least, greatest)
    return not isinstance(least, str) or _between(wanted.values, least, greatest)


def _between(values: Sequence[Any], least: Any, greatest: Any) -> bool:
    at = bisect_left(values, least)
    return at < len(values) and bool(values[at] <= greatest)


def _whole(text: str) -> int | None:
    return int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() else None
