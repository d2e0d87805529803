"""Protectors from other packages, and rings with protectors that this machine does not know."""

import hashlib
import sys

import pytest

from pydp_cli.errors import KeyringError, TemporaryFailure, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.protectors import protect, protectors
from pydp_cli.keys.unlock import Unlock

PLUGIN = '''
"""A protector whose secret is in a folder that only this machine has."""

from hashlib import sha256
from pathlib import Path
from secrets import token_bytes

from pydp_cli.errors import TemporaryFailure


class FolderProtector:
    def make(self, options, unlock):
        path = Path(options["folder"]) / "secret"
        path.write_bytes(token_bytes(32))
        return {"folder": options["folder"]}, sha256(path.read_bytes()).digest()

    def open(self, slot, unlock):
        path = Path(slot["folder"]) / "secret"
        if not path.exists():
            raise TemporaryFailure("the folder is not mounted", place=slot["folder"])
        return sha256(path.read_bytes()).digest()
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed package that offers the protector `folder`."""
    site = tmp_path / "site"
    metadata = site / "folder_protector-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "folder_protector.py").write_text(PLUGIN, encoding="utf-8")
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: folder-protector\nVersion: 1.0\n", encoding="utf-8"
    )
    (metadata / "entry_points.txt").write_text(
        "[pydp.key_protectors]\nfolder = folder_protector:FolderProtector\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(site))
    protectors.cache_clear()
    yield tmp_path / "box"
    protectors.cache_clear()
    sys.modules.pop("folder_protector", None)


def test_another_package_offers_a_protector(place, plugin):
    plugin.mkdir()

    changes.add_protector(place.open(), protect("folder", Unlock(), {"folder": str(plugin)}))

    assert open_keyring(place.path, Unlock()).root == place.open().root
    (plugin / "secret").write_bytes(b"another")
    with pytest.raises(WrongKey, match="protector: folder"):
        open_keyring(place.path, Unlock())


def test_a_protector_that_is_not_reachable_leaves_the_others(place, plugin):
    plugin.mkdir()
    ring = changes.add_protector(place.open(), protect("folder", Unlock(), {"folder": str(plugin)}))
    changes.add_protector(ring, protect("passphrase", Unlock(passphrase=lambda: "of alice")))
    (plugin / "secret").unlink()

    assert open_keyring(place.path, Unlock(passphrase=lambda: "of alice"))
    with pytest.raises(TemporaryFailure, match="not mounted"):
        open_keyring(place.path, Unlock())


def test_a_protector_of_an_unknown_type_is_left_alone(place, plugin, monkeypatch):
    plugin.mkdir()
    changes.add_protector(place.open(), protect("folder", Unlock(), {"folder": str(plugin)}))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("/site")])
    protectors.cache_clear()

    ring = changes.new_version(place.open(), "cell")

    assert [slot["type"] for slot in ring.slots] == ["key-file", "folder"]
    with pytest.raises(KeyringError, match=r"nothing that unlocks it was given \(protectors: folder, key-file\)"):
        open_keyring(place.path, Unlock())


def test_our_own_types_are_not_replaced_by_a_package(plugin):
    assert "folder" in protectors()
    assert {"key-file", "passphrase", "recipient", "shares", "command", "aws-kms", "vault"} < set(protectors())


def test_a_slot_opens_under_no_other_slot_key(place):
    from pydp_cli.keys.protectors import opened_slot, sealed_slot

    key = hashlib.sha256(b"right").digest()
    slot = sealed_slot({"type": "x"}, key, bytes(32))

    assert opened_slot(slot, key) == bytes(32)
    for wrong in (b"", key[:-1], bytes(32), hashlib.sha256(b"wrong").digest()):
        with pytest.raises(WrongKey):
            opened_slot(slot, wrong)


def test_a_slot_that_unwraps_under_a_key_it_does_not_commit_to_is_refused():
    from pydp_cli.keys.protectors import opened_slot, sealed_slot

    key, other = (hashlib.sha256(text).digest() for text in (b"one", b"two"))
    slot = {**sealed_slot({"type": "x"}, key, bytes(32)), "commit": sealed_slot({}, other, bytes(32))["commit"]}

    for tried in (key, other):
        with pytest.raises(WrongKey):
            opened_slot(slot, tried)


def test_the_keys_room_imports_nothing_heavy():
    import subprocess

    code = (
        "import sys, pydp_cli.keys.keyring, pydp_cli.keys.changes, pydp_cli.keys.backup, pydp_cli.keys.shares;"
        "print([m for m in ('pyarrow', 'numpy', 'pandas', 'boto3', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
