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
import pyarrow.compute as pc
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
UNREADABLE = NO_DAY + 1
"""Stands for text that is no date: nobody can say when its time ends, and so it never does."""
_OFFSET = r"^.{10}[T ].*[+-][0-9]{2}(:?[0-9]{2})?$"
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
    """The rows of a file that are past their time, those without a date, and how many rows it has.

    `unreadable` rows have text for a date that is none; they are in neither.
    """

    rows: Rows
    undated: Rows
    num_rows: int
    unreadable: int = 0


def due_rows(rule: Rule, dataset: DatasetPolicy, file: InputFile, today: date) -> Due:
    """Find the rows of a file that a rule says are past their time, and those without a date; none that meet `unless`.

    Raises `InputError` where a clock column is missing, and `UsageError` where it holds no dates.
    """
    last = rule.last_day(today)
    due, undated = [NO_ROWS], [NO_ROWS]
    rows = unreadable = 0
    for start, days in _days(rule, dataset, file, last):
        rows = max(rows, start + len(days))
        undated.append(np.flatnonzero(days == NO_DAY) + start)
        unreadable += int(np.count_nonzero(days == UNREADABLE))
        if last is not None:
            due.append(np.flatnonzero((days <= last) & (days > UNREADABLE)) + start)
    found, without = np.concatenate(due), np.concatenate(undated)
    if rule.said.unless is not None and len(found) + len(without):
        spared = rows_where(dataset, file, rule.said.unless)
        found, without = (np.setdiff1d(some, spared, assume_unique=True) for some in (found, without))
    return Due(found, without, rows, unreadable)


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
    """Give the latest day of each row; `NO_DAY` where it has none, `UNREADABLE` where one of them is."""
    found: Days = np.full(rows, NO_DAY, np.int64)
    unreadable = np.zeros(rows, bool)
    for days in columns:
        found = np.maximum(found, days)
        unreadable |= days == UNREADABLE
    return np.where(unreadable, UNREADABLE, found)


def days_of(column: pa.Array, place: str) -> Days:
    """Give days since 1970, `NO_DAY` for null and for blanks, `UNREADABLE` for text that is no date.

    Raises `UsageError` for other types.
    """
    dense = densify(column)
    kind = dense.type
    if pa.types.is_string(kind):
        return _days_of_text(dense)
    if pa.types.is_timestamp(kind):
        numbers = dense.cast(pa.int64())
        unit = _A_DAY[kind.unit]
    elif pa.types.is_date(kind):
        numbers, unit = dense.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()), 1
    else:
        raise UsageError(f"a clock is a date or a time, not {kind}", place=place)
    days = numbers.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64) // unit
    return np.where(_valid(dense), days, NO_DAY)


def _days_of_text(text: pa.StringArray) -> Days:
    """Read dates and times; of a time with an offset the day in UTC counts."""
    read = _read(text, pa.date32())
    days = read.cast(pa.int32()).cast(pa.int64())
    offset = pc.fill_null(pc.match_substring_regex(text, _OFFSET), fill_value=False)
    if offset.true_count:
        moments = _read(text.filter(offset), pa.timestamp("us", "UTC")).cast(pa.int64())
        floored = np.floor_divide(moments.fill_null(0).to_numpy(zero_copy_only=False), _A_DAY["us"])
        days = pc.replace_with_mask(days, offset, pa.array(floored, mask=~_valid(moments)))
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(text), ""), fill_value=True).to_numpy(zero_copy_only=False)
    return np.where(_valid(days), days.fill_null(0).to_numpy(zero_copy_only=False), np.where(blank, NO_DAY, UNREADABLE))


def _valid(column: pa.Array) -> npt.NDArray[np.bool_]:
    valid: npt.NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _read(text: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Read text; what is not of the kind is null, found among the distinct values by halving."""
    try:
        return Parse(kind).read(text)
    except BadValue:
        encoded = text.dictionary_encode()
        return pa.concat_arrays(_halves(encoded.dictionary, kind)).take(encoded.indices)


def _halves(text: pa.StringArray, kind: pa.DataType) -> list[pa.Array]:
    try:
        return [Parse(kind).read(text)]
    except BadValue:
        if len(text) == 1:
            return [pa.nulls(1, kind)]
        middle = len(text) // 2
        return [*_halves(text.slice(0, middle), kind), *_halves(text.slice(middle), kind)]
