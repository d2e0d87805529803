"""Hold numbers and ages at a least value, so that the few below it do not stand out."""

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
    "bottom_code",
    takes=NUMBER | TEMPORAL,
    reversible=False,
    leaks="every value within the limit, and who is past it",
    main_option="min",
)
class BottomCode(TransformOptions):
    """Replace what is under a limit by the limit: `income: {bottom_code: 10000}`.

    Null and NaN stay. On birth dates, `birth_date: {bottom_code: {min_age: 18}}` replaces those of people under
    18 by the latest birth date of someone of 18 at the date `at`. The type stays; an integer column takes the
    nearest whole number within the limit. Text is read as numbers, or with `min_age` as dates.
    """

    min: Annotated[Decimal | None, Field(description="The least number that stays.")] = None
    min_age: Annotated[
        int | None, Field(ge=0, le=200, description="The least age in whole years that stays, for birth dates.")
    ] = None
    at: Annotated[
        date | None, Field(description="The date at which ages count; the day of the run (UTC) if left out.")
    ] = None

    @model_validator(mode="after")
    def _one_limit(self) -> BottomCode:
        if (self.min is None) == (self.min_age is None):
            raise ValueError("give either `min` (numbers) or `min_age` (birth dates)")
        if self.min is not None and self.at is not None:
            raise ValueError("`at` goes with `min_age`")
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
        return Limit("least", self.min, self.min_age, self.at)
