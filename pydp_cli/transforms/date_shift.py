"""Move each person's dates by one secret number of days, so that order and intervals within a person stay."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from pydp_cli.crypto import cmac
from pydp_cli.errors import BadValue
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.fixed_text import halves
from pydp_cli.transforms.normalize import normalize
from pydp_cli.transforms.parse import parse_text
from pydp_cli.transforms.registry import Binding, Rows, TransformOptions, transform
from pydp_cli.transforms.types import TEMPORAL, TEXT, is_text

_PERIOD = re.compile(r"P(\d{1,5})([DW])")
_FIRST_DAY = (date.min - date(1970, 1, 1)).days
_LAST_DAY = (date.max - date(1970, 1, 1)).days
_UNITS_A_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_MOST_ROWS_NAMED = 5


@transform(
    "date_shift",
    takes=TEMPORAL | TEXT,
    reversible=False,
    leaks="the order of a person's dates and the days between them, the time of day, and each date to within the span",
    main_option="within",
    keyed=True,
)
class DateShift(TransformOptions):
    """Move all dates of a person by the same number of days, chosen by a key: `{within: P30D, per: customer_id}`.

    The number is between `-within` and `+within`, never 0, and the same for a person in all columns and files of the
    same `domain`, so the time between any two of a person's dates stays as it is. Times of day stay; a timestamp with
    a zone moves by days of 24 hours. Text must hold ISO dates: its first ten characters change, what follows stays as
    it is written. Null stays null, and a date without a person becomes null, because there is nobody's shift to use.
    """

    within: Annotated[str, Field(description="The most that a date moves either way, as in `P30D` or `P4W`.")]
    per: Annotated[str, Field(min_length=1, description="The column that says whose date it is.")]
    keep_weekday: Annotated[bool, Field(description="Move by whole weeks only.")] = False
    domain: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Shifts agree wherever this name and the person do. The name of the column `per` by default.",
        ),
    ] = None
    release: Annotated[str | None, Field(min_length=1, description="Makes other shifts than in other releases.")] = None

    @field_validator("within")
    @classmethod
    def _is_period(cls, within: str) -> str:
        if not _PERIOD.fullmatch(within):
            raise ValueError("within is a number of days or weeks, as in P30D or P4W")
        return within

    @model_validator(mode="after")
    def _is_long_enough(self) -> DateShift:
        if self.within_days < self._step:
            raise ValueError(f"within must be at least {self._step} day{'s' * self.keep_weekday}")
        return self

    @property
    def within_days(self) -> int:
        """The most days that a date moves."""
        found = _PERIOD.fullmatch(self.within)
        assert found is not None
        return int(found[1]) * (7 if found[2] == "W" else 1)

    @property
    def _step(self) -> int:
        return 7 if self.keep_weekday else 1

    def key_label(self, column: str) -> str:
        """Name the domain."""
        del column
        return f"date_shift/{self.domain or self.per}"

    def reads(self) -> tuple[str, ...]:
        """Read whose date it is."""
        return (self.per,)

    def makes_null(self) -> bool:
        """Say that a date without a person becomes null."""
        return True

    def bind(self, binding: Binding) -> ShiftDates:
        """Derive the domain's key."""
        domain = self.domain or self.per
        release = self.release or binding.release
        key = binding.derive_key("date_shift", domain, f"release={release}" if release else "", length=32)
        return ShiftDates(key, self.per, binding.normalize(domain), self.within_days // self._step, self._step)


@dataclass(frozen=True)
class ShiftDates:
    """A date shift bound to its domain's key: between `-steps` and `+steps` times `step_days`."""

    key: bytes = field(repr=False)
    per: str
    rules: tuple[str, ...]
    steps: int
    step_days: int

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Move the dates of a column."""
        people = normalize(canonical_text(rows.original(self.per)), self.rules)
        shift_days = self.shift_days(people)
        column = pc.if_else(pc.is_valid(people), column, pa.scalar(None, column.type))
        if is_text(column.type):
            days = _moved(parse_text(column, pa.date32()).view(pa.int32()), shift_days, 1)
            return pc.binary_join_element_wise(
                days.cast(pa.int32()).view(pa.date32()).cast(pa.string()), pc.utf8_slice_codeunits(column, 10), ""
            )
        if pa.types.is_date32(column.type):
            return _moved(column.view(pa.int32()), shift_days, 1).cast(pa.int32()).view(column.type)
        units = _UNITS_A_DAY["ms" if pa.types.is_date64(column.type) else column.type.unit]
        return _moved(column.view(pa.int64()), shift_days, units).view(column.type)

    def shift_days(self, people: pa.StringArray) -> npt.NDArray[np.int64]:
        """Give the days that each person's dates move by."""
        high, _low = halves(cmac.prf(self.key, people))
        chosen = (high % np.uint64(2 * self.steps)).astype(np.int64) - self.steps
        days: npt.NDArray[np.int64] = (chosen + (chosen >= 0)) * self.step_days
        return days


def _moved(numbers: pa.Array, shift_days: npt.NDArray[np.int64], units_a_day: int) -> pa.Int64Array:
    """Add days to numbers of units since 1970, within the years 1 to 9999 and the range of the type."""
    valid = numbers.is_valid().to_numpy(zero_copy_only=False)
    before = pc.fill_null(numbers, 0).cast(pa.int64()).to_numpy()
    days = before // units_a_day + shift_days
    with np.errstate(over="ignore"):
        after = before + shift_days * units_a_day
    wrapped = (after < before) != (shift_days < 0)
    bad = np.flatnonzero(valid & (wrapped | (days < _FIRST_DAY) | (days > _LAST_DAY)))
    if len(bad):
        raise BadValue(
            "a date so near the end of the calendar cannot be moved",
            hint="leave out marks such as 9999-12-31 with `when`",
            rows=tuple(bad[:_MOST_ROWS_NAMED].tolist()),
        )
    return pa.array(after, mask=~valid)
