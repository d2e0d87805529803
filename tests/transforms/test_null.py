import pyarrow as pa
import pytest

from pydp_cli.transforms.null import Null
from tests.transforms.columns import treat


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, ""]),
        pa.array([1, 2]),
        pa.array([[1], None]),
        pa.array([{"a": 1}]),
        pa.array([], pa.date32()),
    ],
    ids=lambda column: str(column.type),
)
def test_empties_a_column_of_any_type(column):
    result = treat(Null(), column)

    assert result.null_count == len(column)
    assert Null().makes_null()
