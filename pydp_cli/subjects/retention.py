"""Retention: which rows of a file are past their time, by a clock column, without decoding what statistics decide.

A row's time begins on the day of its clock, in UTC where the clock has a zone, and it stays through the whole day on
which `keep` and `grace` end. Of several clocks the latest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.edits import NO_ROWS, Rows
from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.errors import BadValue, InputError, UsageError
from pydp_cli.pipeline.model import Parse
from pydp_cli.pipeline.physical import densify
from pydp_cli.policy.model import DatasetPolicy, Policy
from pydp_cli.policy.rights import Retention
from pydp_cli.subjects.durations import last_day_over
from pydp_cli.subjects.row_values import rows_where
from pydp_cli.subjects.scan import scan_keys

Days = npt.NDArray[np.int64]
NO_DAY = np.iinfo(np.int64).min
_A_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Rule:
    """One rule: of a dataset's rows, or of one column's values."""

    dataset: str
    column: str | None
    said: Retention

    def last_day(self, today: date) -> int | None:
        """Give the last clock day that is past its time, as days since 1970; None where there is none."""
        day = last_day_over(today, self.said.keep, *([self.said.grace] if self.said.grace else []))
        return None if day is None else day.toordinal() - _EPOCH


def rules_of(policy: Policy) -> list[Rule]:
    """Give the rules of a policy; those of whole rows first."""
    found = []
    for name, dataset in policy.datasets.items():
        if dataset.retention is not None:
            found.append(Rule(name, None, dataset.retention))
        columns = dataset.columns.items()
        found += [Rule(name, column, one.retention) for column, one in columns if one.retention is not None]
    return found


@dataclass(frozen=True)
class Due:
    """The rows of a file that are past their time, those without a date, and how many rows it has."""

    rows: Rows
    undated: Rows
    num_rows: int


def due_rows(rule: Rule, dataset: DatasetPolicy, file: InputFile, today: date) -> Due:
    """Find the rows of a file that a rule says are past their time; rows that meet `unless` are not among them.

    Raises `InputError` where a clock column is missing, and `UsageError` where it holds no dates.
    """
    last = rule.last_day(today)
    due, undated = [NO_ROWS], [NO_ROWS]
    rows = 0
    for start, days in _days(rule, dataset, file, last):
        rows = max(rows, start + len(days))
        undated.append(np.flatnonzero(days == NO_DAY) + start)
        if last is not None:
            due.append(np.flatnonzero((days <= last) & (days != NO_DAY)) + start)
    found, without = np.concatenate(due), np.concatenate(undated)
    if rule.said.unless is not None and len(found):
        found = np.setdiff1d(found, rows_where(dataset, file, rule.said.unless), assume_unique=True)
    return Due(found, without, rows)


def _days(rule: Rule, dataset: DatasetPolicy, file: InputFile, last: int | None) -> Iterator[tuple[int, Days]]:
    """Give the clock day of rows, as days since 1970, with the position of the first of them."""
    clocks = list(rule.said.clock)
    with ExitStack() as closing:
        source = open_source(file, csv_options=dataset.csv, closing=closing)
        for name in clocks:
            if name not in source.schema.names and name not in file.partition_columns:
                raise InputError(f'there is no column "{name}", by which retention counts', place=file.path)
        is_parquet = hasattr(source, "num_row_groups")
        plain = is_parquet and not set(clocks) & set(file.partition_columns) and not any("." in name for name in clocks)
        schema = source.schema
    if plain and file.filesystem is None:
        yield from _days_of_groups(clocks, file, schema, last)
        return
    for batch in scan_keys(file, clocks, csv=dataset.csv):
        place = f'{file.path}, column "{clocks[0]}"'
        yield batch.start, latest([days_of(batch.columns[name], place) for name in clocks], batch.num_rows)


def _days_of_groups(
    clocks: list[str], file: InputFile, schema: pa.Schema, last: int | None
) -> Iterator[tuple[int, Days]]:
    """Decode the clocks of those row groups only whose statistics do not decide."""
    with pq.ParquetFile(file.path) as parquet:
        leaves = {parquet.schema.column(at).path: at for at in range(len(parquet.schema))}
        start = 0
        for group in range(parquet.metadata.num_row_groups):
            metadata = parquet.metadata.row_group(group)
            rows = metadata.num_rows
            known = None
            if len(clocks) == 1 and clocks[0] in leaves:
                known = _decided(metadata.column(leaves[clocks[0]]).statistics, schema.field(clocks[0]).type, last)
            if known is not None:
                yield start, np.full(rows, known, np.int64)
            else:
                at = start
                for batch in parquet.iter_batches(row_groups=[group], columns=clocks, use_threads=False):
                    place = f'{file.path}, column "{clocks[0]}"'
                    yield at, latest([days_of(batch.column(name), place) for name in clocks], batch.num_rows)
                    at += batch.num_rows
            start += rows


def _decided(statistics: Any, kind: pa.DataType, last: int | None) -> int | None:
    """Give a day that stands for all rows of a row group: all are past their time, or none is; None when in doubt."""
    if statistics is None or not statistics.has_min_max or not statistics.has_null_count or statistics.null_count:
        return None
    bounds = [_raw_day(raw, kind) for raw in (statistics.min_raw, statistics.max_raw)]
    if None in bounds:
        return None
    least, greatest = (int(bound) for bound in bounds if bound is not None)
    if last is None or least > last or greatest <= last:
        return greatest
    return None


def _raw_day(raw: Any, kind: pa.DataType) -> int | None:
    if not isinstance(raw, int):
        return None
    if pa.types.is_date32(kind):
        return raw
    return raw // _A_DAY[kind.unit] if pa.types.is_timestamp(kind) and kind.unit != "s" else None


def latest(columns: Sequence[Days], rows: int) -> Days:
    """Give the latest day of each row; `NO_DAY` where it has none."""
    found: Days = np.full(rows, NO_DAY, np.int64)
    for days in columns:
        found = np.maximum(found, days)
    return found


def days_of(column: pa.Array, place: str) -> Days:
    """Give days since 1970, `NO_DAY` for null and for text that is no date; raises `UsageError` for other types."""
    dense = densify(column)
    kind = dense.type
    if pa.types.is_string(kind):
        dense = _dates(dense)
        kind = dense.type
    if pa.types.is_timestamp(kind):
        numbers = dense.cast(pa.int64())
        unit = _A_DAY[kind.unit]
    elif pa.types.is_date(kind):
        numbers, unit = dense.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()), 1
    else:
        raise UsageError(f"a clock is a date or a time, not {kind}", place=place)
    days = numbers.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64) // unit
    return np.where(dense.is_valid().to_numpy(zero_copy_only=False), days, NO_DAY)


def _dates(text: pa.StringArray) -> pa.Array:
    """Read dates; what is none is null, each distinct text looked at by itself."""
    try:
        return Parse(pa.date32()).read(text)
    except BadValue:
        encoded = text.dictionary_encode()
        read = [_date(encoded.dictionary.slice(at, 1)) for at in range(len(encoded.dictionary))]
        return pa.concat_arrays(read).take(encoded.indices)


def _date(one: pa.StringArray) -> pa.Array:
    try:
        return Parse(pa.date32()).read(one)
    except BadValue:
        return pa.nulls(1, pa.date32())
