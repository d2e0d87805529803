"""Roll-back: a keyring older than one that this machine used is refused."""

import pytest

from pydp_cli.errors import KeyringError, Refused
from pydp_cli.keys import changes, keyring
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.ring_file import canonical


def note_of(place):
    (note,) = place.seen.iterdir()
    return note


def test_an_older_generation_is_refused_with_what_to_do(place):
    old = place.path.read_bytes()
    changes.new_version(place.open(), "cell")
    place.path.write_bytes(old)

    with pytest.raises(Refused, match=r"older than one that was used before \(generation 1, seen 3\)") as raised:
        place.open()

    assert raised.value.exit_code == 3
    assert str(note_of(place)) in raised.value.hint
    note_of(place).unlink()
    assert place.open().generation == 1


def test_a_generation_that_another_process_writes_meanwhile_is_read_and_not_refused(place, monkeypatch):
    other = place.open()
    unwrap = keyring.unwrap_root

    def slow(slots, unlock):
        opened = unwrap(slots, unlock)
        monkeypatch.setattr(keyring, "unwrap_root", unwrap)
        changes.new_version(other, "cell")
        return opened

    monkeypatch.setattr(keyring, "unwrap_root", slow)

    ring = place.open()

    assert ring.generation == 3
    assert ring.primary("cell").version == 2


def test_an_older_generation_is_refused_for_changes_too(place):
    old, ring = place.path.read_bytes(), place.open()
    changes.new_version(ring, "cell")
    place.path.write_bytes(old)

    with pytest.raises(Refused, match="older"):
        changes.new_version(ring, "cell")

    assert place.path.read_bytes() == old


def test_an_open_ring_does_not_fall_back_where_nothing_is_remembered(place):
    old, ring = place.path.read_bytes(), open_keyring(place.path, place.unlock)
    ring = changes.new_version(ring, "cell")
    place.path.write_bytes(old)

    with pytest.raises(Refused, match="older generation meanwhile"):
        changes.new_version(ring, "file")


def test_a_newer_generation_from_elsewhere_is_remembered(place):
    changes.new_version(open_keyring(place.path, place.unlock), "cell")
    before = place.path.with_name("pydp.keyring~").read_bytes()
    place.open()
    place.path.write_bytes(before)

    with pytest.raises(Refused, match="older"):
        place.open()


def test_an_altered_ring_does_not_move_the_mark(place):
    import json

    document = json.loads(place.path.read_bytes())
    place.path.write_bytes(canonical({**document, "generation": 1000}))
    noted = note_of(place).read_bytes()

    with pytest.raises(Refused, match="MAC"):
        place.open()

    assert note_of(place).read_bytes() == noted


def test_the_note_is_private_and_names_no_key(place):
    note = note_of(place)

    assert note.stat().st_mode & 0o777 == 0o600
    assert place.seen.stat().st_mode & 0o777 == 0o700
    assert sorted(__import__("json").loads(note.read_bytes())) == ["commands", "generation", "path"]


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"generation": "x"}', b'{"generation": 1, "path": 1}', b"\xff"])
def test_a_damaged_note_is_an_error_and_not_forgotten(place, raw):
    note_of(place).write_bytes(raw)

    with pytest.raises(KeyringError, match="damaged"):
        place.open()


def test_an_unchanged_ring_writes_nothing(place):
    before = note_of(place).stat().st_mtime_ns

    place.open()

    assert note_of(place).stat().st_mtime_ns == before
