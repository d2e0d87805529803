"""Hold numbers and ages at a greatest value, so that the few beyond it do not stand out."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import pyarrow as pa
from pydantic import Field, model_validator

from pydp_cli.transforms.ages import today
from pydp_cli.transforms.clamp import Limit
from pydp_cli.transforms.registry import Binding, ColumnFunction, TransformOptions, transform
from pydp_cli.transforms.types import NUMBER, TEMPORAL


@transform(
    "top_code",
    takes=NUMBER | TEMPORAL,
    reversible=False,
    leaks="every value within the limit, and who is past it",
    main_option="max",
)
class TopCode(TransformOptions):
    """Replace what is over a limit by the limit: `income: {top_code: 250000}`.

    Null and NaN stay. On birth dates, `birth_date: {top_code: {max_age: 89}}` replaces those of people over
    89 by the earliest birth date of someone of 89 at the date `at`. The type stays; an integer column takes the
    nearest whole number within the limit. Text is read as numbers, or with `max_age` as dates.
    """

    max: Annotated[Decimal | None, Field(description="The greatest number that stays.")] = None
    max_age: Annotated[
        int | None, Field(ge=0, le=200, description="The greatest age in whole years that stays, for birth dates.")
    ] = None
    at: Annotated[
        date | None, Field(description="The date at which ages count; the day of the run (UTC) if left out.")
    ] = None

    @model_validator(mode="after")
    def _one_limit(self) -> TopCode:
        if (self.max is None) == (self.max_age is None):
            raise ValueError("give either `max` (numbers) or `max_age` (birth dates)")
        if self.max is not None and self.at is not None:
            raise ValueError("`at` goes with `max_age`")
        return self

    def asks(self) -> pa.DataType:
        """Read text as numbers, or as dates."""
        return self._limit().asks()

    def check_takes(self, kind: pa.DataType, column: str) -> None:
        """Refuse a limit that does not go with the type."""
        self._limit().check_takes(self.info.name, kind, column)

    def bind(self, binding: Binding) -> ColumnFunction:
        """Settle the limit once for the whole run."""
        return self._limit().bind(binding.taken, binding.as_of)

    def apply(self, column: pa.Array) -> pa.Array:
        """Hold at the limit."""
        return self._limit().bind(column.type, today())(column)

    def _limit(self) -> Limit:
        return Limit("most", self.max, self.max_age, self.at)
