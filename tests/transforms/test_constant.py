from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.constant import Constant
from tests.transforms.columns import treat, treat_all


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("XX", pa.string(), "XX"),
        (5, pa.string(), "5"),
        (True, pa.string(), "true"),
        (5, pa.int8(), 5),
        ("5", pa.float64(), 5.0),
        (1.5, pa.decimal128(5, 2), Decimal("1.50")),
        (1.5, pa.decimal64(5, 2), Decimal("1.50")),
        (True, pa.bool_(), True),
        (date(2020, 2, 29), pa.date32(), date(2020, 2, 29)),
        ("2020-02-29", pa.date32(), date(2020, 2, 29)),
    ],
)
def test_repeats_the_value_in_the_columns_type(value, kind, expected):
    column = pa.concat_arrays([pa.nulls(1, kind), pa.array([expected], kind)])

    assert treat(Constant(value=value), column).to_pylist() == [None, expected]
    assert treat(Constant(value=value, fill_nulls=True), column).to_pylist() == [expected, expected]


@pytest.mark.parametrize(
    ("value", "kind"), [("secret", pa.int8()), (300, pa.int8()), ("x", pa.bool_()), (1.5, pa.int64())]
)
def test_a_value_that_does_not_fit_is_refused_before_a_row_is_read(value, kind):
    with pytest.raises(UnsupportedType, match='column "c"') as raised:
        Constant(value=value).check_takes(kind, "c")
    assert "secret" not in str(raised.value)


def test_filling_nulls_leaks_nothing():
    assert Constant(value=1, fill_nulls=True).leak() == "nothing"
    assert Constant(value=1).leak() == "which values are missing"
    assert treat_all(Constant(value=""), "a", None) == ["", None]
