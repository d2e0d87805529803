"""Replace a birth date by the age at a date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from pydp_cli.transforms.ages import age_in_years, today
from pydp_cli.transforms.registry import Binding, ColumnFunction, Rows, TransformOptions, transform
from pydp_cli.transforms.types import TEMPORAL


@transform("age_from", takes=TEMPORAL, reversible=False, leaks="the age in years", main_option="at")
class AgeFrom(TransformOptions):
    """Give the age in whole years at a date: `birth_date: {age_from: 2026-01-01}` makes `41` of `1984-06-30`.

    Null stays null. A date after `at` gives an age below zero. Someone born on 29 February has the birthday on 1 March
    in common years. Text is read as dates. Follow it with `top_code: 89`: the very old are few.
    """

    at: Annotated[
        date | None, Field(description="The date at which ages count; the day of the run (UTC) if left out.")
    ] = None

    def asks(self) -> pa.DataType:
        """Read text as dates."""
        return pa.date32()

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Give whole years."""
        del taken
        return pa.int32()

    def bind(self, binding: Binding) -> ColumnFunction:
        """Settle the date once for the whole run."""
        return Ages(self.at or binding.as_of)

    def apply(self, column: pa.Array) -> pa.Array:
        """Count the years."""
        return age_in_years(column, self.at or today())


@dataclass(frozen=True)
class Ages:
    """Ages at a fixed date."""

    at: date

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Count the years."""
        del rows
        return age_in_years(column, self.at)
