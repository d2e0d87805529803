"""What a question releases, number by number, and how much noise each gets for its share of the budget.

A question is taken apart into components: the people, the rows, a column's sum, its bins, and so on. Statistics that
need the same component share it. The budget is split evenly over the components; no sensitivity comes from the data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from pydp_cli.dp.accounting import Loss, total
from pydp_cli.dp.features import Amount, Feature, amount_of, bins_of
from pydp_cli.dp.mechanisms import Gaussian, Laplace, Mechanism, Sensitivity
from pydp_cli.dp.quantiles import DEPTH
from pydp_cli.dp.queries import Question
from pydp_cli.policy.statistics import Measure

MakeMechanism = Callable[[Sensitivity, Fraction | None, Fraction | None], Mechanism]
"""Makes the mechanism for a sensitivity and an epsilon, or a rho."""


@dataclass(frozen=True)
class Component:
    """One noisy number (or vector of bins) of each group. `levels` are released one beside the other, as in a tree."""

    kind: str
    feature: Feature | None
    per_group: int
    levels: int = 1


@dataclass(frozen=True)
class Calibration:
    """The mechanism of every component, and what all of them cost together."""

    mechanisms: dict[Component, Mechanism]
    loss: Loss

    def of(self, kind: str, feature: Feature | None = None) -> Mechanism:
        """Give the mechanism of a component."""
        return next(m for c, m in self.mechanisms.items() if c.kind == kind and c.feature == feature)

    def has(self, kind: str, feature: Feature | None = None) -> bool:
        """Tell whether a component is released."""
        return any(c.kind == kind and c.feature == feature for c in self.mechanisms)


def features_of(question: Question) -> tuple[Feature, ...]:
    """Name what has to be read of each row."""
    found: dict[Feature, None] = {}
    for _, measure in question.measures:
        if measure.kind in ("sum", "mean", "std"):
            found[amount_of(measure)] = None
        elif measure.column is not None:
            found[bins_of(measure)] = None
    return tuple(found)


def components_of(question: Question) -> tuple[Component, ...]:
    """Take a question apart; what two statistics need is there once."""
    rows = question.rows_per_group
    centred = {amount_of(measure) for _, measure in question.measures if measure.kind in ("mean", "std")}
    found: dict[Component, None] = {}
    if question.selects:
        found[Component("people", None, 1)] = None
    for _, measure in question.measures:
        for component in _needed(measure, rows, centred):
            found[component] = None
    return tuple(found)


def present_of(feature: Amount) -> tuple[str, Feature | None]:
    """Name the component that counts a column's values: all rows, where a missing one counts as a declared value."""
    return ("present", feature) if feature.nulls is None else ("rows", None)


def _needed(measure: Measure, rows: int, centred: set[Amount]) -> list[Component]:
    if measure.kind == "count_users":
        return [Component("people", None, 1)]
    if measure.kind == "count":
        return [Component("rows", None, rows)]
    if measure.kind == "histogram":
        return [Component("bins", bins_of(measure), rows)]
    if measure.kind in ("median", "quantiles"):
        return [Component("tree", bins_of(measure), rows, DEPTH)]
    amount = amount_of(measure)
    if measure.kind == "sum" and amount not in centred:
        return [Component("total", amount, rows * max(abs(amount.low), abs(amount.high)))]
    kind, feature = present_of(amount)
    needed = [Component(kind, feature, rows), Component("sum", amount, rows * amount.reach)]
    if measure.kind == "std":
        needed.append(Component("squares", amount, rows * amount.reach**2))
    return needed


def calibrate(question: Question, make: MakeMechanism | None = None) -> Calibration:
    """Split the budget over the components; raises `MissingExtra` where another house's mechanisms are not there."""
    components = components_of(question)
    parts = len(components)
    make = make or _maker(question.mechanisms)
    mechanisms = {}
    for component in components:
        sensitivity = Sensitivity.of(question.groups, component.per_group)
        share = parts * component.levels
        epsilon = None if question.epsilon is None else question.epsilon / share
        rho = None if question.rho is None else question.rho / share
        mechanisms[component] = make(sensitivity, epsilon, rho)
    losses = [m.loss for component, m in mechanisms.items() for _ in range(component.levels)]
    selecting = Loss(delta=question.delta) if question.selects else Loss()
    return Calibration(mechanisms, total([*losses, selecting]))


def _maker(name: str) -> MakeMechanism:
    """Find whose mechanisms are wanted; OpenDP is loaded only then."""
    if name == "own":
        return make_own
    from pydp_cli.dp.opendp_noise import make_opendp

    return make_opendp


def make_own(sensitivity: Sensitivity, epsilon: Fraction | None, rho: Fraction | None) -> Mechanism:
    """Make our own mechanism: discrete Laplace for an epsilon, discrete Gaussian for a rho."""
    if rho is not None:
        return Gaussian(sensitivity, rho)
    assert epsilon is not None
    return Laplace(sensitivity, epsilon)


def described(component: Component, mechanism: Mechanism) -> dict[str, object]:
    """Say how a component is made private, for the release's own description."""
    column = component.feature.column if component.feature else None
    name = "discrete Gaussian" if mechanism.loss.epsilon is None else "discrete Laplace"
    return {
        "component": component.kind,
        "column": column,
        "mechanism": name,
        "most_change_in_one_group": component.per_group,
        "noise_standard_deviation": float(f"{mechanism.standard_deviation:.6g}"),
        "levels": component.levels,
    }


def as_text(value: object) -> str:
    """Write plain data in one fixed way."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
