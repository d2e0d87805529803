import math
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.transforms.round import Round
from tests.transforms.columns import columns, floats, integers, treat, treat_all


@given(columns(integers, pa.int64()), st.integers(1, 10**15) | st.integers(1, 20))
def test_integers_go_to_the_nearest_multiple_and_halves_to_the_even_one(column, to):
    result = treat(Round(to=to), column).to_pylist()

    for before, after in zip(column.to_pylist(), result, strict=True):
        expected = None if before is None else round(Fraction(before, to)) * to
        assert after == (None if expected is None else min(max(expected, -(2**63)), 2**63 - 1))


@given(columns(integers, pa.int64()), st.integers(-15, 15))
def test_integers_stay_integers(column, digits):
    result = treat(Round(digits=digits), column)

    assert result.type == pa.int64()
    if digits >= 0:
        assert result.equals(column)


@given(columns(st.decimals(-999, 999, places=3), pa.decimal128(6, 3)), st.integers(-2, 4))
def test_decimals_are_rounded_exactly(column, digits):
    result = treat(Round(digits=digits), column).to_pylist()

    for before, after in zip(column.to_pylist(), result, strict=True):
        if before is None:
            assert after is None
        else:
            expected = before.quantize(Decimal(1).scaleb(-min(digits, 3)), ROUND_HALF_EVEN)
            assert after == max(min(expected, Decimal("999.999")), Decimal("-999.999"))


@given(columns(floats, pa.float64()), st.integers(0, 4))
def test_floats_go_to_the_nearest_as_python_rounds(column, digits):
    result = treat(Round(digits=digits), column).to_pylist()

    for before, after in zip(column.to_pylist(), result, strict=True):
        if before is None or not math.isfinite(before):
            assert str(after) == str(before)
        elif abs(before) < 1e9:
            # a value that lies within rounding error of a half may go to either side
            step = 10.0**-digits
            assert after == round(before, digits) or abs(abs(before - after) - step / 2) <= 1e-12 * max(1, abs(before))
        else:
            assert abs(after - before) <= 1e-6 * abs(before)


@pytest.mark.parametrize(
    ("options", "kind", "value", "expected"),
    [
        ({"digits": -1}, pa.int64(), 15, 20),
        ({"digits": -1}, pa.int8(), 127, 127),
        ({"to": 10}, pa.int64(), 2**63 - 2, 2**63 - 1),
        ({"to": 10}, pa.uint64(), 2**64 - 1, 2**64 - 1),
        ({"to": 10}, pa.int64(), -(2**63), -(2**63)),
        ({"to": 5}, pa.int64(), 7, 5),
        ({"to": "2.5"}, pa.int64(), 6, 5.0),
        ({"digits": 1}, pa.float64(), 0.25, 0.2),
        ({"digits": 2}, pa.float64(), 1e300, 1e300),
        ({"digits": 2}, pa.float64(), -0.001, 0.0),
        ({"digits": 0}, pa.float32(), 2.5, 2.0),
        ({"digits": 3}, pa.decimal64(5, 2), Decimal("1.25"), Decimal("1.25")),
        ({"to": "0.005"}, pa.decimal128(5, 2), Decimal("1.25"), Decimal("1.250")),
    ],
)
def test_examples(options, kind, value, expected):
    assert treat_all(Round(**options), value, None, kind=kind) == [expected, None]


def test_text_is_read_as_numbers():
    assert Round(digits=1).asks() == pa.float64()


@pytest.mark.parametrize("options", [{}, {"digits": 1, "to": 5}, {"to": 0}, {"digits": 16}])
def test_needs_one_of_digits_and_to(options):
    with pytest.raises(ValidationError):
        Round(**options)
