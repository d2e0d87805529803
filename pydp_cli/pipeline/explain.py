"""What a compiled pipeline does, told column by column."""

from __future__ import annotations

from dataclasses import dataclass

from pydp_cli.pipeline.model import ColumnPlan, Pipeline
from pydp_cli.policy.column_types import type_name
from pydp_cli.transforms.treatment import StepSpec


@dataclass(frozen=True)
class ColumnStory:
    """One column's treatment in words: types, steps, keys, whether it can be undone, and what it still tells."""

    column: str
    type_in: str
    type_out: str | None
    steps: tuple[str, ...]
    keys: tuple[str, ...]
    reversible: bool
    leaks: str


def explain(pipeline: Pipeline) -> list[ColumnStory]:
    """Tell the story of every column, in the order of the file."""
    return [_story(plan) for plan in pipeline.plans]


def _story(plan: ColumnPlan) -> ColumnStory:
    specs = [step.spec for step in plan.steps if step.spec is not None]
    own = [step.leaks for step in plan.steps if step.leaks is not None]
    leaks = own[-1] if own else _leaks(specs)
    return ColumnStory(
        column=plan.name,
        type_in=type_name(plan.declared or plan.source),
        type_out=None if plan.output is None else type_name(plan.output.type),
        steps=_steps(plan),
        keys=tuple(f"{use.name} ({use.key_id})" if use.key_id else use.name for use in plan.keys),
        reversible=bool(own) or (bool(specs) and all(spec.options.info.reversible for spec in specs)),
        leaks="nothing" if plan.output is None else leaks,
    )


def _leaks(specs: list[StepSpec]) -> str:
    """Say what is left to see after all steps; where a condition holds a step back, what was there before it."""
    told = "everything"
    for spec in specs:
        if spec.name == "keep":
            continue
        if spec.when is None:
            told = spec.options.leak()
        elif spec.options.leak() != told:
            told = f"where {spec.when}: {spec.options.leak()}; elsewhere: {told}"
    return told


def _steps(plan: ColumnPlan) -> tuple[str, ...]:
    if plan.output is None:
        return ("drop",)
    named = tuple(
        step.name if step.spec is None or step.spec.when is None else f"{step.name} when {step.spec.when}"
        for step in plan.steps
    )
    return named or ("keep",)
