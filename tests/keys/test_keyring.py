"""Creating, opening and asking a keyring for keys."""

import json
import os
import pickle
from dataclasses import replace

import pytest

from pydp_cli.errors import KeyringError, OutputError, Refused, WrongKey
from pydp_cli.keys.changes import add_key, disable, new_version
from pydp_cli.keys.key_version import key_id_of
from pydp_cli.keys.keyring import create_keyring, inspect_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.unlock import Unlock, create_key_file


def test_a_new_ring_has_one_primary_version_of_each_key(place):
    ring = place.open()

    assert set(ring.keys) == {"pseudonym", "token", "cell", "file", "sign"}
    assert all([version.state for version in versions] == ["primary"] for versions in ring.keys.values())
    assert ring.generation == 1


def test_a_column_key_depends_on_purpose_scope_and_column(place):
    ring = place.open()

    keys = {
        ring.column_key(purpose, scope, column).key
        for purpose in ("cell", "fpe", "blind_index", "pseudonym", "hash")
        for scope, column in (("orders", "total"), ("orderst", "otal"), ("orders", ""), ("", "orders"))
    }

    assert len(keys) == 20
    assert ring.column_key("cell", "orders", "total").key == place.open().column_key("cell", "orders", "total").key


def test_purposes_that_rotate_together_are_served_by_one_key(place):
    ring = place.open()

    served = {
        purpose: ring.column_key(purpose, "x").key_name for purpose in ("fpe", "blind_index", "date_shift", "new")
    }

    assert served == {"fpe": "cell", "blind_index": "cell", "date_shift": "pseudonym", "new": "pseudonym"}


def test_the_most_specific_key_serves(place):
    before = place.open().column_key("pseudonym", "customer")
    ring = add_key(place.open(), "pseudonym/customer")

    after = ring.column_key("pseudonym", "customer")

    assert (after.key_name, after.key != before.key) == ("pseudonym/customer", True)
    assert ring.column_key("pseudonym", "email").key_name == "pseudonym"
    assert ring.column_key("pseudonym", "customer", version=before.key_id) == before


def test_a_version_is_found_by_number_or_by_key_id(place):
    first = place.open().column_key("cell", "orders", "total")
    ring = new_version(place.open(), "cell")

    second = ring.column_key("cell", "orders", "total")

    assert second.version == 2
    assert ring.column_key("cell", "orders", "total", version=1) == first
    assert ring.column_key("cell", "orders", "total", version=first.key_id) == first
    assert ring.column_key("cell", "orders", "total", version=second.key_id) == second


def test_unknown_keys_and_versions_are_told_apart(place):
    ring = place.open()

    with pytest.raises(WrongKey, match="00000000 is not in the keyring"):
        ring.column_key("cell", "orders", version=b"\0\0\0\0")
    with pytest.raises(KeyringError, match="no version 7"):
        ring.column_key("cell", "orders", version=7)


def test_a_disabled_key_says_since_when_and_how_to_enable_it(place):
    key_id = place.open().primary("cell").key_id
    ring = disable(new_version(place.open(), "cell"), key_id)

    with pytest.raises(WrongKey, match="is disabled since 20") as raised:
        ring.column_key("cell", "orders", version=key_id)

    assert key_id.hex() in raised.value.hint


def test_key_ids_are_a_function_of_the_key(place):
    for version in place.open().versions():
        assert version.key_id == key_id_of(version.secret)


def test_no_repr_or_message_shows_a_key(place):
    ring = place.open()
    key = ring.column_key("cell", "orders")

    shown = f"{ring!r} {ring} {key!r} {key.key!r} {key.key} {[key.key]} {ring.versions()} {key.key:>8}"
    shown += "%s" % key.key  # noqa: UP031 - one more way; apart from key ids, which may hold a percent sign

    for secret in (key.key, ring.root, *(version.secret for version in ring.versions())):
        assert bytes(secret).hex() not in shown
        assert repr(bytes(secret))[2:-1] not in shown


def test_a_column_key_travels_to_workers_and_the_ring_does_not(place):
    ring = place.open()
    key = ring.column_key("cell", "orders")

    assert pickle.loads(pickle.dumps(key)) == key
    for kept_at_home in (ring, ring.primary("cell")):
        with pytest.raises(TypeError, match="column key"):
            pickle.dumps(kept_at_home)


def test_the_file_holds_no_key_in_clear_and_is_private(place):
    ring = place.open()
    from base64 import b64encode

    raw = place.path.read_bytes()

    assert place.path.stat().st_mode & 0o777 == 0o600
    for secret in (ring.root, *(version.secret for version in ring.versions())):
        assert bytes(secret) not in raw
        assert b64encode(secret) not in raw
        assert bytes(secret).hex().encode() not in raw


def test_the_file_is_canonical_json(place):
    raw = place.path.read_text(encoding="utf-8")

    assert raw == json.dumps(json.loads(raw), sort_keys=True, ensure_ascii=False, indent=1) + "\n"


def test_a_ring_is_never_made_over_another_file(place):
    before = place.path.read_bytes()

    with pytest.raises(OutputError, match="exists already"):
        create_keyring(place.path, protect("key-file", place.unlock))

    assert place.path.read_bytes() == before


def test_a_new_ring_that_reads_back_differently_is_not_put_in_place(place, tmp_path):
    good = protect("key-file", place.unlock)

    with pytest.raises(KeyringError, match="reads back differently"):
        create_keyring(tmp_path / "new", lambda root: {**good(root), "extra": (1, 2)})

    assert not (tmp_path / "new").exists()


def test_another_key_file_is_the_wrong_key(place, tmp_path):
    create_key_file(tmp_path / "other.key")

    with pytest.raises(WrongKey) as raised:
        open_keyring(place.path, Unlock(key_file=tmp_path / "other.key"))

    assert raised.value.exit_code == 3
    assert raised.value.place == str(place.path)


def test_a_locked_ring_says_what_would_open_it(place):
    with pytest.raises(KeyringError, match=r"nothing that unlocks it was given \(protectors: key-file\)"):
        open_keyring(place.path, Unlock())


def test_a_ring_that_others_may_read_is_refused(place):
    place.path.chmod(0o640)

    with pytest.raises(KeyringError, match="can be read by others") as raised:
        place.open()

    assert "chmod 600" in raised.value.hint


def test_a_missing_ring_a_folder_and_a_pipe_are_errors(tmp_path, place):
    os.mkfifo(tmp_path / "pipe", 0o600)

    for wrong, message in (("none", "No such file"), ("", "directory"), ("pipe", "not a plain file")):
        with pytest.raises(KeyringError, match=message):
            open_keyring(tmp_path / wrong, place.unlock)


def test_a_link_is_followed_when_reading_and_when_writing(place, tmp_path):
    (tmp_path / "link").symlink_to(place.path)
    ring = open_keyring(tmp_path / "link", place.unlock)

    new_version(ring, "cell")

    assert (tmp_path / "link").is_symlink()
    assert place.open().generation == 3


def test_a_dangling_link_is_not_overwritten_by_a_new_ring(tmp_path, place):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    ring = create_keyring(tmp_path / "link", protect("key-file", place.unlock))

    assert ring.path == tmp_path / "elsewhere"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff\xfe",
        b"not json",
        b'{"format": "pydp-keyring", "version": 2}',
        b'{"format": "pydp-keyring", "version": 1, "x": "\\ud800"}',
        b'{"format": "pydp-keyring", "version": 1, "x": ' + b"[" * 400_000,
        b'{"format": "pydp-keyring", "version": 1, "x": ' + b"9" * 100_000 + b"}",
        b" " * ((1 << 20) + 1),
        b"null\n",
    ],
)
def test_what_is_no_ring_is_refused_cleanly(place, raw):
    place.path.write_bytes(raw)

    with pytest.raises((KeyringError, Refused)):
        place.open()
    with pytest.raises((KeyringError, Refused)):
        inspect_keyring(place.path)


def test_a_ring_shows_its_outside_without_being_unlocked(place):
    info = inspect_keyring(place.path)

    assert info.generation == 1
    assert [protector["type"] for protector in info.protectors] == ["key-file"]
    assert {key["name"] for key in info.keys} == {"pseudonym", "token", "cell", "file", "sign"}
    assert all("wrapped" not in entry for entry in (*info.keys, *info.protectors))


def test_control_characters_in_a_ring_never_reach_the_terminal(place):
    document = json.loads(place.path.read_bytes())
    document["keys"]["evil\x1b[2J"] = document["keys"].pop("cell")
    place.path.write_text(json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    with pytest.raises(KeyringError, match="control characters"):
        inspect_keyring(place.path)


def test_a_clock_without_a_zone_is_refused(place, tmp_path):
    from datetime import datetime

    with pytest.raises(KeyringError, match="time zone"):
        create_keyring(tmp_path / "b", protect("key-file", place.unlock), clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_ring_with_two_primaries_is_refused_whoever_sealed_it(place):
    from pydp_cli.keys.changes import change

    def two_primaries(ring):
        first = ring.keys["cell"][0]
        other = ring.keys["file"][0]
        return replace(ring, keys={**ring.keys, "cell": (first, replace(other, name="cell", version=2)), "file": ()})

    with pytest.raises(KeyringError, match="malformed"):
        change(place.open(), two_primaries)
    assert place.open().generation == 1
