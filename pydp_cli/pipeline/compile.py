"""Policy, schema and keys compiled into a pipeline, before a row is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

import pyarrow as pa

from pydp_cli.errors import PolicyError, UnsupportedType, UsageError
from pydp_cli.pipeline.cell_metadata import KEY, Mark, field_before, marked
from pydp_cli.pipeline.compilation import Compilation, Decryption, Keys, KeySource, declared_type, logical_schema
from pydp_cli.pipeline.decrypt import can_be_undone, plan_decrypt
from pydp_cli.pipeline.encrypt import plan_encrypt
from pydp_cli.pipeline.model import BoundStep, ColumnPlan, KeyUse, Parse, Pipeline, RowFilter
from pydp_cli.pipeline.physical import stored_type
from pydp_cli.policy.checks import contradictions
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.conditions import compile_condition
from pydp_cli.policy.model import Policy
from pydp_cli.policy.schema_checks import Purpose, check_schema
from pydp_cli.transforms.ages import today
from pydp_cli.transforms.registry import Binding
from pydp_cli.transforms.treatment import StepSpec
from pydp_cli.transforms.types import is_text

Planner = Callable[[Compilation], tuple[ColumnPlan, ...]]
"""Plans every column of a dataset; a plan may be of a column that is new."""


def compile_pipeline(
    policy: Policy,
    *,
    dataset: str,
    purpose: Purpose = "anonymize",
    schema: pa.Schema,
    keyring: Keys | None = None,
    as_of: date | None = None,
    decryption: Decryption | None = None,
    rehearse: bool = False,
) -> Pipeline:
    """Compile a dataset's treatment for files of the given schema.

    `schema` is the stored one (for CSV: all `pa.string()`). Raises `PolicyError` with every problem that the schema
    or the policy by itself shows, and `KeyringError` where a treatment needs a key that is not there. Ages count on
    the day `as_of` (default: today, UTC) where the policy names none. Reads no row. Where columns are to be encrypted
    under people's own keys, and there is no store of those, makes one; with `rehearse` it does not, and what such a
    pipeline encrypts can never be read.
    """
    planners: dict[str, Planner] = {
        "anonymize": plan_anonymize,
        "encrypt": plan_encrypt,
        "decrypt": plan_decrypt,
        "guard": plan_guard,
    }
    if purpose not in planners:
        raise UsageError(f'there is no purpose "{purpose}"', hint=f"one of: {', '.join(planners)}")
    if dataset not in policy.datasets:
        raise UsageError(f'the policy has no dataset "{dataset}"', hint=f"one of: {', '.join(policy.datasets)}")
    if purpose in {"anonymize", "encrypt"}:  # what comes back is not yet, or no more, as the policy says
        problems = contradictions(policy) if purpose == "anonymize" else []
        problems += [p for p in check_schema(policy, dataset, schema, purpose=purpose) if p.severity == "error"]
        if problems:
            raise PolicyError(problems)
    chosen = policy.datasets[dataset]
    logical = logical_schema(chosen, schema)
    compilation = Compilation(
        policy, dataset, chosen, schema, logical, keyring, as_of or today(), decryption or Decryption(), rehearse
    )
    plans = planners[purpose](compilation)
    return Pipeline(
        dataset=dataset,
        purpose=purpose,
        input_schema=schema,
        output_schema=pa.schema(
            [plan.output for plan in plans if plan.output is not None],
            metadata=schema.metadata,
        ),
        plans=plans,
        filters=_row_filters(compilation) if purpose == "anonymize" else (),
    )


def plan_anonymize(compilation: Compilation) -> tuple[ColumnPlan, ...]:
    """Compile the `anonymize` treatments of all columns."""
    return tuple(_plan_column(compilation, column) for column in compilation.schema)


def plan_guard(compilation: Compilation) -> tuple[ColumnPlan, ...]:
    """Let every column pass as it is."""
    return tuple(ColumnPlan(column.name, column.type, None, (), column) for column in compilation.schema)


def _plan_column(compilation: Compilation, column: pa.Field) -> ColumnPlan:
    """Compile the `anonymize` treatment of one column."""
    treated = compilation.dataset.columns.get(column.name)
    if treated is None or treated.anonymize is None:
        keep = compilation.dataset.other_columns == "keep" if treated is None else True
        return ColumnPlan(column.name, column.type, None, (), column if keep else None)
    if all(step.name == "keep" for step in treated.anonymize):
        return ColumnPlan(column.name, column.type, None, (), column)
    declared = declared_type(compilation.dataset, column)
    keys = KeySource(compilation.keyring)
    steps: list[BoundStep] = []
    taken = declared or dense_type(column.type)
    for spec in treated.anonymize:
        bound = _bind(compilation, column, spec, taken, keys)
        if bound is None:
            return ColumnPlan(column.name, column.type, declared, (), None)
        steps.extend(bound)
        taken = steps[-1].given
    output = _treated_field(compilation, column, taken, treated.anonymize, keys.uses)
    if any(spec.options.makes_null() for spec in treated.anonymize):
        output = output.with_nullable(True)
    return ColumnPlan(column.name, column.type, declared, tuple(steps), output, tuple(keys.uses))


def _bind(
    compilation: Compilation,
    column: pa.Field,
    spec: StepSpec,
    taken: pa.DataType,
    keys: KeySource,
) -> list[BoundStep] | None:
    """Bind one step to a column; None where it drops the column."""
    steps: list[BoundStep] = []
    asked = spec.options.asks()
    if asked is not None and is_text(taken):
        steps.append(BoundStep("parse", Parse(asked), taken, asked))
        taken = asked
    spec.options.check_takes(taken, column.name)
    given = spec.options.gives(taken)
    if given is None:
        return None
    condition = None if spec.when is None else compile_condition(spec.when, compilation.logical)
    if condition is not None and given != taken:
        raise UnsupportedType(
            f'a conditional "{spec.name}" must keep the type of the column, and makes {given} of {taken}',
            place=f'column "{column.name}"',
            hint="treat the column as text, or leave out `when`",
        )
    policy, name = compilation.policy, column.name
    binding = Binding(
        dataset=compilation.name,
        column=name,
        taken=taken,
        derive_key=keys,
        base_dir=policy.base_dir,
        release=compilation.dataset.release or policy.release,
        as_of=compilation.as_of,
        normalize=lambda domain: policy.normalization(compilation.name, name, domain),
    )
    steps.append(BoundStep(spec.name, spec.options.bind(binding), taken, given, condition, spec))
    return steps


def _treated_field(
    compilation: Compilation, column: pa.Field, kind: pa.DataType, specs: tuple[StepSpec, ...], uses: list[KeyUse]
) -> pa.Field:
    """Give the field of a treated column, with what treated it and which version of which key in its metadata."""
    output = column.with_type(stored_type(column.type, kind))
    names = [spec.name for spec in specs]
    if len(specs) == 1 and can_be_undone(specs[0]):
        options = specs[0].options.model_dump(mode="json", exclude_defaults=True)
        noted = {"transform": names[0], "options": options}
        release = compilation.dataset.release or compilation.policy.release
        if release is not None:
            noted["release"] = release
        before = field_before(column, declared_type(compilation.dataset, column))
        mark = Mark("token", compilation.name, before, options=noted, keys=tuple(uses))
        return marked(output, mark, treatment=names)
    mark_text = json.dumps(
        {"treatment": names, "keys": [{"name": use.name, "id": use.key_id} for use in uses]}, sort_keys=True
    )
    return output.with_metadata({**(column.metadata or {}), KEY: mark_text.encode()})


def _row_filters(compilation: Compilation) -> tuple[RowFilter, ...]:
    dataset = compilation.dataset
    return tuple(
        RowFilter(compile_condition(text, compilation.logical), keep=keep)
        for text, keep in ((dataset.keep_rows, True), (dataset.drop_rows, False))
        if text is not None
    )
