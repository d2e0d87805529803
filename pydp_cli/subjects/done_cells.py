"""Leave out of edits the cells that already are what they would become, and refuse what a column cannot take."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.datasets.edits import Edits, Replacement, Rows
from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.errors import UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.head import read_head
from pydp_cli.pipeline.physical import densify, take_rows
from pydp_cli.pipeline.readable import columns_of_cells
from pydp_cli.policy.model import Policy


def without_what_is_done(edits: Edits, file: InputFile, csv: CsvOptions) -> Edits:
    """Compare the cells of a file with what they would become."""
    names = [name for name, one in edits.replace.items() if len(one.rows)]
    if not names:
        return edits
    changing: dict[str, list[Rows]] = {name: [] for name in names}
    for start, batch in _batches(file, csv, edits, names):
        for name in names:
            replacement = edits.replace[name]
            first, last = np.searchsorted(replacement.rows, [start, start + batch.num_rows])
            rows = replacement.rows[first:last]
            if len(rows):
                old = take_rows(batch.column(name), pa.array(rows - start))
                old = old.dictionary_decode() if pa.types.is_dictionary(old.type) else old
                new = replacement.make(old)
                _refuse_null(file, batch.schema, name, new)
                changing[name].append(rows[~_same(old, new)])
    replace = {
        name: Replacement(np.concatenate(rows), edits.replace[name].make)
        for name, rows in changing.items()
        if sum(map(len, rows))
    }
    return Edits(edits.delete, replace)


def refuse_cells(
    policy: Policy, dataset: str, file: InputFile, columns: Collection[str], keyring: Keyring | None
) -> None:
    """Refuse to look into encrypted values, or to put others among them, which would not decrypt."""
    if not columns:
        return
    with ExitStack() as closing:
        source = open_source(file, csv_options=policy.datasets[dataset].csv, closing=closing)
        sample = None if hasattr(source, "num_row_groups") else read_head(source).batch
        cells = columns_of_cells(source.schema, sample, keyring, columns)
    if cells:
        raise UsageError(
            "the values are encrypted, and erasing can only delete rows or make them null",
            place=f'{file.path}, column "{cells[0]}"',
            hint="decrypt the file first, or put null there",
        )


def _refuse_null(file: InputFile, schema: pa.Schema, name: str, new: pa.Array) -> None:
    if new.null_count and not schema.field(name).nullable:
        raise UsageError(
            "the column cannot be null", place=f'{file.path}, column "{name}"', hint="put a constant there"
        )


def _batches(file: InputFile, csv: CsvOptions, edits: Edits, names: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Give the batches that hold cells of the edits; raises `UsageError` where a column is not there."""
    with ExitStack() as closing:
        source = open_source(file, csv_options=csv, closing=closing)
        for name in names:
            if name not in source.schema.names:
                raise UsageError(f'there is no column "{name}"', place=file.path)
        if not hasattr(source, "num_row_groups"):
            start = 0
            for chunk in source.chunks():
                for batch in chunk.read():
                    yield start, batch
                    start += batch.num_rows
            return
    with pq.ParquetFile(file.path) as parquet:
        start = 0
        columns = None if any("." in name for name in names) else names  # a dot would be taken for a path
        for group in range(parquet.metadata.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if edits.between(start, start + rows):
                at = start
                for batch in parquet.iter_batches(row_groups=[group], columns=columns, use_threads=False):
                    yield at, batch
                    at += batch.num_rows
            start += rows


def _same(old: pa.Array, new: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell for each cell whether it stays what it is; of nested values only nulls can be told."""
    nulls = pc.and_(old.is_null(), new.is_null()).to_numpy(zero_copy_only=False)
    if pa.types.is_nested(old.type):
        return np.asarray(nulls, bool)
    equal = pc.fill_null(pc.equal(densify(old), densify(new)), fill_value=False)
    return np.asarray(nulls | equal.to_numpy(zero_copy_only=False), bool)
