"""Recipients: sealed to a public key, opened by its identity alone."""

import pytest

from pydp_cli.errors import KeyringError, OutputError, Refused, UsageError, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.identities import (
    create_identity_file,
    new_identity,
    open_sealed,
    parse_recipient,
    read_identity_file,
    read_recipient,
    seal_to,
)
from pydp_cli.keys.keyring import create_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.unlock import Unlock

KINDS = ["x25519", "mlkem768x25519"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sealed_opens_with_the_identity_and_the_same_info_only(kind):
    identity, other = new_identity(kind), new_identity(kind)
    sealed = seal_to(identity.recipient(), b"secret" * 5, b"info")

    assert open_sealed(identity, sealed, b"info") == b"secret" * 5
    for opener, altered, info in (
        (other, sealed, b"info"),
        (identity, sealed, b"other"),
        (identity, sealed[:-1], b"info"),
        (identity, b"", b"info"),
        (identity, bytes([sealed[0] ^ 1]) + sealed[1:], b"info"),
    ):
        with pytest.raises(WrongKey):
            open_sealed(opener, altered, info)


@pytest.mark.parametrize("kind", KINDS)
def test_an_identity_opens_the_ring_that_was_protected_for_its_recipient(place, tmp_path, kind):
    recipient = create_identity_file(tmp_path / "id", kind)
    create_identity_file(tmp_path / "other", kind)

    changes.add_protector(place.open(), protect("recipient", Unlock(), {"recipient": str(recipient)}, label="bob"))

    assert open_keyring(place.path, Unlock(identity=tmp_path / "id")).root == place.open().root
    with pytest.raises(WrongKey):
        open_keyring(place.path, Unlock(identity=tmp_path / "other"))


def test_a_recipient_follows_to_a_new_root_without_being_there(place, tmp_path):
    recipient = create_identity_file(tmp_path / "id")
    ring = changes.add_protector(place.open(), protect("recipient", Unlock(), {"recipient": str(recipient)}))

    changes.new_root(ring, [place.unlock])

    assert open_keyring(place.path, Unlock(identity=tmp_path / "id")).root == place.open().root


@pytest.mark.parametrize("kind", KINDS)
def test_an_identity_file_is_private_and_shows_its_recipient(tmp_path, kind):
    path = tmp_path / "id"

    recipient = create_identity_file(path, kind)

    assert path.stat().st_mode & 0o777 == 0o600
    assert str(recipient) in path.read_text(encoding="ascii")
    assert read_identity_file(path).recipient() == recipient == parse_recipient(str(recipient))
    assert bytes(read_identity_file(path).private).hex() not in repr(read_identity_file(path))
    with pytest.raises(OutputError):
        create_identity_file(path, kind)
    path.chmod(0o644)
    with pytest.raises(KeyringError, match="can be read by others"):
        read_identity_file(path)


def test_a_recipient_is_named_by_its_text_or_by_a_file(tmp_path):
    recipient = new_identity("x25519").recipient()
    (tmp_path / "bob.pub").write_text(f"# Bob\n{recipient}\n", encoding="ascii")

    assert read_recipient(str(recipient)) == read_recipient(str(tmp_path / "bob.pub")) == recipient


def test_a_mistyped_recipient_is_refused(tmp_path):
    text = str(new_identity("x25519").recipient())

    for wrong in (
        text[:-1],
        text.swapcase(),
        text[:20] + ("A" if text[20] != "A" else "B") + text[21:],
        "pydp-dsa:AA",
        "pydp-",
    ):
        with pytest.raises(KeyringError):
            read_recipient(wrong)
    with pytest.raises(UsageError, match="cannot be read"):
        read_recipient(str(tmp_path / "none"))


def test_an_identity_given_for_a_recipient_is_refused_without_quoting_it(tmp_path):
    create_identity_file(tmp_path / "id", "x25519")
    secret = (tmp_path / "id").read_text(encoding="ascii").splitlines()[-1]

    with pytest.raises(UsageError, match="secret") as raised:
        read_recipient(secret)

    assert secret[-20:] not in f"{raised.value} {raised.value.hint}"


def test_a_ring_that_anyone_could_have_made_does_not_take_ours_place(place, tmp_path):
    recipient = create_identity_file(tmp_path / "id")
    mine = protect("recipient", Unlock(), {"recipient": str(recipient)})
    changes.add_protector(place.open(), mine)
    unlock = Unlock(identity=tmp_path / "id")
    open_keyring(place.path, unlock, seen=place.seen)
    place.path.unlink()
    create_keyring(place.path, protect("recipient", Unlock(), {"recipient": str(recipient)}))

    with pytest.raises(Refused, match="another keyring was used under this name"):
        open_keyring(place.path, unlock, seen=place.seen)
