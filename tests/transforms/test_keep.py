import pyarrow as pa
from hypothesis import given

from pydp_cli.transforms.keep import Keep
from tests.transforms.columns import text_columns, treat


@given(text_columns)
def test_leaves_everything_as_it_is(column):
    assert treat(Keep(), column).equals(column)


def test_takes_nested_types():
    column = pa.array([[1, None], None, []])

    assert treat(Keep(), column) is not None
    assert Keep().leak() == "everything"
