"""Add discrete Laplace noise to each number, so that no single published number can be held against anybody."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.discrete_laplace import MOST, Integers, discrete_laplace
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import NUMBER

MOST_STEPS = 1 << 31


@transform("dp_noise", takes=NUMBER, reversible=False, leaks="each number with a known doubt, and means over many rows")
class DpNoise(TransformOptions):
    """Add exact noise to a number within bounds: `income: {dp_noise: {min: 0, max: 10000, unit: 50, epsilon: 1}}`.

    Local differential privacy of one row: whatever the true number, each published one is at most exp(epsilon) times
    as likely as under any other (discrete Laplace of scale `(max - min) / epsilon`, drawn in whole units; Dwork,
    McSherry, Nissim, Smith 2006; Canonne, Kamath, Steinke 2020). Numbers are held within the bounds and rounded to
    units first; null and NaN count as the middle, so that they tell nothing. A person with r rows is protected by r
    times epsilon: say how many under `rows_per_person`, and the ledger is debited for so many. Published numbers may
    lie outside the bounds; means over many rows come out right. Drawn afresh in each run: publish one run only. Take
    the bounds from what is known beforehand, never from the data.
    """

    min: Annotated[float, Field(allow_inf_nan=False, description="What lower numbers are raised to.")]
    max: Annotated[float, Field(allow_inf_nan=False, description="What higher numbers are lowered to.")]
    unit: Annotated[float, Field(gt=0, allow_inf_nan=False, description="What numbers are rounded to.")] = 1.0
    epsilon: Annotated[float, Field(gt=0, le=20, description="The privacy loss of one row.")]
    rows_per_person: Annotated[int, Field(ge=1, description="The most rows that one person has.")] = 1

    @model_validator(mode="after")
    def _fits_together(self) -> DpNoise:
        if self.min >= self.max:
            raise ValueError("`min` must be below `max`")
        if self._low.denominator != 1 or self._steps.denominator != 1:
            raise ValueError("`min` and `max` must be whole numbers of units")
        if self._steps > MOST_STEPS:
            raise ValueError("the unit is too fine for the bounds")
        if self._scale.numerator > MOST:
            raise ValueError("epsilon has too many digits")
        return self

    @property
    def _unit(self) -> Fraction:
        return Fraction(str(self.unit))

    @property
    def _low(self) -> Fraction:
        """The lower bound, in units."""
        return Fraction(str(self.min)) / self._unit

    @property
    def _steps(self) -> Fraction:
        """How far apart two people can be, in units."""
        return Fraction(str(self.max)) / self._unit - self._low

    @property
    def _scale(self) -> Fraction:
        return self._steps / Fraction(str(self.epsilon))

    def asks(self) -> pa.DataType:
        """Read text as numbers."""
        return pa.float64()

    def leak(self) -> str:
        """Name the epsilon."""
        return f"each number with a known doubt (epsilon {self.epsilon:g} a row), and means over many rows"

    def privacy_loss(self) -> Fraction:
        """Give the epsilon of all rows of one person."""
        return Fraction(str(self.epsilon)) * self.rows_per_person

    def check_takes(self, kind: pa.DataType, column: str) -> None:
        """Refuse types that cannot hold whole units."""
        super().check_takes(kind, column)
        places = kind.scale if pa.types.is_decimal(kind) else 0
        if not pa.types.is_floating(kind) and (self._unit * 10**places).denominator != 1:
            raise UnsupportedType(f"{kind} cannot hold steps of {self.unit:g}", place=f'column "{column}"')

    def apply(self, column: pa.Array) -> pa.Array:
        """Hold, round, and add the noise."""
        units = int(self._low) + self._rounded(column) + discrete_laplace(len(column), self._scale)
        kind = column.type
        if pa.types.is_floating(kind):
            return pa.array(units * float(self._unit)).cast(kind, safe=False)
        if pa.types.is_decimal(kind):
            return _decimals(units * int(self._unit * 10**kind.scale), kind)
        limits = np.iinfo(kind.to_pandas_dtype())
        step = int(self._unit)
        held = np.clip(units, -(-max(limits.min, -(2**63)) // step), min(limits.max, 2**63 - 1) // step)
        return pa.array(held * step).cast(kind)

    def _rounded(self, column: pa.Array) -> Integers:
        """Give how many units each number is above the lower bound, within the bounds."""
        steps = int(self._steps)
        numbers = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy(zero_copy_only=False)
        above = np.clip(np.rint((numbers - self.min) / self.unit), 0, steps)
        return np.where(np.isnan(above), steps // 2, above).astype(np.int64)


def _decimals(numbers: Integers, kind: pa.DataType) -> pa.Array:
    """Give numbers of the last place as decimals, held within the precision."""
    most = min(10**kind.precision - 1, 2**63 - 1)
    wide = pa.array(np.clip(numbers, -most, most)).cast(pa.decimal256(76, 0))
    place = pa.scalar(Decimal(1).scaleb(-kind.scale), pa.decimal128(max(kind.scale, 1), kind.scale))
    return pc.multiply(wide.cast(pa.decimal256(20, 0)), place).cast(kind)
