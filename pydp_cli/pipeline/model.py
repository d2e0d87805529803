"""A compiled pipeline: a pure, picklable function from one record batch to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import RowError, UnsupportedType
from pydp_cli.pipeline.physical import densify, store
from pydp_cli.policy.conditions import Condition
from pydp_cli.transforms.parse import parse_text
from pydp_cli.transforms.registry import ColumnFunction, Rows
from pydp_cli.transforms.treatment import StepSpec


@dataclass(frozen=True)
class Parse:
    """Read text as a type, where the policy declares one or a transform asks for one."""

    kind: pa.DataType

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Parse the column."""
        del rows
        return self.read(column)

    def read(self, column: pa.StringArray) -> pa.Array:
        """Parse text; raises `BadValue` with the first rows that are wrong."""
        return parse_text(column, self.kind)


@dataclass(frozen=True)
class BoundStep:
    """One step of a column's treatment, bound to its keys: takes `taken`, gives `given`."""

    name: str
    function: ColumnFunction
    taken: pa.DataType
    given: pa.DataType
    condition: Condition | None = None
    spec: StepSpec | None = None
    """The transform that the policy names; None for a step that the compiler put in."""
    leaks: str | None = None
    """What the column still tells after a step that is no transform of the policy; None where that is not its doing."""
    shows_equality: bool = False
    """Whether it encrypts so that equal values are seen to be equal."""

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Treat the rows that the condition selects, and leave the others as they are."""
        if self.condition is None:
            return self.function(column, rows)
        chosen = self.condition({name: rows.original(name) for name in self.condition.columns})
        if not chosen.true_count:
            return column
        selected = pc.indices_nonzero(chosen)
        try:
            treated = self.function(column.take(selected), SelectedRows(rows, selected))
        except RowError as error:
            error.rows = tuple(selected[row].as_py() for row in error.rows)
            raise
        return pc.replace_with_mask(column, chosen, treated)


@dataclass(frozen=True)
class SelectedRows:
    """The rows that a condition selected, as seen by a step."""

    rows: Rows
    selected: pa.Array

    @property
    def num_rows(self) -> int:
        """The number of selected rows."""
        return len(self.selected)

    def original(self, column: str) -> pa.Array:
        """Give the selected rows of a column as it was read."""
        return self.rows.original(column).take(self.selected)

    def treated(self, column: str) -> pa.Array:
        """Give the selected rows of a column as it will be written."""
        return self.rows.treated(column).take(self.selected)


@dataclass(frozen=True)
class ColumnPlan:
    """What happens to one column. `output` is None for a dropped column; no steps means that it passes untouched."""

    name: str
    source: pa.DataType
    declared: pa.DataType | None
    steps: tuple[BoundStep, ...]
    output: pa.Field | None
    keys: tuple[KeyUse, ...] = ()
    made_from: str | None = None
    """The column of the input whose values a new column is made of; None for a column of the input."""

    @property
    def untouched(self) -> bool:
        """Whether the stored values pass as they are."""
        return not self.steps and self.declared is None


@dataclass(frozen=True)
class KeyUse:
    """Which key of the keyring treats a column: its name in the ring, and its id in hexadecimal."""

    name: str
    key_id: str


class RowCondition(Protocol):
    """Tells which rows are selected, by some of their columns as they were read. Picklable."""

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it reads."""
        ...

    def __call__(self, columns: Mapping[str, pa.Array]) -> pa.BooleanArray:
        """Give one truth value a row, never null."""
        ...


@dataclass(frozen=True)
class RowFilter:
    """Keep or drop the rows that a condition selects; `reason` is what the rows that it drops are counted under."""

    condition: RowCondition
    keep: bool
    reason: str = "a condition of the policy"
    as_stored: bool = False
    """Whether the condition is given columns as they are stored, and not of their declared types."""


@dataclass(frozen=True)
class Pipeline:
    """The compiled treatment of one dataset's rows."""

    dataset: str
    purpose: str
    input_schema: pa.Schema
    output_schema: pa.Schema
    plans: tuple[ColumnPlan, ...]
    filters: tuple[RowFilter, ...] = ()
    _by_name: dict[str, ColumnPlan] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {plan.name: plan for plan in self.plans})

    def plan(self, column: str) -> ColumnPlan:
        """Give the plan of a column of the input."""
        return self._by_name[column]

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Treat one batch. Pure: the same batch gives the same result, and nothing is kept between calls.

        Raises `BadValue` where text is not of the type that is asked for, `Tampered` and `WrongKey` where cells cannot
        be decrypted, with `rows` counted in the batch.
        """
        return self.apply_counted(batch)[0]

    def apply_counted(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Counter[str], Counter[str]]:
        """Treat one batch as `apply` does; count the cells that failed by column, and the rows dropped by reason."""
        whole = batch
        dropped: Counter[str] = Counter()
        batch, positions = self._filter(whole, dropped)
        rows = BatchRows(self, batch)
        kept = [plan.name for plan in self.plans if plan.output is not None]
        try:
            arrays = [rows.stored(name) for name in kept]
            return pa.RecordBatch.from_arrays(arrays, schema=self.output_schema), rows.failures, dropped
        except RowError as error:
            if positions is not None:
                error.rows = tuple(positions[row].as_py() for row in error.rows)
            raise

    def _filter(self, batch: pa.RecordBatch, dropped: Counter[str]) -> tuple[pa.RecordBatch, pa.Array | None]:
        positions: pa.Array | None = None
        for row_filter in self.filters:
            rows = BatchRows(self, batch)
            condition = row_filter.condition
            read = rows.as_read if row_filter.as_stored else rows.original
            chosen = condition({name: read(name) for name in condition.columns})
            selected = pc.indices_nonzero(chosen if row_filter.keep else pc.invert(chosen))
            dropped[row_filter.reason] += batch.num_rows - len(selected)
            batch = batch.take(selected)
            positions = selected if positions is None else positions.take(selected)
        return batch, positions


class BatchRows:
    """The columns of one batch, each read and treated at most once."""

    def __init__(self, pipeline: Pipeline, batch: pa.RecordBatch) -> None:
        self._pipeline = pipeline
        self._batch = batch
        self._originals: dict[str, pa.Array] = {}
        self._treated: dict[str, pa.Array] = {}
        self.failures: Counter[str] = Counter()

    @property
    def num_rows(self) -> int:
        """The number of rows of the batch."""
        return int(self._batch.num_rows)

    def note_failures(self, column: str, count: int) -> None:
        """Count cells that failed and were let pass."""
        self.failures[column] += count

    def as_read(self, column: str) -> pa.Array:
        """Give a column as it is stored."""
        return self._batch.column(column)

    def original(self, column: str) -> pa.Array:
        """Give a column dense, and of its declared type."""
        if column not in self._originals:
            plan = self._pipeline.plan(column)
            dense = densify(self._batch.column(plan.made_from or column))
            if plan.declared is not None:
                dense = _placed(plan.name, lambda: parse_text(dense, plan.declared))
            self._originals[column] = dense
        return self._originals[column]

    def treated(self, column: str) -> pa.Array:
        """Give a column as it will be written, dense."""
        if column not in self._treated:
            plan = self._pipeline.plan(column)
            self._treated[column] = _placed(column, lambda: self._run(plan))
        return self._treated[column]

    def stored(self, column: str) -> pa.Array:
        """Give a column in the type in which it is stored."""
        plan = self._pipeline.plan(column)
        assert plan.output is not None
        if plan.untouched:
            return self._batch.column(column)
        return store(self.treated(column), plan.output.type)

    def _run(self, plan: ColumnPlan) -> pa.Array:
        column = self.original(plan.name)
        for step in plan.steps:
            column = step(column, self)
            if column.type != step.given or len(column) != self.num_rows:
                raise UnsupportedType(
                    f'transform "{step.name}" gave {len(column)} values of type {column.type} '
                    f"where {self.num_rows} of type {step.given} were promised",
                    place=f'column "{plan.name}"',
                    hint="this is a fault of the transform, not of the data",
                )
        return column


def _placed(column: str, make: Callable[[], pa.Array]) -> pa.Array:
    try:
        return make()
    except RowError as error:
        error.place = error.place or f'column "{column}"'
        raise
