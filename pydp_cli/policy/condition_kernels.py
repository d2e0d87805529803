"""What a compiled condition is made of: picklable functions from columns to columns, with Arrow's kernels.

Logic is three-valued, as in SQL: a comparison with null is null, `not null` is null, `false and null` is false.
Numbers and moments are compared exactly: the literal is brought to the column's unit, never the column to a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.policy.column_types import dense_type

Columns = Mapping[str, pa.Array]

KERNELS = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Test(Protocol):
    """Gives one value a row."""

    def __call__(self, columns: Columns) -> pa.Array:
        """Look at the columns of the rows."""
        ...


@dataclass(frozen=True)
class Read:
    """A column, text in its one type, others cast where `kind` says so."""

    name: str
    kind: pa.DataType | None = None

    def __call__(self, columns: Columns) -> pa.Array:
        """Look the column up."""
        column = columns[self.name]
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = self.kind or dense_type(column.type)
        return column if column.type == kind else column.cast(kind)


@dataclass(frozen=True)
class Cast:
    """A value in another type that holds all of its values."""

    operand: Test
    kind: pa.DataType

    def __call__(self, columns: Columns) -> pa.Array:
        """Cast it."""
        return self.operand(columns).cast(self.kind)


@dataclass(frozen=True)
class Function:
    """A kernel of one column, with keyword arguments."""

    kernel: str
    operand: Test
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, columns: Columns) -> pa.Array:
        """Call the kernel."""
        return getattr(pc, self.kernel)(self.operand(columns), **dict(self.options))


@dataclass(frozen=True)
class Compare:
    """Two columns of one type compared."""

    operator: str
    left: Test
    right: Test

    def __call__(self, columns: Columns) -> pa.BooleanArray:
        """Compare row by row."""
        return KERNELS[self.operator](self.left(columns), self.right(columns))


@dataclass(frozen=True)
class CompareValue:
    """A column compared with a value of its type."""

    operator: str
    operand: Test
    value: Any
    kind: pa.DataType

    def __call__(self, columns: Columns) -> pa.BooleanArray:
        """Compare every row."""
        return KERNELS[self.operator](self.operand(columns), pa.scalar(self.value, self.kind))


@dataclass(frozen=True)
class Always:
    """A comparison whose result no value changes: null where the operand is null, else `result`."""

    operand: Test
    result: bool

    def __call__(self, columns: Columns) -> pa.BooleanArray:
        """Answer for every row."""
        return pc.if_else(pc.is_valid(self.operand(columns)), self.result, pa.scalar(None, pa.bool_()))


@dataclass(frozen=True)
class Member:
    """A column's values looked up in a set of its type."""

    operand: Test
    values: tuple[Any, ...]
    kind: pa.DataType

    def __call__(self, columns: Columns) -> pa.BooleanArray:
        """Look every row up; null stays null."""
        column = self.operand(columns)
        found = pc.is_in(column, value_set=pa.array(self.values, self.kind))
        return pc.if_else(pc.is_valid(column), found, pa.scalar(None, pa.bool_()))


@dataclass(frozen=True)
class Is:
    """Whether a value is null."""

    operand: Test

    def __call__(self, columns: Columns) -> pa.BooleanArray:
        """Look at validity alone: NaN is a value."""
        return pc.is_null(self.operand(columns))


@dataclass(frozen=True)
class Invert:
    """The opposite; of null, null."""

    operand: Test

    def __call__(self, columns: Columns) -> pa.BooleanArray:
        """Invert."""
        return pc.invert(self.operand(columns))


@dataclass(frozen=True)
class Join:
    """All of some tests, or any of them, in Kleene's logic."""

    every: bool
    parts: tuple[Test, ...]

    def __call__(self, columns: Columns) -> pa.BooleanArray:
        """Fold the parts."""
        kernel = pc.and_kleene if self.every else pc.or_kleene
        result = self.parts[0](columns)
        for part in self.parts[1:]:
            result = kernel(result, part(columns))
        return result


def compare_exactly(operator: str, operand: Test, kind: pa.DataType, value: Fraction) -> Test:
    """Compare whole numbers, decimals or moments (as whole units) with any rational number, without rounding."""
    scale = kind.scale if pa.types.is_decimal(kind) else 0
    units = value * 10**scale
    whole = units.numerator // units.denominator
    if whole != units:  # between two values of the type
        if operator in ("==", "!="):
            return Always(operand, operator == "!=")
        operator = {"<": "<=", "<=": "<=", ">": ">", ">=": ">"}[operator]
    least, most = _range(kind)
    if not least <= whole <= most:
        below = whole < least
        return Always(operand, operator == "!=" or (operator in (">", ">=") if below else operator in ("<", "<=")))
    literal: Any = whole if not pa.types.is_decimal(kind) else _scaled(whole, scale)
    return CompareValue(operator, operand, literal, kind)


def _scaled(units: int, scale: int) -> Decimal:
    sign, digits, _ = Decimal(units).as_tuple()
    return Decimal((sign, digits, -scale))


def _range(kind: pa.DataType) -> tuple[int, int]:
    if pa.types.is_decimal(kind):
        most = 10**kind.precision - 1
        return -most, most
    if pa.types.is_signed_integer(kind):
        return -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1
    return 0, 2**kind.bit_width - 1
