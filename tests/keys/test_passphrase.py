"""Passphrases: stretched as RFC 9106 says, read from files and descriptors, never shown."""

import os
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from pydp_cli.errors import KeyringError, UsageError, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.keyring import create_keyring, open_keyring
from pydp_cli.keys.passphrase import Stretching, stretching_of
from pydp_cli.keys.protectors import PassphraseProtector, protect
from pydp_cli.keys.unlock import Unlock, passphrase_from_fd, passphrase_from_file


def argon2id_vectors():
    """Give the vectors of cryptography-vectors (from RFC 9106 and the argon2 tool) without a pepper or extra data."""
    text = (Path(cryptography_vectors.__file__).parent / "KDF" / "argon2id.txt").read_text(encoding="utf-8")
    for block in text.split("COUNT = ")[1:]:
        fields = dict(line.split(" =", 1) for line in block.splitlines() if " =" in line)
        if not fields.get("secret", "").strip() and not fields.get("ad", "").strip() and int(fields["length"]) == 32:
            yield {name: value.strip() for name, value in fields.items()}


def test_stretches_as_argon2id_does():
    vectors = list(argon2id_vectors())
    assert len(vectors) == 2

    for vector in vectors:
        stretching = Stretching(
            bytes.fromhex(vector["salt"]), int(vector["memcost"]), int(vector["iter"]), int(vector["lanes"])
        )
        assert stretching.stretch(bytes.fromhex(vector["pass"])).hex() == vector["output"]


def test_the_primitive_gives_what_rfc_9106_section_5_3_shows():
    tag = Argon2id(
        salt=b"\2" * 16, length=32, iterations=3, lanes=4, memory_cost=32, secret=b"\3" * 8, ad=b"\4" * 12
    ).derive(b"\1" * 32)

    assert tag.hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


def test_a_slot_holds_the_recommended_costs_and_a_new_salt():
    protector = PassphraseProtector()

    slots = [protector.make({}, Unlock(passphrase=lambda: "x"))[0] for _ in range(2)]

    assert (slots[0]["memory_kib"], slots[0]["passes"], slots[0]["lanes"]) == (65536, 3, 4)
    assert slots[0]["salt"] != slots[1]["salt"]
    assert stretching_of(slots[0]).fields() == slots[0]


def test_a_wrong_passphrase_is_exit_3_and_is_not_shown(tmp_path):
    path = tmp_path / "ring"
    create_keyring(path, protect("passphrase", Unlock(passphrase=lambda: "swordfish-one")))

    with pytest.raises(WrongKey) as raised:
        open_keyring(path, Unlock(passphrase=lambda: "swordfish-two"))

    assert raised.value.exit_code == 3
    assert "swordfish" not in f"{raised.value!r} {raised.value} {raised.value.hint}"


def test_the_passphrase_is_asked_for_once_for_all_protectors(place):
    ring = changes.add_protector(place.open(), protect("passphrase", Unlock(passphrase=lambda: "of alice")))
    changes.add_protector(ring, protect("passphrase", Unlock(passphrase=lambda: "of bob")))
    asked = []

    def ask():
        asked.append(1)
        return "of bob"

    assert open_keyring(place.path, Unlock(passphrase=ask)).opened_by
    assert len(asked) == 1


def test_a_key_file_at_hand_spares_the_question(place):
    path = place.path.with_name("other.keyring")
    ring = create_keyring(path, protect("passphrase", Unlock(passphrase=lambda: "of alice")))
    changes.add_protector(ring, protect("key-file", place.unlock))

    def ask():
        raise AssertionError("asked")

    open_keyring(path, Unlock(key_file=place.unlock.key_file, passphrase=ask))


def test_composed_and_decomposed_letters_are_one_passphrase(tmp_path):
    path = tmp_path / "ring"
    create_keyring(path, protect("passphrase", Unlock(passphrase=lambda: "caf\u00e9")))

    assert open_keyring(path, Unlock(passphrase=lambda: "cafe\u0301"))


def test_an_empty_passphrase_is_refused_and_an_empty_answer_is_none(place):
    with pytest.raises(UsageError, match="empty"):
        protect("passphrase", Unlock(passphrase=lambda: ""))
    with pytest.raises(UsageError, match="no passphrase"):
        protect("passphrase", Unlock())
    changes.add_protector(place.open(), protect("passphrase", Unlock(passphrase=lambda: "of alice")))
    with pytest.raises(KeyringError, match="locked"):
        open_keyring(place.path, Unlock(passphrase=lambda: ""))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(b"a b\n", "a b"), (b"a b\r\n", "a b"), (b"a b", "a b"), (b" a\n\n", " a\n"), ("ü\n".encode(), "ü")],
)
def test_a_file_or_descriptor_gives_the_passphrase_without_its_last_newline(tmp_path, raw, expected):
    path = tmp_path / "phrase"
    path.write_bytes(raw)
    path.chmod(0o600)
    reading, writing = os.pipe()
    os.write(writing, raw)
    os.close(writing)

    assert passphrase_from_file(path) == passphrase_from_fd(reading) == expected


def test_a_passphrase_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "phrase"
    path.write_text("swordfish\n", encoding="utf-8")
    path.chmod(0o644)

    with pytest.raises(KeyringError, match="can be read by others"):
        passphrase_from_file(path)


@pytest.mark.parametrize("raw", [b"", b"\n", b"sword\xfffish", b"x" * 70_000])
def test_what_is_no_passphrase_is_refused_without_quoting_it(tmp_path, raw):
    path = tmp_path / "phrase"
    path.write_bytes(raw)
    path.chmod(0o600)

    with pytest.raises(KeyringError) as raised:
        passphrase_from_file(path)

    assert "sword" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_a_closed_descriptor_is_an_error():
    reading, writing = os.pipe()
    os.close(writing)
    os.close(reading)

    with pytest.raises(KeyringError, match="file descriptor"):
        passphrase_from_fd(reading)
