"""Leave out of edits the cells that already are what they would become: done twice, nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
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
from pydp_cli.pipeline.physical import densify, take_rows


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
                changing[name].append(rows[~_same(old, replacement.make(old))])
    replace = {
        name: Replacement(np.concatenate(rows), edits.replace[name].make)
        for name, rows in changing.items()
        if sum(map(len, rows))
    }
    return Edits(edits.delete, replace)


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
