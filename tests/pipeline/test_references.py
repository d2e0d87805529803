import pyarrow as pa
import pytest

from pydp_cli.pipeline.references import digest_in, reference_key, reference_keys
from pydp_cli.policy.model import Identity
from tests.keys.rings import make_place


@pytest.fixture(scope="module")
def keyring(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("ring")).open()


def test_a_reference_is_the_same_each_time_and_tells_nothing(keyring):
    key = reference_key(keyring, "email")
    reference = key.reference("anna@example.com")
    assert reference == reference_key(keyring, "email").reference("anna@example.com")
    assert "anna" not in reference
    assert reference != key.reference("bo@example.com")
    assert digest_in(reference) == key.hashes(pa.array(["anna@example.com"]))[0].as_py()


def test_references_of_two_identities_cannot_be_linked(keyring):
    assert reference_key(keyring, "a").reference("1")[9:] != reference_key(keyring, "b").reference("1")[9:]


def test_a_column_is_hashed_as_it_compares(keyring):
    key = reference_key(keyring, "email")
    identity = Identity(normalize=("strip", "casefold"), shared=("info@x.org",))
    column = pa.array([" A@x.org", None, "", "INFO@x.org", "a@x.org"]).slice(0)
    hashed = key.of_column(column, identity)
    assert hashed.is_valid().to_pylist() == [True, False, False, False, True]
    assert hashed[0] == hashed[4]


def test_old_references_are_looked_for_under_their_own_key(keyring):
    reference = reference_key(keyring, "email").reference("x")
    assert len(reference_keys(keyring, "email", [reference])) == 1


@pytest.mark.parametrize("text", ["", "x", "0011-22", "00112233-zz"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ValueError, match=r"reference|fromhex"):
        digest_in(text)
