"""What is read of each row: amounts as whole numbers of units, and bins; bad values are clamped or left out.

An amount is rounded to its unit and clamped to its bounds row by row, and from there on everything is integers: sums
are exact, whatever their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.dp.quantiles import BINS
from pydp_cli.dp.queries import units_of
from pydp_cli.errors import InputError
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.statistics import Measure

MISSING = np.iinfo(np.int64).min
"""What stands for a value that is not there; the least integer, which no amount and no bin is."""
NUMBER_TEXT = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,4})?$"


@dataclass(frozen=True)
class Amount:
    """A number in units, less the middle of its bounds, so that it is at most `reach` from 0."""

    column: str
    unit: float
    low: int
    high: int
    nulls: float | None

    @property
    def middle(self) -> int:
        """The middle of the bounds, in units."""
        return (self.low + self.high) // 2

    @property
    def reach(self) -> int:
        """The greatest distance from the middle."""
        return max(self.high - self.middle, self.middle - self.low)

    def of(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Round and clamp; NaN is missing, infinities are clamped."""
        there = ~np.isnan(numbers)
        with np.errstate(over="ignore"):  # a warning would tell of a value
            clamped = np.clip(np.where(there, numbers, 0) / self.unit, self.low, self.high)
        return np.where(there, np.rint(clamped).astype(np.int64) - self.middle, MISSING)


@dataclass(frozen=True)
class Bins:
    """The bin that a number is in: of equal ones between bounds, or between edges; beyond them in the first or last."""

    column: str
    edges: tuple[float, ...]
    count: int
    nulls: float | None

    def of(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Find the bins; NaN is missing."""
        there = ~np.isnan(numbers)
        if len(self.edges) == 2 and self.count > 1:
            low, high = self.edges
            share = (np.clip(np.where(there, numbers, low), low, high) - low) / (high - low)
            found = (share * self.count).astype(np.int64)
        else:
            found = np.searchsorted(np.array(self.edges), np.where(there, numbers, 0), side="right") - 1
        return np.where(there, np.clip(found, 0, self.count - 1), MISSING)


Feature = Amount | Bins


def amount_of(measure: Measure) -> Amount:
    """Give what a sum, mean or standard deviation is made of."""
    assert measure.column is not None
    return Amount(measure.column, measure.unit, *units_of(measure), measure.nulls)


def bins_of(measure: Measure) -> Bins:
    """Give what a histogram or quantiles are made of."""
    assert measure.column is not None
    if measure.kind == "histogram":
        return Bins(measure.column, measure.edges, len(measure.edges) - 1, measure.nulls)
    assert measure.bounds is not None
    return Bins(measure.column, measure.bounds, BINS, measure.nulls)


def check_numeric(column: pa.Field) -> None:
    """Refuse a column whose type cannot hold numbers: the schema decides, never a value."""
    kind = dense_type(column.type)
    if not (
        kind == pa.string() or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    ):
        raise InputError(f"{kind} is not a number", place=f'column "{column.name}"')


def numbers_of(column: pa.Array, nulls: float | None) -> npt.NDArray[np.float64]:
    """Read a dense column as floats; what is null or no number is NaN, or `nulls` where that is declared."""
    if pa.types.is_string(column.type):
        column = _from_text(column)
    numbers = pc.cast(column, pa.float64(), safe=False)
    read = np.array(pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False))
    if nulls is not None:
        read[np.isnan(read)] = nulls
    return read


def _from_text(column: pa.StringArray) -> pa.DoubleArray:
    """Read text as numbers; what is none is null, not an error: an error would tell that such a row exists."""
    try:
        return pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(column, NUMBER_TEXT)
        return pc.cast(pc.if_else(fits, column, pa.scalar(None, pa.string())), pa.float64())
