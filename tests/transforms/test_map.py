import pickle
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.errors import BadValue, InputError, UnsupportedType
from pydp_cli.transforms.map import Map
from pydp_cli.transforms.registry import Binding
from tests.transforms.columns import any_texts, derive_key, text_columns, treat, treat_all


@given(st.dictionaries(any_texts, any_texts), text_columns)
def test_is_the_mapping(values, column):
    listed = values | dict.fromkeys(column.to_pylist()[:3], "x")
    listed.pop(None, None)

    result = treat(Map(values=listed, default="keep"), column).to_pylist()

    assert result == [None if value is None else listed.get(value, value) for value in column.to_pylist()]


@pytest.mark.parametrize(
    ("options", "kind", "values", "expected"),
    [
        ({"values": {"a": "b"}, "default": "other"}, pa.string(), ["a", "z", ""], ["b", "other", "other"]),
        ({"values": {"a": "b"}, "default": None}, pa.string(), ["a", "z"], ["b", None]),
        ({"values": {"a": "b"}, "default": "null"}, pa.string(), ["a", "z"], ["b", None]),
        ({"values": {1: "one"}, "default": "keep"}, pa.string(), ["1", "01"], ["one", "01"]),
        ({"values": {1: 2, "3": 4}, "default": "keep"}, pa.int8(), [1, 3, 5], [2, 4, 5]),
        ({"values": {1: "one"}, "default": "keep", "returns": "text"}, pa.int8(), [1, 5], ["one", "5"]),
        ({"values": {"1.0": 2}, "default": 0}, pa.float64(), [1.0, 5.0], [2.0, 0.0]),
        ({"values": {1: 2}, "default": 0}, pa.decimal128(5, 2), [Decimal("1.00")], [Decimal("2.00")]),
        ({"values": {True: False}, "default": "error"}, pa.bool_(), [True], [False]),
        (
            {"values": {"2024-01-31": "2024-01-01"}, "default": "keep"},
            pa.date32(),
            [date(2024, 1, 31)],
            [date(2024, 1, 1)],
        ),
        ({"values": {}, "default": "x"}, pa.string(), ["a"], ["x"]),
    ],
)
def test_examples(options, kind, values, expected):
    assert treat_all(Map(**options), *values, None, kind=kind) == [*expected, None]


def test_a_file_is_read_once_when_the_policy_is_compiled(tmp_path):
    (tmp_path / "plans.csv").write_text('from,to\ngold,paid\n"a,b",c\n\n', encoding="utf-8")
    options = Map.model_validate({"from": "plans.csv", "default": "error"})
    options.check_takes(pa.string(), "plan")

    function = options.bind(Binding("d", "plan", pa.string(), derive_key, tmp_path))
    (tmp_path / "plans.csv").unlink()

    assert pickle.loads(pickle.dumps(function))(pa.array(["gold", "a,b", None])).to_pylist() == ["paid", "c", None]


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"gold,paid\n", "plans.csv:1", "header"),
        (b"", "plans.csv:1", "header"),
        (b"from,to\na,b,c\n", "plans.csv:2", "two columns, not 3"),
        (b"from,to\na,b\na,c\n", "plans.csv:3", "listed twice"),
        (b"from,to\n\xff,b\n", "plans.csv", "not UTF-8"),
        (b'from,to\n"a,b\n', "plans.csv", "not CSV"),
        (None, "plans.csv", "cannot read the mapping: No such file"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, content, place, message):
    if content is not None:
        (tmp_path / "plans.csv").write_bytes(content)
    options = Map.model_validate({"from": "plans.csv", "default": "error"})

    with pytest.raises(InputError, match=message) as raised:
        options.bind(Binding("d", "plan", pa.string(), derive_key, tmp_path))
    assert raised.value.place.endswith(place)


def test_an_unlisted_value_is_an_error_that_does_not_quote_it():
    with pytest.raises(BadValue) as raised:
        treat_all(Map(values={"a": "b"}, default="error"), "a", "secret", None, "x")

    assert raised.value.rows == (1, 3)
    assert "secret" not in str(raised.value)


def test_values_that_do_not_fit_the_type_are_refused_before_a_row_is_read():
    for options in (
        {"values": {"x": 1}, "default": 1},
        {"values": {1: "x"}, "default": 1},
        {"values": {1: 1}, "default": "x"},
    ):
        with pytest.raises(UnsupportedType, match='column "c"'):
            Map(**options).check_takes(pa.int8(), "c")


@pytest.mark.parametrize("options", [{"values": {}}, {"default": 1}, {"values": {}, "from": "x", "default": 1}])
def test_needs_a_default_and_one_list(options):
    with pytest.raises(ValidationError):
        Map.model_validate(options)


def test_says_what_it_leaks_and_whether_it_makes_null():
    assert Map(values={}, default="keep").leak() == "every value that is not listed"
    assert Map(values={}, default=None).makes_null()
    assert not Map(values={}, default="x").makes_null()
    with pytest.raises(InputError):
        Map.model_validate({"from": "x", "default": 1}).apply(pa.array(["a"]))
