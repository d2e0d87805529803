import pyarrow as pa
import pytest

from pydp_cli.transforms.drop import Drop


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.list_(pa.int8()), pa.struct({"a": pa.string()})], ids=str)
def test_gives_nothing_for_any_type(kind):
    Drop().check_takes(kind, "note")

    assert Drop().gives(kind) is None
