"""Files of age: the test kit of its specification, and other implementations both ways."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import zlib
from base64 import b64decode
from pathlib import Path

import pytest

from pydp_cli.crypto.age_format import (
    decrypt_age,
    encrypt_age,
    unwrap_with_age_identities,
    unwrap_with_passphrase,
    wrap_to_age_recipient,
    wrap_with_passphrase,
)
from pydp_cli.errors import KeyringError, Refused, Tampered, UsageError, WrongKey

KIT = json.loads(gzip.decompress((Path(__file__).parent / "vectors" / "age_testkit.json.gz").read_bytes()))
AGE = shutil.which("age")
SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000]


def sealed(plain, wraps):
    sink = io.BytesIO()
    encrypt_age(io.BytesIO(plain), sink, wraps)
    return sink.getvalue()


def opened(raw, unwraps):
    sink = io.BytesIO()
    decrypt_age(io.BytesIO(raw), sink, unwraps)
    return sink.getvalue()


def vector(name):
    head, _, body = b64decode(KIT[name]).partition(b"\n\n")
    fields = {}
    for line in head.decode().splitlines():
        key, _, value = line.partition(": ")
        fields.setdefault(key, []).append(value)
    return fields, zlib.decompress(body) if "compressed" in fields else body


@pytest.mark.parametrize("name", KIT)
def test_the_test_kit_is_read_as_it_should_be(name):
    fields, body = vector(name)
    unwraps = []
    for identity in fields.get("identity", []):
        if identity.startswith("AGE-SECRET-KEY-1"):  # not the hybrid ones
            unwraps += unwrap_with_age_identities(identity)
    unwraps += [unwrap_with_passphrase(lambda text=text: text) for text in fields.get("passphrase", [])]
    foreign = "armored" in fields or not unwraps
    if fields["expect"] == ["success"] and not foreign:
        assert hashlib.sha256(opened(body, unwraps)).hexdigest() == fields["payload"][0]
        return

    sink = io.BytesIO()
    with pytest.raises(Refused):
        decrypt_age(io.BytesIO(body), sink, unwraps)

    assert len(sink.getvalue()) % 65_536 == 0  # whole chunks that are authentic, and not what fails


@pytest.fixture(scope="module")
def pair():
    """An identity of age and its recipient, made by another implementation."""
    pyrage = pytest.importorskip("pyrage")
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_and_pydp_read_each_other(pair, size):
    import pyrage

    identity, recipient = pair
    plain = os.urandom(size)

    raw = sealed(plain, [wrap_to_age_recipient(recipient)])
    assert pyrage.decrypt(raw, [pyrage.x25519.Identity.from_str(identity)]) == plain
    back = pyrage.encrypt(plain, [pyrage.x25519.Recipient.from_str(recipient)])
    assert opened(back, unwrap_with_age_identities(identity)) == plain


def test_pyrage_and_pydp_read_each_others_passphrases():
    pyrage = pytest.importorskip("pyrage")

    assert pyrage.passphrase.decrypt(sealed(b"plain", [wrap_with_passphrase("open", 10)]), "open") == b"plain"
    salted = sealed(b"plain", [wrap_with_passphrase("open", 4)])
    assert opened(salted, [unwrap_with_passphrase(lambda: "open")]) == b"plain"
    with pytest.raises(WrongKey):
        opened(salted, [unwrap_with_passphrase(lambda: "shut")])


@pytest.mark.skipif(AGE is None, reason="the age command is not installed (apt install age)")
@pytest.mark.parametrize("size", [0, 65_536, 200_000])
def test_the_age_command_and_pydp_read_each_other(pair, tmp_path, size):
    identity, recipient = pair
    plain = os.urandom(size)
    (tmp_path / "id").write_text(identity + "\n")
    (tmp_path / "ours.age").write_bytes(sealed(plain, [wrap_to_age_recipient(recipient)]))

    read = subprocess.run([AGE, "-d", "-i", tmp_path / "id", tmp_path / "ours.age"], capture_output=True, check=True)
    made = subprocess.run([AGE, "-r", recipient], input=plain, capture_output=True, check=True)

    assert read.stdout == plain
    assert opened(made.stdout, unwrap_with_age_identities(f"# a comment\n{identity}\n")) == plain


def test_every_altered_byte_of_a_file_is_refused(pair):
    identity, recipient = pair
    raw = sealed(b"plain", [wrap_to_age_recipient(recipient)])

    for position in range(len(raw)):
        altered = bytearray(raw)
        altered[position] ^= 1
        with pytest.raises(Refused):
            opened(altered, unwrap_with_age_identities(identity))
        with pytest.raises(Refused):
            opened(raw[:position], unwrap_with_age_identities(identity))


def test_an_extended_or_rearranged_payload_is_refused(pair):
    identity, recipient = pair
    raw = sealed(os.urandom(65_536 * 3), [wrap_to_age_recipient(recipient)])
    start, size = len(raw) - 3 * 65_552, 65_552
    first, second, third = (raw[start + size * at : start + size * (at + 1)] for at in range(3))

    for body in (first + second + third + b"\0", second + first + third, first + second, first + third, first + first):
        with pytest.raises(Tampered):
            opened(raw[:start] + body, unwrap_with_age_identities(identity))


def test_the_work_that_a_passphrase_may_ask_for_is_bounded():
    raw = sealed(b"plain", [wrap_with_passphrase("open", 12)])

    with pytest.raises(Refused, match="more work"):
        opened(raw, [unwrap_with_passphrase(lambda: "open", 11)])


def test_a_passphrase_and_a_recipient_do_not_go_together(pair):
    with pytest.raises(UsageError):
        sealed(b"", [wrap_with_passphrase("a", 4), wrap_to_age_recipient(pair[1])])


def test_what_is_mistyped_is_told_and_not_quoted(pair):
    identity, recipient = pair
    for text in (recipient[:-1], recipient.replace("age1", "age2"), identity, ""):
        with pytest.raises(KeyringError):
            wrap_to_age_recipient(text)
    for text in (identity[:-1], recipient, "", "# nothing"):
        with pytest.raises(KeyringError) as caught:
            unwrap_with_age_identities(text)
        assert "AGE-SECRET" not in str(caught.value)


def test_an_armored_file_is_told_apart():
    with pytest.raises(Refused, match="armored"):
        opened(b"-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n", [])
