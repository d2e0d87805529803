"""Keyrings written by earlier versions open for ever, and give the same keys."""

import json
import shutil
from pathlib import Path

import pytest

from pydp_cli.keys import changes
from pydp_cli.keys.keyring import create_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.unlock import Unlock
from tests.keys.rings import clock, fixed_random

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "rich-1.json").read_text(encoding="utf-8"))


@pytest.fixture
def golden(tmp_path):
    """The golden files with the permissions that git does not keep."""
    folder = tmp_path / "golden"
    shutil.copytree(GOLDEN, folder)
    for path in folder.iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


UNLOCKS = {
    "key file": lambda folder: Unlock(key_file=folder / "golden-1.key"),
    "passphrase": lambda _: Unlock(passphrase=lambda: EXPECTED["passphrase"]),
    "x25519": lambda folder: Unlock(identity=folder / "x25519-1.identity"),
    "mlkem768x25519": lambda folder: Unlock(identity=folder / "mlkem768x25519-1.identity"),
    "shares": lambda _: Unlock(shares=lambda: EXPECTED["shares"][1:]),
    "command": lambda _: Unlock(approve=lambda argv: argv == ("echo", "a", "golden", "secret")),
}


@pytest.mark.parametrize("way", UNLOCKS)
def test_the_golden_ring_opens_in_every_way(golden, way):
    ring = open_keyring(golden / "rich-1.keyring", UNLOCKS[way](golden))

    assert ring.generation == EXPECTED["generation"]
    assert [[v.name, v.version, v.key_id.hex(), v.state, v.proof] for v in ring.versions()] == EXPECTED["states"]


def test_the_golden_ring_gives_the_same_keys(golden):
    ring = open_keyring(golden / "rich-1.keyring", UNLOCKS["key file"](golden))

    for purpose, scope, column, key_id, key in EXPECTED["column_keys"]:
        assert ring.column_key(purpose, scope, column).key.hex() == key
        assert ring.column_key(purpose, scope, column, version=bytes.fromhex(key_id)).key.hex() == key


def test_the_golden_ring_can_be_changed(golden):
    ring = open_keyring(golden / "rich-1.keyring", UNLOCKS["key file"](golden))

    ring = changes.new_version(ring, "cell")

    assert open_keyring(golden / "rich-1.keyring", UNLOCKS["shares"](golden)).keys == ring.keys


def test_a_ring_of_the_same_randomness_is_the_same_file(golden, tmp_path):
    protector = protect("key-file", UNLOCKS["key file"](golden))

    create_keyring(tmp_path / "ring", protector, clock=clock, random=fixed_random())

    assert (tmp_path / "ring").read_bytes() == (golden / "plain-1.keyring").read_bytes()
