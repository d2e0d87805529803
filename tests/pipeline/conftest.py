import pytest

from tests.pipeline.rings import new_keyring


@pytest.fixture(scope="session")
def keyring(tmp_path_factory):
    return new_keyring(tmp_path_factory.mktemp("ring"))
