"""Conditions on rows, checked against a schema and compiled to Arrow compute.

A condition that is null for a row does not select it. See `condition_syntax` for the language.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import BadValue
from pydp_cli.policy import condition_kernels as kernels
from pydp_cli.policy.column_types import dense_type, type_name
from pydp_cli.policy.condition_syntax import (
    Call,
    Column,
    Comparison,
    ConditionError,
    Expression,
    Junction,
    Literal,
    Membership,
    Negation,
    NullTest,
    parse_condition,
)
from pydp_cli.transforms.findings import did_you_mean
from pydp_cli.transforms.parse import parse_text
from pydp_cli.transforms.types import NUMBER, TEMPORAL, is_text

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Condition:
    """A compiled condition: from the columns that it reads to one truth value a row, never null."""

    text: str
    columns: frozenset[str]
    test: kernels.Test

    def __call__(self, columns: kernels.Columns) -> pa.BooleanArray:
        """Tell which rows are selected; all columns have the same length."""
        return pc.fill_null(self.test(columns), fill_value=False)


def compile_condition(text: str, schema: pa.Schema) -> Condition:
    """Compile a condition for columns of the given types; raises `ConditionError` (a `PolicyError`).

    `schema` has the types that the columns have when the condition is asked: text unless a type is declared for it.
    """
    expression = parse_condition(text)
    return Condition(text, columns_of(expression), _Compiler(schema).condition(expression))


def columns_of(expression: Expression) -> frozenset[str]:
    """Name the columns that an expression reads."""
    if isinstance(expression, Column):
        return frozenset((expression.name,))
    if isinstance(expression, Call):
        inner: tuple[Expression, ...] = expression.arguments
    elif isinstance(expression, Comparison):
        inner = (expression.left, expression.right)
    elif isinstance(expression, Junction):
        inner = expression.parts
    elif isinstance(expression, Literal):
        inner = ()
    else:
        inner = (expression.operand,)
    return frozenset().union(*(columns_of(part) for part in inner))


@dataclass(frozen=True)
class Operand:
    """A column or a function of one, with the type that it has."""

    test: kernels.Test
    kind: pa.DataType
    name: str
    position: int


class _Compiler:
    """Checks types, and puts tests together."""

    def __init__(self, schema: pa.Schema) -> None:
        self._kinds = {column.name: dense_type(column.type) for column in schema}

    def condition(self, expression: Expression) -> kernels.Test:
        """Compile what must be true or false."""
        if isinstance(expression, Junction):
            parts = tuple(self.condition(part) for part in expression.parts)
            return kernels.Join(expression.word == "and", parts)
        if isinstance(expression, Negation):
            return kernels.Invert(self.condition(expression.operand))
        if isinstance(expression, NullTest):
            return kernels.Is(self._operand(expression.operand).test)
        if isinstance(expression, Membership):
            return self._membership(expression)
        if isinstance(expression, Comparison):
            return self._comparison(expression)
        if isinstance(expression, Literal):
            raise ConditionError("a value alone is not a condition", expression.position, "compare it with a column")
        operand = self._operand(expression)
        if not pa.types.is_boolean(operand.kind):
            message = f"{operand.name} is {_kind_name(operand.kind)}, and a condition is true or false"
            raise ConditionError(message, operand.position, "compare it with a value")
        return operand.test

    def _operand(self, expression: Expression) -> Operand:
        if isinstance(expression, Column):
            kind = self._kinds.get(expression.name)
            if kind is None:
                hint = did_you_mean(expression.name, self._kinds) or "put text in quotes"
                raise ConditionError(f'there is no column "{expression.name}"', expression.position, hint)
            return Operand(kernels.Read(expression.name), kind, f'column "{expression.name}"', expression.position)
        if isinstance(expression, Call):
            return self._call(expression)
        if isinstance(expression, Literal):
            raise ConditionError("a column is expected, and here is a value", expression.position)
        return Operand(self.condition(expression), pa.bool_(), "a condition", expression.position)

    def _call(self, call: Call) -> Operand:
        function = FUNCTIONS.get(call.name)
        if function is None:
            hint = did_you_mean(call.name, FUNCTIONS)
            raise ConditionError(f'there is no function "{call.name}"', call.position, hint)
        first, *rest = call.arguments
        if len(rest) != (function.option is not None):
            wanted = "a column and a text" if function.option else "a column"
            raise ConditionError(f"{call.name}() takes {wanted}", call.position)
        operand = self._operand(first)
        if not is_text(operand.kind):
            message = f"{call.name}() takes text, and {operand.name} is {_kind_name(operand.kind)}"
            raise ConditionError(message, operand.position)
        options: tuple[tuple[str, str], ...] = ()
        if function.option is not None:
            argument = rest[0]
            if not isinstance(argument, Literal) or argument.kind != "text":
                raise ConditionError(f"{call.name}() takes a text in quotes", argument.position)
            options = ((function.option, str(argument.value)),)
        test = kernels.Function(function.kernel, operand.test, options)
        if call.name == "matches":
            _check_pattern(test, call)
        return Operand(test, function.gives, f"{call.name}()", call.position)

    def _membership(self, member: Membership) -> kernels.Test:
        operand = self._operand(member.operand)
        if is_text(operand.kind) and all(value.kind == "text" for value in member.values):
            return kernels.Member(operand.test, tuple(value.value for value in member.values), pa.string())
        return kernels.Join(False, tuple(_compare_literal("==", operand, value) for value in member.values))

    def _comparison(self, comparison: Comparison) -> kernels.Test:
        operator, left, right = comparison.operator, comparison.left, comparison.right
        if isinstance(left, Literal):
            operator, left, right = kernels.MIRRORED[operator], right, left
        if isinstance(left, Literal):
            raise ConditionError("two values are compared, and no column", comparison.position)
        operand = self._operand(left)
        if isinstance(right, Literal):
            return _compare_literal(operator, operand, right)
        return _compare_operands(operator, operand, self._operand(right), comparison.position)


@dataclass(frozen=True)
class _Function:
    kernel: str
    gives: pa.DataType
    option: str | None = None


FUNCTIONS = {
    "lower": _Function("utf8_lower", pa.string()),
    "upper": _Function("utf8_upper", pa.string()),
    "trim": _Function("utf8_trim_whitespace", pa.string()),
    "length": _Function("utf8_length", pa.int32()),
    "starts_with": _Function("starts_with", pa.bool_(), "pattern"),
    "ends_with": _Function("ends_with", pa.bool_(), "pattern"),
    "contains": _Function("match_substring", pa.bool_(), "pattern"),
    "matches": _Function("match_substring_regex", pa.bool_(), "pattern"),
}
"""What may be called on text; `matches` is RE2, which takes linear time."""


def _check_pattern(test: kernels.Function, call: Call) -> None:
    try:
        getattr(pc, test.kernel)(pa.array(["x"]), **dict(test.options))  # an empty column compiles nothing
    except pa.ArrowInvalid:
        raise ConditionError("not a regular expression of RE2", call.arguments[1].position) from None


def _kind_name(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "true or false"
    return "text" if is_text(kind) else type_name(kind)


def _compare_literal(operator: str, operand: Operand, literal: Literal) -> kernels.Test:
    if literal.kind == "null":
        word = "is not null" if operator == "!=" else "is null"
        raise ConditionError("nothing is equal to null", literal.position, f"write `{word}`")
    for accepts, literal_kinds, compare in _LITERALS:
        if accepts(operand.kind) and literal.kind in literal_kinds:
            return compare(operator, operand, literal)
    value = {"text": "text", "number": "a number", "moment": "a date", "boolean": "true or false"}[literal.kind]
    message = f"{operand.name} is {_kind_name(operand.kind)}, and is compared with {value}"
    hint = None
    if is_text(operand.kind):
        declared = {"number": "int64 or decimal(12,2)", "moment": "date or timestamp"}.get(literal.kind, "bool")
        hint = f"put the value in quotes, or declare the column's type ({declared})"
    elif literal.kind == "text":
        hint = "leave out the quotes"
    raise ConditionError(message, literal.position, hint)


def _with_text(operator: str, operand: Operand, literal: Literal) -> kernels.Test:
    return kernels.CompareValue(operator, operand.test, literal.value, pa.string())


def _with_truth(operator: str, operand: Operand, literal: Literal) -> kernels.Test:
    if operator not in ("==", "!="):
        raise ConditionError("true and false have no order", literal.position)
    return kernels.CompareValue(operator, operand.test, literal.value, pa.bool_())


def _with_number(operator: str, operand: Operand, literal: Literal) -> kernels.Test:
    assert isinstance(literal.value, Decimal)
    if pa.types.is_floating(operand.kind):
        test = kernels.Cast(operand.test, pa.float64())
        return kernels.CompareValue(operator, test, float(literal.value), pa.float64())
    kind = _wide_decimal(operand.kind)
    exact = operand.test if kind == operand.kind else kernels.Cast(operand.test, kind)
    return kernels.compare_exactly(operator, exact, kind, Fraction(literal.value))


def _with_moment(operator: str, operand: Operand, literal: Literal) -> kernels.Test:
    text, kind = str(literal.value), operand.kind
    try:
        if pa.types.is_date(kind):
            days = parse_text(pa.array([text if _DATE.fullmatch(text) else ""]), pa.date32()).cast(pa.int32())
            test = kernels.Cast(kernels.Cast(operand.test, pa.date32()), pa.int32())
            return kernels.compare_exactly(operator, test, pa.int32(), Fraction(days[0].as_py()))
        moment = parse_text(pa.array([text]), pa.timestamp("us", kind.tz)).cast(pa.int64())[0].as_py()
    except BadValue:
        wanted = "a date like 2026-01-31" if pa.types.is_date(kind) else "a time like 2026-01-31T12:00:00"
        raise ConditionError(f"{operand.name} is compared with what is not {wanted}", literal.position) from None
    units = Fraction(moment, 10**6) * _PER_SECOND[kind.unit]
    return kernels.compare_exactly(operator, kernels.Cast(operand.test, pa.int64()), pa.int64(), units)


_LITERALS: list[
    tuple[Callable[[pa.DataType], bool], tuple[str, ...], Callable[[str, Operand, Literal], kernels.Test]]
] = [
    (is_text, ("text",), _with_text),
    (pa.types.is_boolean, ("boolean",), _with_truth),
    (NUMBER.accepts, ("number",), _with_number),
    (TEMPORAL.accepts, ("moment", "text"), _with_moment),
]


def _compare_operands(operator: str, left: Operand, right: Operand, position: int) -> kernels.Test:
    if pa.types.is_boolean(left.kind) and pa.types.is_boolean(right.kind) and operator not in ("==", "!="):
        raise ConditionError("true and false have no order", position)
    shared = _shared_type(left.kind, right.kind)
    if shared is None:
        message = f"{left.name} is {_kind_name(left.kind)}, and {right.name} is {_kind_name(right.kind)}"
        raise ConditionError(message, position, "declare the same type for both")
    sides = [
        side.test if side.kind == shared or is_text(shared) else kernels.Cast(side.test, shared)
        for side in (left, right)
    ]
    return kernels.Compare(operator, *sides)


def _shared_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:  # noqa: PLR0911 - a table in prose
    """Give a type that holds the values of both exactly (for floats: nearly), or None where there is none."""
    if is_text(left) and is_text(right):
        return pa.string()
    if pa.types.is_date(left) and pa.types.is_date(right):
        return pa.date32()
    if pa.types.is_boolean(left) or TEMPORAL.accepts(left):
        return left if left == right else None
    if not NUMBER.accepts(left) or not NUMBER.accepts(right):
        return None
    if pa.types.is_floating(left) or pa.types.is_floating(right):
        return pa.float64()
    if pa.types.is_integer(left) and pa.types.is_integer(right) and pa.uint64() not in (left, right):
        return pa.int64()
    scale = max(_scale(left), _scale(right))
    digits = max(_whole_digits(left), _whole_digits(right))
    return pa.decimal256(digits + scale, scale) if digits + scale <= 76 else None


def _scale(kind: pa.DataType) -> int:
    return int(kind.scale) if pa.types.is_decimal(kind) else 0


def _whole_digits(kind: pa.DataType) -> int:
    return int(kind.precision - kind.scale) if pa.types.is_decimal(kind) else 20


def _wide_decimal(kind: pa.DataType) -> pa.DataType:
    """Give a decimal type that Arrow compares: it does not compare the narrow ones."""
    if pa.types.is_decimal(kind) and kind.bit_width < 128:
        return pa.decimal128(kind.precision, kind.scale)
    return kind
