"""Check a dataset's policy against the schema of its files: what can be known before a row is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import pyarrow as pa

from pydp_cli.errors import PolicyError, Problem, PydpError
from pydp_cli.policy.column_types import dense_type, type_name
from pydp_cli.policy.conditions import compile_condition
from pydp_cli.policy.model import ColumnPolicy, DatasetPolicy, Policy
from pydp_cli.transforms.findings import did_you_mean
from pydp_cli.transforms.treatment import StepSpec
from pydp_cli.transforms.types import NUMBER, TEMPORAL, is_text

Purpose = Literal["anonymize", "encrypt", "decrypt", "guard"]


def check_schema(
    policy: Policy, dataset: str, schema: pa.Schema, *, purpose: Purpose | None = "anonymize"
) -> list[Problem]:
    """Check one dataset against the stored schema of its files (for CSV: all text).

    For `anonymize`, each column that the policy names must say what is done to it. With `purpose=None` what is said
    is checked, and what is not said is left.
    """
    return list(_SchemaCheck(policy, dataset, schema).problems(purpose))


class _SchemaCheck:
    def __init__(self, policy: Policy, name: str, schema: pa.Schema) -> None:
        self.policy, self.name, self.schema = policy, name, schema
        self.dataset: DatasetPolicy = policy.datasets[name]
        kinds, self.stored = {}, {}
        for column in schema:
            declared = self.declared(column)
            self.stored[column.name] = dense_type(column.type)
            kinds[column.name] = dense_type(column.type) if declared is None else declared
        self.kinds: dict[str, pa.DataType] = kinds
        self.logical = pa.schema(list(kinds.items()))

    def declared(self, column: pa.Field) -> pa.DataType | None:
        """Give the type that the policy gives to a text column."""
        treated = self.dataset.columns.get(column.name)
        if treated is None or treated.type is None or not is_text(column.type) or is_text(treated.type):
            return None
        return treated.type

    def place(self, *path: str | int) -> str | None:
        return self.policy.place_of("datasets", self.name, *path)

    def problems(self, purpose: Purpose | None) -> Iterator[Problem]:
        yield from self._names()
        for column, treated in self.dataset.columns.items():
            if column in self.kinds:
                yield from self._column(column, treated, purpose)
        yield from self._conditions()
        yield from self._other_names()

    def _names(self) -> Iterator[Problem]:
        for column, times in Counter(self.schema.names).items():
            if times > 1:
                yield Problem(f'the data has {times} columns named "{column}"', place=self.place("columns"))
        for column in self.dataset.columns:
            if column not in self.kinds:
                named = did_you_mean(column, self.kinds)
                yield Problem(f'the data has no column "{column}"', place=self.place("columns", column), hint=named)
        if self.dataset.other_columns == "error":
            for column in self.kinds:
                if column not in self.dataset.columns:
                    near = did_you_mean(column, [name for name in self.dataset.columns if name not in self.kinds])
                    told = near is not None and near.startswith("did")
                    hint = near if told else "say what is done to it: `keep`, `drop` or a transform"
                    place = self.place("columns")
                    yield Problem(f'column "{column}" is in the data, and not in the policy', place=place, hint=hint)

    def _column(self, column: str, treated: ColumnPolicy, purpose: Purpose | None) -> Iterator[Problem]:
        place = self.place("columns", column)
        if treated.decide:
            yield undecided(column, place)
        elif purpose == "anonymize" and treated.anonymize is None:
            yield Problem(
                f'column "{column}" has no `anonymize`',
                place=place,
                hint="add `anonymize: keep` if it is to stay as it is",
            )
        yield from self._type(column, treated)
        if treated.anonymize is not None:
            yield from self._steps(column, treated.anonymize)
        for name in () if treated.encrypt is None else treated.encrypt.bind:
            if name not in self.kinds:
                hint = did_you_mean(name, self.kinds)
                at = self.place("columns", column, "encrypt", "bind")
                yield Problem(f'`bind` names "{name}", which the data does not have', place=at, hint=hint)

    def _type(self, column: str, treated: ColumnPolicy) -> Iterator[Problem]:
        stored = self.stored[column]
        if treated.type is None or is_text(stored) or treated.type == stored:
            return
        alike = any(
            accepts(treated.type) and accepts(stored)
            for accepts in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, TEMPORAL.accepts)
        )
        yield Problem(
            f'column "{column}" is declared {type_name(treated.type)}, and is {type_name(stored)} in the data',
            place=self.place("columns", column, "type"),
            hint="the type in the data stands" if alike else "leave `type` out: it is for text",
            severity="warning" if alike else "error",
        )

    def _steps(self, column: str, steps: tuple[StepSpec, ...]) -> Iterator[Problem]:
        """Follow the types through the steps, as the pipeline will."""
        taken: pa.DataType | None = self.kinds[column]
        for index, step in enumerate(steps):
            place = self._step_place(column, index, step)
            if taken is None:
                yield Problem(f'"{step.name}" comes after the column is dropped', place=place)
                return
            asked = step.options.asks()
            if asked is not None and is_text(taken):
                taken = asked
            yield from self._reads(step, place)
            try:
                step.options.check_takes(taken, column)
                given = step.options.gives(taken)
            except PydpError as error:
                yield Problem(f'column "{column}": {error.message}', place=place, hint=error.hint or _type_hint(taken))
                return
            if step.when is not None:
                yield from self._when(column, step, taken, given, place)
            taken = given

    def _step_place(self, column: str, index: int, step: StepSpec) -> str | None:
        """Point at a step, however short it is written."""
        return self.place("columns", column, "anonymize", index, step.name)

    def _reads(self, step: StepSpec, place: str | None) -> Iterator[Problem]:
        for name in step.options.reads():
            if name not in self.kinds:
                hint = did_you_mean(name, self.kinds)
                yield Problem(f'"{step.name}" reads column "{name}", which the data does not have', place, hint)

    def _when(
        self, column: str, step: StepSpec, taken: pa.DataType, given: pa.DataType | None, place: str | None
    ) -> Iterator[Problem]:
        assert step.when is not None
        yield from self._condition(step.when, place)
        if given != taken:
            made = "drops the column" if given is None else f"makes {type_name(given)} of {type_name(taken)}"
            hint = "drop rows with `drop_rows`, or use `null`" if given is None else "leave out `when`, or the type"
            yield Problem(f'column "{column}": "{step.name}" has a condition and {made}', place=place, hint=hint)

    def _conditions(self) -> Iterator[Problem]:
        for key in ("keep_rows", "drop_rows"):
            text = getattr(self.dataset, key)
            if text is not None:
                yield from self._condition(text, self.place(key))

    def _condition(self, text: str, place: str | None) -> Iterator[Problem]:
        try:
            compile_condition(text, self.logical)
        except PolicyError as error:
            yield Problem(error.message, place=place, hint=error.hint)

    def _other_names(self) -> Iterator[Problem]:
        named = [
            *(("identifiers", column) for column in self.dataset.identifiers),
            *(("links", column) for column in self.dataset.links),
            *(("other_people", column) for column in self.dataset.other_people),
            *(("retention", column) for rule in self.dataset.retentions for column in rule.clock),
        ]
        for key, column in named:
            kind, outer = self.kinds.get(column), column.partition(".")[0]
            within = kind is None and column not in self.dataset.columns and outer in self.kinds
            if (kind is not None and pa.types.is_nested(kind)) or (within and pa.types.is_nested(self.kinds[outer])):
                message = f'`{key}` names "{column}", which is nested: only a column of its own will do'
                yield Problem(message, place=self.place(key, column), hint="let who writes the data add one")
            elif kind is None and column not in self.dataset.columns:
                hint = did_you_mean(column, self.kinds)
                message = f'`{key}` names column "{column}", which the data does not have'
                yield Problem(message, place=self.place(key, column), hint=hint)


def _type_hint(kind: pa.DataType) -> str | None:
    if is_text(kind):
        return "declare the column's type: with `type:`"
    if pa.types.is_nested(kind):
        return "nested columns are kept, dropped, or nulled as a whole"
    return "text transforms do not take numbers and dates" if NUMBER.accepts(kind) or TEMPORAL.accepts(kind) else None


def undecided(column: str, place: str | None) -> Problem:
    """Say that a column's treatment is still to be decided."""
    return Problem(
        f'column "{column}" is still to be decided',
        place=place,
        hint="write a transform, `keep` or `drop` for `decide`",
    )
