import math
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.transforms.bin import Bin
from tests.transforms.columns import columns, floats, integers, treat, treat_all

INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64()]
DECIMALS = [pa.decimal128(5, 2), pa.decimal64(18, 2), pa.decimal128(30, 2), pa.decimal256(50, 2)]
widths = st.integers(1, 10**15) | st.integers(1, 20)
starts = st.integers(-(10**15), 10**15) | st.integers(-20, 20)


def limits(kind):
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
@given(data=st.data(), width=widths, start=starts)
def test_integers_go_to_the_lower_end_exactly(kind, data, width, start):
    least, most = limits(kind)
    column = data.draw(columns(st.integers(least, most), kind))

    result = treat(Bin(width=width, start=start), column).to_pylist()

    for before, after in zip(column.to_pylist(), result, strict=True):
        assert after == (None if before is None else max(least, (before - start) // width * width + start))


@pytest.mark.parametrize("kind", DECIMALS, ids=str)
@given(data=st.data(), width=st.decimals("0.01", 100, places=2), start=st.decimals(-100, 100, places=2))
def test_decimals_go_to_the_lower_end_exactly(kind, data, width, start):
    column = data.draw(columns(st.decimals(-999, 999, places=2), pa.decimal128(5, 2))).cast(kind)

    result = treat(Bin(width=width, start=start), column).to_pylist()

    for before, after in zip(column.to_pylist(), result, strict=True):
        if before is None:
            assert after is None
        else:
            index = math.floor(Fraction(before - start) / Fraction(width))
            lower = index * width + start
            assert after == (max(Decimal("-999.99"), lower) if kind.precision == 5 else lower)


@given(
    columns(floats, pa.float64()),
    st.sampled_from(["0.1", "0.25", "1", "7", "5000"]),
    st.sampled_from(["0", "0.3", "-7"]),
)
def test_floats_are_at_or_above_the_lower_end(column, width, start):
    result = treat(Bin(width=width, start=start), column).to_pylist()

    for before, after in zip(column.to_pylist(), result, strict=True):
        if before is None or not math.isfinite(before):
            assert str(after) == str(before)
        else:
            assert after <= before
            assert before - after <= float(width) * (1 + 1e-9) + abs(before) * 1e-15
            if abs(before) < 1e9:
                assert Fraction(Decimal(repr(after)) - Decimal(start)) % Fraction(width) == 0


@given(st.integers(-10_000, 10_000), st.sampled_from([pa.float64(), pa.float32()]))
def test_floats_that_are_written_as_a_lower_end_are_one(index, kind):
    end = pa.array([float(Decimal(index) * Decimal("0.1"))], pa.float64()).cast(kind)

    assert treat(Bin(width="0.1"), end).equals(end)


@given(columns(integers, pa.int64()), st.integers(1, 10**6), starts)
def test_the_range_holds_the_value(column, width, start):
    result = treat(Bin(width=width, start=start, output="range"), column).to_pylist()

    for before, after in zip(column.to_pylist(), result, strict=True):
        if before is None:
            assert after is None
            continue
        cut = after.index("-", 1)
        assert int(after[:cut]) <= before <= int(after[cut + 1 :])
        assert int(after[cut + 1 :]) - int(after[:cut]) == width - 1


@given(st.lists(floats.filter(math.isfinite)), widths)
def test_order_is_kept(numbers, width):
    result = treat_all(Bin(width=width), *sorted(numbers), kind=pa.float64())

    assert result == sorted(result)


@pytest.mark.parametrize(
    ("options", "kind", "value", "expected"),
    [
        ({"width": 5000}, pa.int64(), 52345, 50000),
        ({"width": 5000}, pa.float64(), 52345.5, 50000.0),
        ({"width": 5000, "output": "range"}, pa.int64(), 52345, "50000-54999"),
        ({"width": 5000, "output": "range"}, pa.float64(), 52345.5, "50000-54999"),
        ({"width": 5000, "output": "range"}, pa.int64(), -1, "-5000--1"),
        ({"width": 5000, "output": "midpoint"}, pa.int64(), 52345, 52500),
        ({"width": 5, "output": "midpoint"}, pa.int64(), 7, 7.5),
        ({"width": "0.5", "output": "range"}, pa.float64(), 0.75, "0.5-1.0"),
        ({"width": "0.5"}, pa.int64(), 7, 7.0),
        ({"width": 10, "start": 5}, pa.int64(), 4, -5),
        ({"width": "0.1", "output": "range"}, pa.float64(), float("nan"), "nan"),
        ({"width": "0.1"}, pa.float64(), -0.0, 0.0),
        ({"width": "0.005", "output": "range"}, pa.decimal128(10, 2), Decimal("1.23"), "1.230-1.235"),
        ({"width": 5, "output": "range"}, pa.decimal64(10, 2), Decimal("1.23"), "0-4"),
        ({"width": 5, "output": "midpoint"}, pa.decimal256(50, 2), Decimal("1.23"), Decimal("2.50")),
        ({"width": 1000, "output": "midpoint"}, pa.int8(), 3, 127),
        ({"width": 1000, "output": "midpoint"}, pa.int8(), -3, 127),
        ({"width": 10, "output": "range"}, pa.int64(), 2**63 - 1, "9223372036854775800-9223372036854775809"),
        ({"width": "0.25", "output": "midpoint"}, pa.decimal64(10, 2), Decimal("1.23"), Decimal("1.125")),
    ],
)
def test_examples(options, kind, value, expected):
    assert treat_all(Bin(**options), value, None, kind=kind) == [expected, None]


def test_the_float_just_below_an_end_is_in_the_bin_below():
    below = [math.nextafter(end, 0) for end in (0.3, 0.9)]

    assert treat_all(Bin(width="0.1"), *below, kind=pa.float64()) == [0.2, 0.8]


def test_a_sum_of_tenths_is_not_in_the_bin_below():
    assert treat_all(Bin(width="0.1"), 0.3, 0.7, 0.1 + 0.2, kind=pa.float64()) == [0.3, 0.7, 0.3]


def test_text_is_read_as_numbers():
    assert Bin(width=1).asks() == pa.float64()


@pytest.mark.parametrize("width", [0, -1, "nan", 1e16])
def test_refuses_widths_that_make_no_bins(width):
    with pytest.raises(ValidationError):
        Bin(width=width)
