"""A value of any Arrow type comes back from its cell text exactly, or is refused before it is lost."""

import math
import struct
from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.errors import BadValue, UnsupportedType
from pydp_cli.transforms.cell_text import from_cell_text, has_cell_text, to_cell_text

UTC = timezone.utc
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


def floats(width):
    return st.floats(width=width, allow_nan=False)


def integers(bits, signed=True):
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


VALUES = {
    pa.string(): TEXT,
    pa.large_string(): TEXT,
    **{getattr(pa, f"int{bits}")(): integers(bits) for bits in (8, 16, 32, 64)},
    **{getattr(pa, f"uint{bits}")(): integers(bits, signed=False) for bits in (8, 16, 32, 64)},
    pa.float16(): floats(16),
    pa.float32(): floats(32),
    pa.float64(): floats(64),
    pa.decimal32(7, 2): st.decimals(-99999, 99999, places=2),
    pa.decimal64(15, 3): st.decimals(-(10**11), 10**11, places=3),
    pa.decimal128(38, 10): st.decimals(-(10**20), 10**20, places=10),
    pa.decimal256(60, 4): st.decimals(-(10**40), 10**40, places=4),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.timestamp("s"): st.datetimes().map(lambda moment: moment.replace(microsecond=0)),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("ns"): st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
    pa.timestamp("ms", "Europe/Berlin"): st.datetimes(timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
    pa.timestamp("us", "+05:30"): st.datetimes(datetime(2, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    pa.time32("ms"): st.times().map(lambda moment: moment.replace(microsecond=0)),
    pa.time64("us"): st.times(),
    pa.duration("us"): st.timedeltas(timedelta(-99999), timedelta(99999)),
    pa.duration("ns"): st.timedeltas(timedelta(-9999), timedelta(9999)),
    pa.binary(): st.binary(max_size=9),
    pa.large_binary(): st.binary(max_size=9),
    pa.binary(4): st.binary(min_size=4, max_size=4),
}
NESTED = {
    pa.list_(pa.int64()): st.lists(st.none() | integers(64), max_size=3),
    pa.large_list(pa.string()): st.lists(st.none() | TEXT, max_size=3),
    pa.list_(pa.float64(), 2): st.lists(st.none() | floats(64), min_size=2, max_size=2),
    pa.struct([("a", pa.string()), ('b"\\é', pa.date32())]): st.fixed_dictionaries(
        {"a": st.none() | TEXT, 'b"\\é': st.none() | st.dates()}
    ),
    pa.map_(pa.string(), pa.int32()): st.lists(st.tuples(TEXT, st.none() | integers(32)), max_size=3),
    pa.list_(pa.struct([("x", pa.list_(pa.decimal128(9, 2))), ("y", pa.bool_())])): st.lists(
        st.none()
        | st.fixed_dictionaries(
            {
                "x": st.none() | st.lists(st.decimals(-99, 99, places=2), max_size=2),
                "y": st.none() | st.booleans(),
            }
        ),
        max_size=2,
    ),
    pa.struct([("when", pa.timestamp("us", "UTC")), ("raw", pa.binary())]): st.fixed_dictionaries(
        {"when": st.none() | st.datetimes(timezones=st.just(UTC)), "raw": st.none() | st.binary(max_size=4)}
    ),
}


@pytest.mark.parametrize("kind", [*VALUES, *NESTED], ids=str)
@settings(max_examples=25)
@given(st.data())
def test_comes_back_exactly(kind, data):
    values = data.draw(st.lists(st.none() | {**VALUES, **NESTED}[kind], max_size=8))
    column = pa.array([None, *values], kind).slice(1)
    text = to_cell_text(column)
    assert text.type == pa.string()
    assert text.null_count == column.null_count
    back = from_cell_text(text, kind)
    assert back.type == kind
    back.validate(full=True)
    assert back.equals(column)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_odd_floats_come_back_to_the_bit(kind):
    column = pa.array([math.nan, -0.0, 0.0, math.inf, -math.inf, 5e-8, 1.0], pa.float64()).cast(kind, safe=False)
    back = from_cell_text(to_cell_text(column), kind).cast(pa.float64()).to_pylist()
    assert struct.pack(">7d", *back) == struct.pack(">7d", *column.cast(pa.float64()).to_pylist())


@pytest.mark.parametrize("values", [["a", "b", None, "a"], [3, None, 3]])
def test_dictionaries_come_back_as_dictionaries(values):
    column = pa.array(values).dictionary_encode()
    back = from_cell_text(to_cell_text(column), column.type)
    assert back.type == column.type
    assert back.to_pylist() == values


def test_a_uuid_comes_back():
    column = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(range(16)), None], pa.binary(16)))
    assert from_cell_text(to_cell_text(column), pa.uuid()).equals(column)


def test_a_null_column_comes_back():
    assert from_cell_text(to_cell_text(pa.nulls(3)), pa.null()).equals(pa.nulls(3))


def test_nested_values_have_one_json():
    column = pa.array([{"a": [1, None], "b": 'x"\n'}, {"a": [], "b": None}, {"a": None, "b": ""}])
    assert to_cell_text(column).to_pylist() == [
        '{"a":["1",null],"b":"x\\"\\n"}',
        '{"a":[],"b":null}',
        '{"a":null,"b":""}',
    ]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, -800000], pa.int32()).cast(pa.date32()),
        pa.array([0, 1], pa.int64()).cast(pa.date64())
        if False
        else pa.array([86_400_001], pa.int64()).view(pa.date64()),
        pa.array([2**60], pa.int64()).view(pa.timestamp("s")),
    ],
    ids=["before the year 1", "part of a day", "after the year 9999"],
)
def test_what_would_be_lost_is_refused_with_its_row(column):
    with pytest.raises(BadValue, match="would come back") as error:
        to_cell_text(column)
    assert error.value.rows[-1:] in ((), (len(column) - 1,))


@pytest.mark.parametrize(
    "kind",
    [
        pa.month_day_nano_interval(),
        pa.struct([]),
        pa.struct([("a", pa.int8()), ("a", pa.int8())]),
        pa.dense_union([pa.field("a", pa.int8())]),
    ],
    ids=str,
)
def test_what_has_no_text_is_refused(kind):
    assert not has_cell_text(kind)
    with pytest.raises(UnsupportedType):
        to_cell_text(pa.nulls(1, kind))


def test_text_of_another_type_is_refused_without_being_quoted():
    for kind in (pa.int64(), pa.list_(pa.int64()), pa.struct([("a", pa.string())])):
        with pytest.raises(BadValue) as error:
            from_cell_text(pa.array(["secret"]), kind)
        assert "secret" not in str(error.value)
