import pytest

from tests.keys.rings import make_place


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)
