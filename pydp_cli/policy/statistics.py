"""What the policy says of private statistics: the budget, the unit of privacy, and the queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pydp_cli.policy.part import PolicyModel
from pydp_cli.policy.rights import Duration
from pydp_cli.transforms.randomized_response import RandomizedResponse

OF_COLUMN = ("sum", "mean", "std", "median", "quantiles", "histogram")
OF_ROWS = ("count", "count_users")
BOUNDED = ("sum", "mean", "std", "median", "quantiles")


@dataclass(frozen=True)
class Measure:
    """One released statistic of each group: what it is, of which column, and the bounds that values are clamped to.

    `nulls` is the value that a missing or unreadable number counts as; None leaves it out.
    """

    kind: str
    column: str | None = None
    bounds: tuple[float, float] | None = None
    unit: float = 1.0
    shares: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    nulls: float | None = None


def measure_of(raw: Any) -> Measure:
    """Read `count`, `{sum: total, bounds: [0, 500], unit: 0.01}` and the like; raises `ValueError` with the reason."""
    if isinstance(raw, str):
        if raw not in OF_ROWS:
            raise ValueError(f"a bare word is one of: {', '.join(OF_ROWS)}")
        return Measure(raw)
    if not isinstance(raw, Mapping):
        raise ValueError("a statistic is a word, or a mapping such as {sum: total, bounds: [0, 500]}")  # noqa: TRY004 - pydantic reports these only
    kinds = [key for key in raw if key in OF_COLUMN]
    if len(kinds) != 1:
        raise ValueError(f"a statistic has one of: {', '.join(OF_COLUMN)}")
    kind = kinds[0]
    allowed = {kind, "nulls", "unit", "bounds", "edges" if kind == "histogram" else "", "of"} - {""}
    if unknown := [str(key) for key in raw if key not in allowed]:
        raise ValueError(f'unknown key "{unknown[0]}"')
    column = raw.get("of") if kind == "quantiles" else raw[kind]
    if not isinstance(column, str) or not column:
        raise ValueError(f"{kind}: which column?")
    shares = tuple(map(float, raw[kind])) if kind == "quantiles" else (0.5,) if kind == "median" else ()
    if not all(0 <= share <= 1 for share in shares) or (kind == "quantiles" and not shares):
        raise ValueError("quantiles are between 0 and 1")
    edges = tuple(map(float, raw.get("edges", ())))
    if kind == "histogram" and (len(edges) < 2 or not all(a < b for a, b in pairwise(edges))):
        raise ValueError("a histogram has at least two edges, in rising order")
    unit, nulls = float(raw.get("unit", 1)), raw.get("nulls", "drop")
    if not (isfinite(unit) and unit > 0):
        raise ValueError("unit is greater than 0")
    missing = None if nulls == "drop" else float(nulls)
    return Measure(kind, column, _bounds(kind, raw.get("bounds")), unit, shares, edges, missing)


def randomized_response(said: Any) -> RandomizedResponse:
    """Read how a column was randomized; raises `ValidationError`."""
    return RandomizedResponse.model_validate(said)


def _bounds(kind: str, raw: Any) -> tuple[float, float] | None:
    if raw is None:
        if kind in BOUNDED:
            raise ValueError(
                f"{kind} has no bounds: one person could change it without limit; "
                "write bounds: [LOWEST, HIGHEST], not taken from the data"
            )
        return None
    low, high = map(float, raw)
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ValueError("bounds are two finite numbers, the lower one first")
    return low, high


class Budget(PolicyModel):
    """How much privacy loss is allowed: (epsilon, delta), or rho of zero-concentrated differential privacy."""

    epsilon: Annotated[float | None, Field(gt=0)] = None
    delta: Annotated[float | None, Field(ge=0, lt=1)] = None
    rho: Annotated[float | None, Field(gt=0)] = None
    per: Annotated[Duration | None, Field(description="The period after which it is renewed.")] = None
    per_query: Annotated[float | None, Field(gt=0, description="The greatest epsilon of one query.")] = None

    @model_validator(mode="after")
    def _one_measure(self) -> Budget:
        if (self.epsilon is None) == (self.rho is None):
            raise ValueError("give either `epsilon` (with `delta`) or `rho`")
        return self


class Contribution(PolicyModel):
    """How much of one person's data counts; what exceeds it is left out by a keyed random choice."""

    groups: Annotated[int, Field(ge=1)] = 1
    rows_per_group: Annotated[int, Field(ge=1)] = 1


class StatisticsQuery(PolicyModel):
    """One query: what is counted, summed and averaged, for which groups."""

    dataset: Annotated[str, Field(min_length=1)]
    group_by: tuple[str | dict[str, Any], ...] = ()
    where: Annotated[str | None, Field(min_length=1, description="A condition on the rows that count.")] = None
    release: Annotated[dict[str, str | dict[str, Any]], Field(min_length=1)]
    epsilon: Annotated[float | None, Field(gt=0)] = None
    delta: Annotated[float | None, Field(ge=0, lt=1)] = None
    rho: Annotated[float | None, Field(gt=0)] = None
    user: str | None = None
    contribution: Contribution | None = None
    totals: Annotated[bool, Field(description="Add lines with what the groups add up to.")] = False

    @field_validator("release")
    @classmethod
    def _measures(cls, release: dict[str, Any]) -> dict[str, Any]:
        for name, raw in release.items():
            try:
                measure_of(raw)
            except (ValueError, TypeError) as error:  # noqa: PERF203 - a handful
                raise ValueError(f'"{name}": {error}') from None
        return release


class Statistics(PolicyModel):
    """The `statistics:` section."""

    budget: Budget | None = None
    user: Annotated[str | None, Field(description="The column of the person: the unit of privacy.")] = None
    unit: Annotated[str | None, Field(pattern="^(person|row)$", description="What one unit of privacy is.")] = None
    mechanisms: Annotated[Literal["own", "opendp"], Field(description="Whose noise: ours, or OpenDP's.")] = "own"
    contribution: Contribution = Contribution()
    queries: Annotated[dict[str, StatisticsQuery], Field(default_factory=dict)]
