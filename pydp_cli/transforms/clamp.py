"""Hold a column of numbers or dates at or below a limit, or at or above one."""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.ages import first_birth_date, last_birth_date, start_of
from pydp_cli.transforms.registry import Rows
from pydp_cli.transforms.types import NUMBER, TEMPORAL

Side = Literal["most", "least"]


@dataclass(frozen=True)
class Limit:
    """What a policy says: a number, or an age at a date, that is the most or the least."""

    side: Side
    number: Decimal | None
    age: int | None
    at: date | None

    def asks(self) -> pa.DataType:
        """Read text as numbers, or as dates."""
        return pa.float64() if self.age is None else pa.date32()

    def check_takes(self, transform: str, kind: pa.DataType, column: str) -> None:
        """Refuse an age limit on numbers, a number limit on dates, and a limit that no number of a type is within."""
        wanted = NUMBER if self.age is None else TEMPORAL
        place = f'column "{column}"'
        if not wanted.accepts(kind):
            given = "a number" if self.age is None else "an age"
            raise UnsupportedType(f'transform "{transform}" with {given} takes {wanted.name}, not {kind}', place=place)
        if self.number is not None:
            try:
                number_limit(kind, self.number, self.side)
            except ValueError:
                raise UnsupportedType(f"no number of type {kind} is within the limit", place=place) from None

    def bind(self, kind: pa.DataType, as_of: date) -> Clamp:
        """Settle the limit for a column's type, and the day on which ages count."""
        if self.number is not None:
            return Clamp(number_limit(kind, self.number, self.side), self.side)
        assert self.age is not None
        last_day = first_birth_date if self.side == "most" else last_birth_date
        # the older, the earlier: the greatest age is the least date
        return Clamp(start_of(last_day(self.at or as_of, self.age), kind), "least" if self.side == "most" else "most")


@dataclass(frozen=True)
class Clamp:
    """A limit in the type of its column; None where no value of that type is past it."""

    limit: pa.Scalar | None
    side: Side

    def __call__(self, column: pa.Array, rows: Rows | None = None) -> pa.Array:
        """Hold at the limit."""
        del rows
        return column if self.limit is None else clamp(column, self.limit, self.side)


def clamp(column: pa.Array, limit: pa.Scalar, side: Side) -> pa.Array:
    """Replace what is past the limit by the limit; NaN and null stay."""
    kind = column.type
    comparable = column.cast(_comparable(kind))
    bound = limit.cast(comparable.type)
    past = pc.greater(comparable, bound) if side == "most" else pc.less(comparable, bound)
    return pc.if_else(past, bound, comparable).cast(kind)


def number_limit(kind: pa.DataType, number: Decimal, side: Side) -> pa.Scalar | None:
    """Give the last number of a type that is within a limit: 89 for 89.5 at most, where only whole numbers fit.

    None where every number of the type is within the limit. Raises `ValueError` where none is.
    """
    if pa.types.is_floating(kind):
        return pa.scalar(float(number), pa.float64()).cast(kind)
    if pa.types.is_decimal(kind):
        scale, most = kind.scale, 10**kind.precision - 1
        least = -most
    else:
        limits = np.iinfo(kind.to_pandas_dtype())
        scale, least, most = 0, int(limits.min), int(limits.max)
    rounding = decimal.ROUND_FLOOR if side == "most" else decimal.ROUND_CEILING
    units = int(number.scaleb(scale).to_integral_value(rounding))
    if units < least if side == "most" else units > most:
        raise ValueError
    if units > most if side == "most" else units < least:
        return None
    if scale == 0 and not pa.types.is_decimal(kind):
        return pa.scalar(units, kind)
    return pa.scalar(Decimal(units).scaleb(-scale, decimal.Context(prec=80)), _comparable(kind)).cast(kind)


def _comparable(kind: pa.DataType) -> pa.DataType:
    """Give a type that Arrow compares where it does not compare this one."""
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal(kind) and kind.bit_width < 128:
        return pa.decimal128(kind.precision, kind.scale)
    return kind
