"""An altered keyring is refused with a clean error, whatever was altered."""

import json
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest

from pydp_cli.errors import KeyringError, Refused
from pydp_cli.keys import changes
from pydp_cli.keys.identities import create_identity_file
from pydp_cli.keys.keyring import inspect_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.ring_file import canonical
from pydp_cli.keys.shares import split_ring
from pydp_cli.keys.unlock import Unlock


@pytest.fixture
def rich(place, tmp_path):
    """A ring with a key in every state and several protectors."""
    ring = place.open()
    first = ring.primary("cell").key_id
    ring = changes.new_version(ring, "cell")
    ring = changes.destroy(changes.disable(ring, first), first, proof="ab" * 32)
    ring = changes.add_pending(ring, "cell")
    recipient = create_identity_file(tmp_path / "id", "x25519")
    ring = changes.add_protector(ring, protect("recipient", Unlock(), {"recipient": str(recipient)}, label="CI"))
    split_ring(ring, threshold=2, shares=3)
    return place


def refused(place):
    """Open the ring; give whether that was refused. Any other error than ours fails the test."""
    try:
        open_keyring(place.path, place.unlock)
    except (KeyringError, Refused):
        return True
    return False


def test_every_flipped_byte_is_refused(place):
    raw = place.path.read_bytes()
    assert not refused(place)

    for position in range(len(raw)):
        altered = bytearray(raw)
        altered[position] ^= 1 << position % 8
        place.path.write_bytes(altered)
        assert refused(place), f"byte {position}"


def test_flipped_bytes_of_a_ring_with_everything_in_it_are_refused(rich):
    raw = rich.path.read_bytes()
    assert not refused(rich)

    for position in range(0, len(raw), 5):
        altered = bytearray(raw)
        altered[position] ^= 1
        rich.path.write_bytes(altered)
        assert refused(rich), f"byte {position}"


def test_every_truncation_and_extension_is_refused(rich):
    raw = rich.path.read_bytes()

    for altered in (*(raw[:length] for length in range(0, len(raw), 7)), raw[:-1], raw + b"\n", b" " + raw, raw + raw):
        rich.path.write_bytes(altered)
        assert refused(rich)


def leaves(value, path=()):
    """Give the path of every value in a document."""
    yield path
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, (*path, name))
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from leaves(part, (*path, position))


def with_value(document, path, new):
    """Give a copy of a document with one value replaced, or removed."""
    copy = json.loads(json.dumps(document))
    at = copy
    for part in path[:-1]:
        at = at[part]
    if new is leaves:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return copy


def test_every_field_altered_in_canonical_form_is_refused(rich):
    document = json.loads(rich.path.read_bytes())
    paths = [path for path in leaves(document) if path]
    assert len(paths) > 60

    for path in paths:
        for new in (leaves, None, "", "primary", 0, 1, -1, 10**30, True, 1.5, [], {}, [None], "AAAA", {"a": "b"}):
            altered = with_value(document, path, new)
            if altered == document and type(new) is not bool:
                continue
            rich.path.write_bytes(canonical(altered))
            assert refused(rich), (path, new)
            with suppress(KeyringError, Refused):
                inspect_keyring(rich.path)


def test_two_keys_or_protectors_swapped_are_refused(rich):
    document = json.loads(rich.path.read_bytes())
    keys = document["keys"]
    swaps = [
        {**document, "keys": {**keys, "cell": keys["file"], "file": keys["cell"]}},
        {**document, "keys": {**keys, "cell": keys["cell"][::-1]}},
        {**document, "keys": {**keys, "cell": keys["cell"][1:]}},
        {**document, "keys": {**keys, "cell": keys["cell"] + keys["cell"]}},
        {**document, "protectors": document["protectors"][::-1]},
        {**document, "protectors": document["protectors"][:1]},
        {**document, "protectors": document["protectors"] * 2},
        {**document, "protectors": document["protectors"] * 40},
    ]

    for altered in swaps:
        rich.path.write_bytes(canonical(altered))
        assert refused(rich)


def test_a_disabled_key_is_not_enabled_by_an_editor(place):
    ring = place.open()
    first = ring.primary("cell").key_id
    changes.disable(changes.new_version(ring, "cell"), first)
    altered = place.path.read_text(encoding="utf-8").replace('"disabled"', '"enabled"')
    place.path.write_text(altered, encoding="utf-8")

    with pytest.raises(Refused, match="MAC is wrong") as raised:
        place.open()

    assert raised.value.exit_code == 3


def test_another_spelling_of_the_mac_is_refused(place):
    document = json.loads(place.path.read_bytes())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(document["mac"][-2])
    twin = document["mac"][:-2] + alphabet[last ^ 1] + "="
    assert b64decode(twin) == b64decode(document["mac"])
    assert b64encode(b64decode(twin)) != twin.encode()

    place.path.write_bytes(canonical({**document, "mac": twin}))

    assert refused(place)


def test_a_passphrase_slot_cannot_ask_for_unbounded_work(place):
    passphrase = Unlock(passphrase=lambda: "correct horse")
    changes.add_protector(place.open(), protect("passphrase", passphrase))
    document = json.loads(place.path.read_bytes())

    for name, value in (("memory_kib", (1 << 20) + 1), ("passes", 11), ("lanes", 17), ("passes", 0), ("memory_kib", 8)):
        slots = [{**slot, name: value} if slot["type"] == "passphrase" else slot for slot in document["protectors"]]
        place.path.write_bytes(canonical({**document, "protectors": slots}))
        with pytest.raises(KeyringError, match=r"more work than is allowed|malformed"):
            open_keyring(place.path, passphrase)
