"""AWS KMS as a protector, against moto's server."""

import json
import sys

import pytest

from pydp_cli.errors import KeyringError, MissingExtra, TemporaryFailure, UsageError, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.ring_file import canonical
from pydp_cli.keys.unlock import Unlock

boto3 = pytest.importorskip("boto3", reason="the extra `aws` is not installed")
moto_server = pytest.importorskip("moto.server", reason="moto, which stands in for AWS, is not installed")


@pytest.fixture(scope="module")
def endpoint():
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def kms(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client = boto3.client("kms", region_name="eu-central-1")
    yield client
    client.close()


@pytest.fixture
def key(kms):
    return kms.create_key(Description="pydp")["KeyMetadata"]["Arn"]


def test_kms_unlocks_the_ring(place, key):
    changes.add_protector(place.open(), protect("aws-kms", Unlock(), {"key": key}, label="production"))

    assert open_keyring(place.path, Unlock()).root == place.open().root


def test_the_ring_names_the_key_and_no_endpoint(place, key, endpoint):
    changes.add_protector(place.open(), protect("aws-kms", Unlock(), {"key": key}))

    text = place.path.read_text(encoding="utf-8")

    assert key in text
    assert endpoint not in text
    assert "testing" not in text


def test_another_key_or_ciphertext_is_refused(place, key, kms):
    changes.add_protector(place.open(), protect("aws-kms", Unlock(), {"key": key}))
    other = kms.create_key()["KeyMetadata"]["Arn"]
    document = json.loads(place.path.read_bytes())

    for field, value in (("key", other), ("ciphertext", "AAAA"), ("key", key[:-4] + "0000")):
        slots = [document["protectors"][0], {**document["protectors"][1], field: value}]
        place.path.write_bytes(canonical({**document, "protectors": slots}))
        with pytest.raises((WrongKey, TemporaryFailure)):
            open_keyring(place.path, Unlock())


def test_a_key_is_named_by_its_full_arn(place):
    for options in ({}, {"key": "alias/pydp"}, {"key": "arn:aws:s3:::bucket"}, {"key": "x", "region": "y"}):
        with pytest.raises(UsageError, match="full ARN"):
            protect("aws-kms", Unlock(), options)


def test_a_key_in_a_ring_that_is_no_arn_is_never_used(place, key):
    changes.add_protector(place.open(), protect("aws-kms", Unlock(), {"key": key}))
    document = json.loads(place.path.read_bytes())
    document["protectors"][1]["key"] = "http://evil.example"
    place.path.write_bytes(canonical(document))

    with pytest.raises(KeyringError, match="malformed"):
        open_keyring(place.path, Unlock())


def test_kms_that_is_down_is_temporary(place, key, monkeypatch):
    changes.add_protector(place.open(), protect("aws-kms", Unlock(), {"key": key}))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with pytest.raises(TemporaryFailure, match="cannot be reached"):
        open_keyring(place.path, Unlock())


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(MissingExtra, match="aws") as raised:
        protect("aws-kms", Unlock(), {"key": "arn:aws:kms:eu-central-1:123456789012:key/abc"})

    assert "pydp-cli[aws]" in raised.value.hint
