"""Backups: a copy that opens, and the proof that it opens what the ring does today."""

import pytest

from pydp_cli.errors import KeyringError, OutputError, Refused, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.backup import backup_keyring, verify_backup
from pydp_cli.keys.keyring import create_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.unlock import Unlock, create_key_file


@pytest.fixture
def copy(tmp_path):
    return tmp_path / "backup.keyring"


def test_a_backup_opens_todays_data(place, copy):
    backup_keyring(place.open(), copy)

    backup = verify_backup(place.open(), copy, place.unlock)

    assert backup.column_key("cell", "orders") == place.open().column_key("cell", "orders")
    assert copy.read_bytes() == place.path.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_backup_is_never_made_over_another_file(place, copy):
    copy.write_text("mine", encoding="utf-8")

    with pytest.raises(OutputError, match="exists already"):
        backup_keyring(place.open(), copy)

    assert copy.read_text(encoding="utf-8") == "mine"


def test_a_backup_that_lacks_a_key_is_refused_by_its_id(place, copy):
    backup_keyring(place.open(), copy)
    ring = changes.new_version(place.open(), "cell")

    with pytest.raises(Refused, match=f"lacks 1 of 6 keys: {ring.primary('cell').key_id.hex()}"):
        verify_backup(ring, copy, place.unlock)


def test_a_backup_with_a_key_that_was_destroyed_since_is_refused(place, copy):
    first = place.open().primary("cell").key_id
    ring = changes.disable(changes.new_version(place.open(), "cell"), first)
    backup_keyring(ring, copy)
    ring = changes.destroy(ring, first)

    with pytest.raises(Refused, match=f"still has keys that the keyring has not: {first.hex()}") as raised:
        verify_backup(ring, copy, place.unlock)

    assert "destroy this backup" in raised.value.hint


def test_a_backup_of_an_older_generation_is_refused(place, copy):
    backup_keyring(place.open(), copy)
    ring = changes.add_protector(place.open(), protect("passphrase", Unlock(passphrase=lambda: "x" * 9)))

    with pytest.raises(Refused, match="of generation 1, the keyring of 2"):
        verify_backup(ring, copy, place.unlock)


def test_a_backup_of_another_ring_is_refused(place, copy):
    create_keyring(copy, protect("key-file", place.unlock))

    with pytest.raises(Refused, match="another keyring"):
        verify_backup(place.open(), copy, place.unlock)


def test_a_backup_that_does_not_open_is_refused(place, copy, tmp_path):
    backup_keyring(place.open(), copy)
    create_key_file(tmp_path / "other.key")

    with pytest.raises(WrongKey):
        verify_backup(place.open(), copy, Unlock(key_file=tmp_path / "other.key"))
    copy.write_bytes(copy.read_bytes()[:-5])
    with pytest.raises((KeyringError, Refused)):
        verify_backup(place.open(), copy, place.unlock)


def test_verifying_an_older_backup_does_not_touch_what_was_seen(place, copy):
    backup_keyring(place.open(), copy)
    ring = changes.new_version(place.open(), "cell")

    with pytest.raises(Refused):
        verify_backup(ring, copy, place.unlock)

    assert place.open().generation == 3
    assert open_keyring(copy, place.unlock).generation == 1
