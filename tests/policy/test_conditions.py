"""Conditions select the rows that a plain reading of them selects, and mistakes are found before a row is read."""

import datetime as dt
import operator
import pickle
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import PolicyError
from pydp_cli.policy.condition_syntax import parse_condition
from pydp_cli.policy.conditions import compile_condition

KINDS = {
    "text": pa.string(),
    "odd `name": pa.string(),
    "whole": pa.int64(),
    "small": pa.int8(),
    "big": pa.uint64(),
    "money": pa.decimal128(12, 2),
    "cheap": pa.decimal128(5, 4),
    "ratio": pa.float64(),
    "flag": pa.bool_(),
    "day": pa.date32(),
    "moment": pa.timestamp("ms"),
    "zoned": pa.timestamp("us", "UTC"),
}
SCHEMA = pa.schema(list(KINDS.items()))
WORDS = st.sampled_from(["", "a", "A", "b", "aß", "DE", "it's", 'say "x"', "null", " a "])
WHOLE = st.integers(-5, 5) | st.sampled_from([-129, 127, 128, 2**53 + 1, 2**63 - 1, -(2**63)])
DAYS = st.dates(dt.date(1969, 12, 30), dt.date(1970, 1, 3))
MOMENTS = st.datetimes(dt.datetime(1969, 12, 31), dt.datetime(1970, 1, 2)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 250_000 * 250_000, minute=0, second=0)
)
VALUES = {
    "text": WORDS,
    "odd `name": WORDS,
    "whole": WHOLE,
    "small": st.integers(-128, 127),
    "big": st.integers(0, 3) | st.sampled_from([2**63, 2**64 - 1, 2**53 + 1]),
    "money": st.decimals(-9, 9, places=2) | st.just(Decimal("9999999999.99")),
    "cheap": st.decimals(-9, 9, places=4),
    "ratio": st.floats(-3, 3, width=16) | st.sampled_from([float("nan"), float("inf")]),
    "flag": st.booleans(),
    "day": DAYS,
    "moment": MOMENTS,
    "zoned": MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.timezone.utc)),
}
OPERATORS = {
    "==": operator.eq, "=": operator.eq, "!=": operator.ne, "<>": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
FUNCTIONS = {"lower": str.lower, "upper": lambda text: text.upper(), "trim": str.strip, "length": len}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), max_size=6)


def written(name):
    return name if name.isidentifier() else "`" + name.replace("`", "``") + "`"


def quoted(text, quote):
    return quote + text.replace(quote, quote * 2) + quote


@st.composite
def literals(draw, column):
    """A literal for a column: its text, and the value that it stands for."""
    if column in ("text", "odd `name"):
        value = draw(WORDS)
        return quoted(value, draw(st.sampled_from("'\""))), value
    if column in ("whole", "small", "big", "money", "cheap"):
        value = draw(
            WHOLE.map(Decimal) | st.decimals(-9, 9, places=3) | st.sampled_from([Decimal(2**64), Decimal("1e20")])
        )
        return f"{value:f}", value
    if column == "ratio":
        value = draw(st.floats(-3, 3, width=16))
        return f"{Decimal(value):f}", value
    if column == "flag":
        value = draw(st.booleans())
        return str(value).lower(), value
    value = draw(VALUES[column])
    text = value.isoformat()
    if column == "zoned" and draw(st.booleans()):
        text = text.replace("+00:00", "Z")
    return text if draw(st.booleans()) else f'"{text}"', value


@st.composite
def comparisons(draw):  # noqa: PLR0911 - one for each shape
    """A comparison, a list or a test for null: its text, and the truth of a row (None: unknown)."""
    column = draw(st.sampled_from(sorted(KINDS)))
    name, get = written(column), operator.itemgetter(column)
    shape = draw(st.sampled_from(["compare", "mirrored", "in", "null", "columns", "function", "search"]))
    if shape == "null":
        negated = draw(st.booleans())
        return f"{name} is {'not ' * negated}null", lambda row: (get(row) is None) != negated
    if shape == "columns":
        pairs = [("text", "odd `name"), ("whole", "small"), ("whole", "big"), ("money", "cheap"), ("small", "money")]
        left, right = draw(st.sampled_from(pairs))
        sign = draw(st.sampled_from(sorted(OPERATORS)))
        return f"{written(left)} {sign} {written(right)}", lambda row: known(OPERATORS[sign], row[left], row[right])
    if shape == "function":
        function = draw(st.sampled_from(sorted(FUNCTIONS)))
        sign = draw(st.sampled_from(sorted(OPERATORS)))
        text, value = ("1", 1) if function == "length" else draw(literals("text"))
        call = FUNCTIONS[function]
        compare = OPERATORS[sign]
        # Arrow's upper case is one character for one
        call = (
            (lambda t: "".join(c.upper() if len(c.upper()) == 1 else "ẞ" for c in t)) if function == "upper" else call
        )
        return f"{function}(text) {sign} {text}", lambda row: known(compare, maybe(call, row["text"]), value)
    if shape == "search":
        function = draw(st.sampled_from(["starts_with", "ends_with", "contains"]))
        text, value = draw(literals("text"))
        search = {"starts_with": str.startswith, "ends_with": str.endswith, "contains": operator.contains}[function]
        return f"{function}(text, {text})", lambda row: known(search, row["text"], value)
    if shape == "in":
        values = draw(st.lists(literals(column), min_size=1, max_size=3))
        negated = draw(st.booleans())
        text = ", ".join(text for text, _ in values)
        return f"{name} {'not ' * negated}in [{text}]", lambda row: maybe(
            lambda value: any(value == other for _, other in values) != negated, get(row)
        )
    signs = ["==", "!="] if column == "flag" else sorted(OPERATORS)
    sign = draw(st.sampled_from(signs))
    text, value = draw(literals(column))
    if shape == "mirrored":
        return f"{text} {sign} {name}", lambda row: known(OPERATORS[sign], value, get(row))
    return f"{name} {sign} {text}", lambda row: known(OPERATORS[sign], get(row), value)


def maybe(function, value):
    return None if value is None else function(value)


def known(function, left, right):
    return None if left is None or right is None else function(left, right)


def negation(inner):
    return f"not {parenthesised(inner[0])}", lambda row: maybe(operator.not_, inner[1](row))


def parenthesised(text):
    return f"({text})"


def conjunction(parts):
    def holds(row):
        found = [part(row) for _, part in parts]
        return False if False in found else None if None in found else True

    return " AND ".join(parenthesised(text) for text, _ in parts), holds


def disjunction(parts):
    def holds(row):
        found = [part(row) for _, part in parts]
        return True if True in found else None if None in found else False

    return " or ".join(parenthesised(text) for text, _ in parts), holds


CONDITIONS = st.recursive(
    comparisons(),
    lambda inner: (
        inner.map(negation)
        | st.lists(inner, min_size=2, max_size=3).map(conjunction)
        | st.lists(inner, min_size=2, max_size=3).map(disjunction)
    ),
    max_leaves=5,
)


def column_of(rows, name):
    return pa.array([row[name] for row in rows], KINDS[name])


@given(CONDITIONS, ROWS)
def test_rows_are_selected_as_a_plain_reading_says(condition, rows):
    text, holds = condition
    compiled = compile_condition(text, SCHEMA)
    found = compiled({name: column_of(rows, name) for name in compiled.columns})
    assert found.type == pa.bool_()
    assert found.null_count == 0
    assert found.to_pylist() == [holds(row) is True for row in rows]


@given(CONDITIONS, ROWS)
def test_slices_and_other_kinds_of_text_make_no_difference(condition, rows):
    text, holds = condition
    compiled = pickle.loads(pickle.dumps(compile_condition(text, SCHEMA)))
    columns = {name: column_of([*rows, *rows], name).slice(len(rows)) for name in compiled.columns}
    for name, kind in (("text", pa.large_string()), ("odd `name", pa.dictionary(pa.int32(), pa.string()))):
        if name in columns:
            columns[name] = columns[name].cast(kind)
    assert compiled(columns).to_pylist() == [holds(row) is True for row in rows]


@given(st.text(max_size=60) | st.text("ab()[]<>=!'\"` ,0.5-notiulr", max_size=60))
def test_any_text_is_a_condition_or_a_policy_error(text):
    try:
        compile_condition(text, SCHEMA)
    except PolicyError as error:
        assert error.message.startswith("condition, character ")  # noqa: PT017


def select(text, **columns):
    table = pa.table(columns)
    condition = compile_condition(text, table.schema)
    return condition({name: table[name].combine_chunks() for name in condition.columns}).to_pylist()


def test_not_binds_tighter_than_and_and_and_than_or():
    rows = {"a": [True, True, False, False], "b": [True, False, True, False], "c": [False, True, True, False]}
    assert select("a or b and not c", **rows) == [True, True, False, False]
    assert select("(a or b) and not c", **rows) == [True, False, False, False]
    assert select("not a == b", **rows) == [False, True, True, False]


def test_null_is_neither_in_a_list_nor_outside_of_it():
    assert select('a in ["x"]', a=["x", "y", None]) == [True, False, False]
    assert select('a not in ["x"]', a=["x", "y", None]) == [False, True, False]
    assert select("a not in [1]", a=[1, 2, None]) == [False, True, False]


@pytest.mark.parametrize(
    ("sign", "selected"),
    [("<", [1]), ("<=", [1]), (">", [2]), (">=", [2]), ("==", []), ("!=", [1, 2])],
)
def test_whole_numbers_are_compared_with_fractions_exactly(sign, selected):
    assert select(f"a {sign} 1.5", a=[1, 2, None]) == [1 in selected, 2 in selected, False]
    assert select(f"a {sign} -1.5", a=[-2, -1, None]) == [1 in selected, 2 in selected, False]


def test_patterns_are_those_of_re2():
    assert select(r'matches(a, "^\d+$")', a=["12", "1a", None]) == [True, False, False]


def test_local_times_are_those_of_the_columns_zone():
    moments = pa.array([dt.datetime(2026, 1, 1, 11), dt.datetime(2026, 1, 1, 12)]).cast(  # noqa: DTZ001
        pa.timestamp("us", "Europe/Berlin")
    )
    assert select("a < 2026-01-01T13:00", a=moments) == [True, False]
    assert select('a < "2026-01-01T12:00:00Z"', a=moments) == [True, False]


def test_dates_beyond_a_units_range_are_compared():
    moments = pa.array([0, None], pa.timestamp("ns"))
    assert select("a < 9999-12-31", a=moments) == [True, False]
    assert select("a > 0001-01-01", a=moments) == [True, False]


def test_nested_columns_can_be_tested_for_null():
    assert select("a is null", a=pa.array([[1], None], pa.list_(pa.int64()))) == [False, True]


def test_the_narrow_decimals_are_compared():
    column = pa.array([Decimal("1.5"), None], pa.decimal128(5, 1)).cast(pa.decimal32(5, 1))
    assert select("a >= 1.45", a=column) == [True, False]


def test_a_condition_names_the_columns_it_reads():
    condition = compile_condition('lower(text) == "a" and (day is null or small in [1])', SCHEMA)
    assert condition.columns == {"text", "day", "small"}


MISTAKES = {
    'whole == "2"': ('10: column "whole" is int64, and is compared with text', "leave out the quotes"),
    "text > 5": (
        '8: column "text" is text, and is compared with a number',
        "put the value in quotes, or declare the column's type (int64 or decimal(12,2))",
    ),
    "text > 2026-01-01": (
        '8: column "text" is text, and is compared with a date',
        "put the value in quotes, or declare the column's type (date or timestamp)",
    ),
    "text == null": ("9: nothing is equal to null", "write `is null`"),
    "text != null": ("9: nothing is equal to null", "write `is not null`"),
    "txet == 'a'": ('1: there is no column "txet"', 'did you mean "text"?'),
    "whole": ('1: column "whole" is int64, and a condition is true or false', "compare it with a value"),
    "'a'": ("1: a value alone is not a condition", "compare it with a column"),
    "1 == 1": ("3: two values are compared, and no column", None),
    "text == 'a": ("9: a quote that is not closed", "a ' within text is doubled"),
    "(flag": ("6: `)` is missing after a condition in parentheses", None),
    "flag)": ("5: `)` is not expected here", "compare with `==`, and join conditions with `and` or `or`"),
    "whole < small < big": ("15: comparisons cannot be chained", "join two of them with `and`"),
    "text is 5": ("6: `is` goes with `null` or `not null`", "compare values with `==`"),
    "whole in []": ("11: a value is expected in a list", 'a list holds values: ["a", "b"] or [1, 2]'),
    "whole in [null]": ("11: a value is expected in a list", "test for null with `is null`"),
    "whole in (1, 2)": ("10: `[` is missing after `in`", None),
    "flag && flag": ("6: cannot read '&'", "write `and`"),
    "lowr(text) == 'a'": ('1: there is no function "lowr"', 'did you mean "lower"?'),
    "lower(whole) == 'a'": ('7: lower() takes text, and column "whole" is int64', None),
    "lower(text, 'a') == 'a'": ("1: lower() takes a column", None),
    "contains(text)": ("1: contains() takes a column and a text", None),
    "contains(text, `odd ``name`)": ("16: contains() takes a text in quotes", None),
    "matches(text, '(')": ("15: not a regular expression of RE2", None),
    "day > '2026-13-01'": ('7: column "day" is compared with what is not a date like 2026-01-31', None),
    "day > 2026-01-01T00:00": ('7: column "day" is compared with what is not a date like 2026-01-31', None),
    "moment > 'now'": ('10: column "moment" is compared with what is not a time like 2026-01-31T12:00:00', None),
    "flag < true": ("8: true and false have no order", None),
    "flag < (flag)": ("6: true and false have no order", None),
    "day == moment": (
        '5: column "day" is date, and column "moment" is timestamp[ms]',
        "declare the same type for both",
    ),
    "text ==": ("8: a column or a value is expected, and here is the end", None),
    "": ("1: a column or a value is expected, and here is the end", None),
    "2x > 1": ("1: not a number, a date or a name", "put an odd column name in backticks"),
    "not " * 60 + "flag": ("201: nested more than 50 deep", None),
    "(" * 60 + "flag": ("51: nested more than 50 deep", None),
    "flag " + "or flag " * 1000: ("4096: a condition has at most 4096 characters", None),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_place(text):
    with pytest.raises(PolicyError) as caught:
        compile_condition(text, SCHEMA)
    message, hint = MISTAKES[text]
    assert caught.value.message == f"condition, character {message}"
    assert caught.value.hint == hint


def test_a_long_condition_is_flat():
    text = " or ".join(f"whole == {number}" for number in range(200))
    assert len(parse_condition(text).parts) == 200
    assert select(text, whole=[5, 500]) == [True, False]
