"""Changes to a keyring: versions, states, protectors, a new root."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pydp_cli.errors import KeyringError, Locked, Refused, UsageError, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.keyring import create_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.ring_file import locked
from pydp_cli.keys.unlock import Unlock, create_key_file
from tests.keys.rings import clock

ALICE = Unlock(passphrase=lambda: "correct horse battery staple")


def states(ring, name):
    return [version.state for version in ring.keys[name]]


def test_a_new_version_takes_over_and_the_old_one_still_reads(place):
    ring = changes.new_version(place.open(), "cell")

    assert states(ring, "cell") == ["enabled", "primary"]
    assert place.open() == ring


def test_a_new_version_is_on_the_disk_before_it_is_primary(place):
    ring = changes.add_pending(place.open(), "cell")

    assert states(place.open(), "cell") == ["primary", "pending"]
    with pytest.raises(WrongKey, match="never taken into use"):
        ring.by_id(ring.keys["cell"][-1].key_id)


def test_a_primary_key_is_not_disabled_before_another_takes_over(place):
    ring = place.open()

    for step in (changes.disable, changes.destroy, changes.enable):
        with pytest.raises(UsageError, match="is primary and cannot become") as raised:
            step(ring, ring.primary("cell").key_id)
        assert raised.value.hint == "make another version primary first: `pydp keys new-version cell`"
    assert place.open().generation == 1


def test_an_older_version_can_take_over_again(place):
    first = place.open().primary("pseudonym").key_id
    ring = changes.new_version(place.open(), "pseudonym")

    ring = changes.make_primary(ring, first)

    assert states(ring, "pseudonym") == ["primary", "enabled"]


def test_a_destroyed_key_is_gone_and_its_tombstone_says_when(place):
    first = place.open().primary("cell")
    ring = changes.disable(changes.new_version(place.open(), "cell"), first.key_id)
    enabled = changes.disable(changes.enable(ring, first.key_id), first.key_id)

    ring = changes.destroy(enabled, first.key_id, proof="5f" * 32, clock=clock)

    tombstone = place.open().find(first.key_id)
    assert (tombstone.state, tombstone.secret, tombstone.proof) == ("destroyed", None, "5f" * 32)
    with pytest.raises(WrongKey, match="was destroyed on 2026-03-01T12:00:00"):
        ring.column_key("cell", "orders", version=first.key_id)
    for step in (changes.enable, changes.make_primary, changes.disable, changes.destroy):
        with pytest.raises(UsageError, match="is destroyed and cannot become"):
            step(ring, first.key_id)


def test_no_copy_of_a_destroyed_key_stays_beside_the_ring(place):
    first = place.open().primary("cell")
    ring = changes.disable(changes.new_version(place.open(), "cell"), first.key_id)
    previous = place.path.with_name("pydp.keyring~")
    assert open_keyring(previous, place.unlock).find(first.key_id).secret == first.secret

    changes.destroy(ring, first.key_id)

    assert not previous.exists()


def test_the_generation_before_stays_beside_the_ring(place):
    before = place.path.read_bytes()

    changes.add_pending(place.open(), "cell")

    previous = place.path.with_name("pydp.keyring~")
    assert previous.read_bytes() == before
    assert previous.stat().st_mode & 0o777 == 0o600


def test_a_change_needs_no_second_unlocking_and_builds_on_the_newest_generation(place):
    mine, theirs = place.open(), place.open()
    changes.new_version(theirs, "file")

    ring = changes.new_version(mine, "cell")

    assert states(ring, "file") == states(ring, "cell") == ["enabled", "primary"]
    assert ring.generation == 5


def test_a_key_is_named_by_family_and_scope(place):
    for wrong in ("", "unknown/customer", "unknown", "cell\n", "cell/\x1b[2J"):
        with pytest.raises(UsageError, match="not a key's name"):
            changes.add_key(place.open(), wrong)
    with pytest.raises(UsageError, match="already"):
        changes.add_key(place.open(), "cell")


def test_a_passphrase_and_a_key_file_open_the_same_ring(place):
    changes.add_protector(place.open(), protect("passphrase", ALICE, label="alice"))

    assert open_keyring(place.path, ALICE).root == place.open().root


def test_the_last_protector_stays(place):
    ring = changes.add_protector(place.open(), protect("passphrase", ALICE))

    ring = changes.remove_protector(ring, ring.opened_by)

    assert open_keyring(place.path, ALICE).slots == ring.slots
    with pytest.raises(UsageError, match="last protector"):
        changes.remove_protector(ring, ring.slots[0]["id"])
    with pytest.raises(KeyringError, match="nothing that unlocks it"):
        place.open()


def test_the_same_key_file_is_not_added_twice(place):
    with pytest.raises(UsageError, match="already"):
        changes.add_protector(place.open(), protect("key-file", place.unlock))


def test_an_unknown_protector_is_an_error(place):
    with pytest.raises(UsageError, match='no protector "usb"') as raised:
        protect("usb", place.unlock)
    assert "passphrase" in raised.value.hint
    with pytest.raises(UsageError, match="has no protector"):
        changes.remove_protector(place.open(), "ffffffff")


def test_a_changed_passphrase_opens_the_ring_and_the_old_one_does_not(place):
    changes.add_protector(place.open(), protect("passphrase", ALICE))
    ring = open_keyring(place.path, ALICE)
    better = Unlock(passphrase=lambda: "even better")

    ring = changes.replace_protector(ring, ring.opened_by, protect("passphrase", better))

    assert open_keyring(place.path, better).opened_by == ring.opened_by
    with pytest.raises(WrongKey):
        open_keyring(place.path, ALICE)
    assert not place.path.with_name("pydp.keyring~").exists()
    assert len(place.open().slots) == 2


def test_a_new_root_keeps_the_keys_and_shuts_out_who_had_the_old_one(place):
    ring = changes.add_protector(place.open(), protect("passphrase", ALICE))
    old = ring

    ring = changes.new_root(ring, [place.unlock], remove={ring.slots[1]["id"]})

    assert ring.root != old.root
    assert {v.key_id: v.secret for v in ring.versions()} == {v.key_id: v.secret for v in old.versions()}
    assert place.open() == ring
    with pytest.raises(KeyringError):
        open_keyring(place.path, ALICE)
    with pytest.raises(Refused, match="MAC is wrong"):
        changes.new_version(old, "cell")


def test_a_new_root_drops_no_protector_silently(place):
    ring = changes.add_protector(place.open(), protect("passphrase", ALICE, label="alice"))
    before = place.path.read_bytes()

    for unlocks in ([place.unlock], [place.unlock, Unlock(passphrase=lambda: "a wrong one")]):
        with pytest.raises(UsageError, match=r'"alice" \(passphrase\) cannot follow'):
            changes.new_root(ring, unlocks)
    with pytest.raises(UsageError, match="all protectors"):
        changes.new_root(ring, [place.unlock], remove={slot["id"] for slot in ring.slots})

    assert place.path.read_bytes() == before
    ring = changes.new_root(ring, [place.unlock, ALICE])
    assert [slot.get("label") for slot in ring.slots] == [None, "alice"]
    assert open_keyring(place.path, ALICE).root == place.open().root == ring.root


def test_a_second_writer_is_told_that_the_ring_is_being_changed(place):
    with locked(place.path), pytest.raises(Locked) as raised:
        changes.new_version(place.open(), "cell")

    assert raised.value.exit_code == 6


def test_concurrent_writers_lose_no_version(place, tmp_path):
    script = tmp_path / "writer.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        from pathlib import Path
        from pydp_cli.errors import Locked
        from pydp_cli.keys.changes import add_pending
        from pydp_cli.keys.keyring import open_keyring
        from pydp_cli.keys.unlock import Unlock

        ring = open_keyring(Path(sys.argv[1]), Unlock(key_file=Path(sys.argv[2])))
        made = 0
        while made < 10:
            try:
                add_pending(ring, "cell")
                made += 1
            except Locked:
                pass
        """),
        encoding="utf-8",
    )
    command = [sys.executable, str(script), str(place.path), str(place.unlock.key_file)]
    writers = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}) for _ in range(3)]

    assert [writer.wait() for writer in writers] == [0, 0, 0]
    ring = place.open()
    assert ring.generation == 31
    assert [version.version for version in ring.keys["cell"]] == list(range(1, 32))


def test_another_ring_in_the_place_of_ours_is_not_changed(place, tmp_path):
    ring = place.open()
    place.path.unlink()
    create_key_file(tmp_path / "other.key")
    create_keyring(place.path, protect("key-file", Unlock(key_file=tmp_path / "other.key")))

    with pytest.raises(Refused, match="another keyring"):
        changes.new_version(ring, "cell")


def test_nothing_is_left_beside_a_changed_ring(place):
    changes.new_version(place.open(), "cell")

    assert sorted(path.name for path in place.path.parent.iterdir()) == [
        "pydp.keyring",
        "pydp.keyring~",
        "ring.key",
        "seen",
    ]
