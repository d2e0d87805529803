"""What the policy says of private statistics: the budget, the unit of privacy, and the queries."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from pydp_cli.policy.part import PolicyModel
from pydp_cli.policy.rights import Duration


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


class Statistics(PolicyModel):
    """The `statistics:` section."""

    budget: Budget | None = None
    user: Annotated[str | None, Field(description="The column of the person: the unit of privacy.")] = None
    unit: Annotated[str | None, Field(pattern="^(person|row)$", description="What one unit of privacy is.")] = None
    contribution: Contribution = Contribution()
    queries: Annotated[dict[str, StatisticsQuery], Field(default_factory=dict)]
