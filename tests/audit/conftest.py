import pytest

from pydp_cli.audit.signing import signer_of
from tests.keys.rings import make_place


@pytest.fixture(scope="session")
def keyring(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("ring")).open()


@pytest.fixture(scope="session")
def signer(keyring):
    return signer_of(keyring)
