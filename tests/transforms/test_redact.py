import pyarrow as pa
from hypothesis import given

from pydp_cli.transforms.redact import Redact
from tests.transforms.columns import text_columns, treat, treat_all


@given(text_columns)
def test_every_value_becomes_the_mark_and_null_stays(column):
    result = treat(Redact(text="x"), column)

    assert result.to_pylist() == [None if value is None else "x" for value in column.to_pylist()]


def test_the_empty_string_is_a_value():
    assert treat_all(Redact(), "", None) == ["[redacted]", None]


def test_what_is_not_text_becomes_null():
    assert treat_all(Redact(), 1, None, kind=pa.int32()) == [None, None]
    assert treat_all(Redact(), [1], None, kind=pa.list_(pa.int8())) == [None, None]
    assert Redact().makes_null()
