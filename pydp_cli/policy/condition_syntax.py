"""The language of conditions (`when`, `keep_rows`, `drop_rows`, `where`): text to a frozen tree.

    condition = "not" condition | condition "and" condition | condition "or" condition | "(" condition ")" | test
    test      = operand ("==" | "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=") operand
              | operand ["not"] "in" "[" literal {"," literal} "]" | operand "is" ["not"] "null" | operand
    operand   = column | `odd column` | 'text' | "text" | number | 2026-01-31 | true | false | function "(" … ")"

`not` binds tighter than `and`, and `and` than `or`. A quote within text is doubled. A Pratt parser of bounded length
and depth; every error has the position of the character, counted from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal as OneOf

from pydp_cli.errors import PolicyError, Problem

MAX_LENGTH = 4096
MAX_DEPTH = 50


class ConditionError(PolicyError):
    """A condition is not well formed, or does not fit the columns; `position` counts characters from 1."""

    def __init__(self, message: str, position: int, hint: str | None = None) -> None:
        super().__init__([Problem(f"condition, character {position}: {message}", hint=hint)])
        self.position = position


@dataclass(frozen=True)
class Column:
    """A column by name."""

    name: str
    position: int


@dataclass(frozen=True)
class Literal:
    """A value that is written in the condition."""

    kind: OneOf["text", "number", "moment", "boolean", "null"]
    value: str | Decimal | bool | None
    position: int


@dataclass(frozen=True)
class Call:
    """A function of operands."""

    name: str
    arguments: tuple[Expression, ...]
    position: int


@dataclass(frozen=True)
class Comparison:
    """Two operands compared."""

    operator: str
    left: Expression
    right: Expression
    position: int


@dataclass(frozen=True)
class Membership:
    """An operand that is one of some literals."""

    operand: Expression
    values: tuple[Literal, ...]
    position: int


@dataclass(frozen=True)
class NullTest:
    """An operand that is null."""

    operand: Expression
    position: int


@dataclass(frozen=True)
class Negation:
    """The opposite of a condition."""

    operand: Expression
    position: int


@dataclass(frozen=True)
class Junction:
    """Conditions of which all (`and`) or any (`or`) must hold."""

    word: OneOf["and", "or"]
    parts: tuple[Expression, ...]
    position: int


Expression = Column | Literal | Call | Comparison | Membership | NullTest | Negation | Junction

KEYWORDS = ("and", "or", "not", "in", "is", "null", "true", "false")
COMPARISONS = {"==": "==", "=": "==", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
OR_POWER, AND_POWER, NOT_POWER, TEST_POWER = 1, 2, 3, 4

_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]+(?:Z|[+-][0-9:]{2,6})?)?"
_TOKEN = re.compile(
    rf"""(?P<blank>[ \t\r\n]+)
    |(?P<moment>{_MOMENT}(?![0-9A-Za-z_]))
    |(?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{{1,3}})?(?![0-9A-Za-z_.]))
    |(?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')
    |(?P<column>`(?:[^`]|``)+`)
    |(?P<word>[^\W0-9]\w*)
    |(?P<sign>==|!=|<>|<=|>=|=|<|>|\(|\)|\[|\]|,)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A word of a condition."""

    kind: str
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        """Tell whether it is one of some keywords, in any case."""
        return self.kind == "word" and self.text.lower() in words


def parse_condition(text: str) -> Expression:
    """Parse a condition; raises `ConditionError`."""
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"a condition has at most {MAX_LENGTH} characters", MAX_LENGTH)
    parser = _Parser(_tokens(text))
    expression = parser.parse(0)
    parser.expect_end()
    return expression


def _tokens(text: str) -> list[Token]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConditionError(*_unreadable(text, at))
        if found.lastgroup != "blank":
            tokens.append(Token(str(found.lastgroup), found[0], at + 1))
        at = found.end()
    return [*tokens, Token("end", "", len(text) + 1)]


def _unreadable(text: str, at: int) -> tuple[str, int, str | None]:
    sign = text[at]
    if sign in "\"'`":
        return "a quote that is not closed", at + 1, f"a {sign} within text is doubled"
    if sign.isdigit():
        return "not a number, a date or a name", at + 1, "put an odd column name in backticks"
    hint = {"&": "write `and`", "|": "write `or`", "!": "write `not`"}.get(sign)
    return f"cannot read {sign!r}" if sign.isprintable() else "cannot read a character", at + 1, hint


class _Parser:
    """A Pratt parser: each operator has a power by which it binds what is to its left."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _skip(self, sign: str) -> bool:
        matches = self._next.kind == "sign" and self._next.text == sign
        self._at += matches
        return matches

    def _expect(self, sign: str, what: str) -> None:
        if not self._skip(sign):
            raise ConditionError(f"`{sign}` is missing {what}", self._next.position)

    def expect_end(self) -> None:
        """Refuse what is left over."""
        token = self._next
        if token.kind != "end":
            hint = "compare with `==`, and join conditions with `and` or `or`"
            raise ConditionError(f"`{token.text[:40]}` is not expected here", token.position, hint)

    def parse(self, power: int) -> Expression:
        """Parse what binds tighter than a power."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConditionError(f"nested more than {MAX_DEPTH} deep", self._next.position)
        left = self._prefix()
        while (parsed := self._infix(left, power)) is not None:
            left = parsed
        self._depth -= 1
        return left

    def _prefix(self) -> Expression:
        token = self._take()
        if token.is_word("not"):
            return Negation(self.parse(NOT_POWER), token.position)
        if token.kind == "sign" and token.text == "(":
            inner = self.parse(0)
            self._expect(")", "after a condition in parentheses")
            return inner
        if token.kind == "word" and token.text.lower() not in KEYWORDS:
            return self._call(token) if self._skip("(") else Column(token.text, token.position)
        if token.kind == "column":
            return Column(token.text[1:-1].replace("``", "`"), token.position)
        literal = _literal(token)
        if literal is None:
            found = f"`{token.text[:40]}`" if token.text else "the end"
            raise ConditionError(f"a column or a value is expected, and here is {found}", token.position)
        return literal

    def _call(self, token: Token) -> Call:
        arguments = [self.parse(0)]
        while self._skip(","):
            arguments.append(self.parse(0))
        self._expect(")", f"after the arguments of {token.text}")
        return Call(token.text.lower(), tuple(arguments), token.position)

    def _infix(self, left: Expression, power: int) -> Expression | None:  # noqa: PLR0911 - one for each operator
        token = self._next
        if token.is_word("or") and power < OR_POWER:
            return self._junction(left, "or", OR_POWER)
        if token.is_word("and") and power < AND_POWER:
            return self._junction(left, "and", AND_POWER)
        if power >= TEST_POWER:
            return None
        if token.kind == "sign" and token.text in COMPARISONS:
            return self._comparison(left)
        if token.is_word("is"):
            return self._null_test(left)
        negated = token.is_word("not") and self._tokens[self._at + 1].is_word("in")
        if not token.is_word("in") and not negated:
            return None
        self._at += 1 + negated
        member = Membership(left, self._list(), token.position)
        return Negation(member, token.position) if negated else member

    def _junction(self, left: Expression, word: OneOf["and", "or"], power: int) -> Junction:
        parts, position = [left], self._next.position
        while self._next.is_word(word):
            self._take()
            parts.append(self.parse(power))
        return Junction(word, tuple(parts), position)

    def _comparison(self, left: Expression) -> Comparison:
        token = self._take()
        if isinstance(left, (Comparison, Membership, NullTest)):
            raise ConditionError("comparisons cannot be chained", token.position, "join two of them with `and`")
        return Comparison(COMPARISONS[token.text], left, self.parse(TEST_POWER), token.position)

    def _null_test(self, left: Expression) -> Expression:
        token = self._take()
        negated = self._next.is_word("not")
        self._at += negated
        if not self._take().is_word("null"):
            raise ConditionError("`is` goes with `null` or `not null`", token.position, "compare values with `==`")
        test = NullTest(left, token.position)
        return Negation(test, token.position) if negated else test

    def _list(self) -> tuple[Literal, ...]:
        self._expect("[", "after `in`")
        values: list[Literal] = []
        while not values or self._skip(","):
            token = self._take()
            literal = _literal(token)
            if literal is None or literal.kind == "null":
                hint = "test for null with `is null`" if literal else 'a list holds values: ["a", "b"] or [1, 2]'
                raise ConditionError("a value is expected in a list", token.position, hint)
            values.append(literal)
        self._expect("]", "after a list")
        return tuple(values)


def _literal(token: Token) -> Literal | None:
    if token.kind == "text":
        quote = token.text[0]
        return Literal("text", token.text[1:-1].replace(quote * 2, quote), token.position)
    if token.kind == "number":
        return Literal("number", Decimal(token.text), token.position)
    if token.kind == "moment":
        return Literal("moment", token.text, token.position)
    if token.is_word("true", "false"):
        return Literal("boolean", token.text.lower() == "true", token.position)
    return Literal("null", None, token.position) if token.is_word("null") else None
