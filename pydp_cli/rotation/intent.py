"""The new version of a key that a rotation moves to: on the disk before it is used, and found again after a crash."""

from __future__ import annotations

import json
from pathlib import Path

from pydp_cli.errors import KeyringError, UsageError
from pydp_cli.keys.changes import add_pending, make_primary
from pydp_cli.keys.keyring import Keyring
from pydp_cli.keys.unlock import read_private_file, sync_folder, write_private_file

MOST_BYTES = 4096


def new_primary(keyring: Keyring, name: str, state_dir: Path) -> Keyring:
    """Give the ring with a new primary version of a key, made once for each rotation.

    A rotation that was interrupted left a note of the version that it made; that one is taken again. The keyring is
    written, read back and unwrapped before anything is encrypted under it.
    """
    if name not in keyring.keys:
        raise UsageError(f'the keyring has no key "{name}"', hint="`pydp keys list` shows the keys")
    note = _path(state_dir, name)
    begun = _read(note)
    version = next((one for one in keyring.keys[name] if begun is not None and one.key_id == begun), None)
    if version is None or version.state in {"disabled", "destroyed", "enabled"}:
        note.unlink(missing_ok=True)
        version = next((one for one in keyring.keys[name] if one.state == "pending"), None)
        if version is None:
            keyring = add_pending(keyring, name)
            version = keyring.keys[name][-1]
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_file(note, json.dumps({"key": name, "id": version.key_id.hex()}) + "\n", "rotation's note")
    if version.state == "pending":
        keyring = make_primary(keyring, version.key_id)
    return keyring


def begun_version(keyring: Keyring, name: str, state_dir: Path) -> bytes | None:
    """Give the id of the version that an unfinished rotation moves to."""
    begun = _read(_path(state_dir, name))
    known = {version.key_id for version in keyring.keys.get(name, ())}
    return begun if begun in known else None


def forget(state_dir: Path, name: str) -> None:
    """Note that the rotation has come to its end."""
    note = _path(state_dir, name)
    if note.exists():
        note.unlink()
        sync_folder(state_dir)


def _path(state_dir: Path, name: str) -> Path:
    return state_dir / f"rotation-{name.replace('/', '%2F')}.json"


def _read(note: Path) -> bytes | None:
    """Give the id in a note; None where there is none, or it was being written when the machine stopped."""
    if not note.exists():
        return None
    try:
        return bytes.fromhex(json.loads(read_private_file(note, "rotation's note", most=MOST_BYTES))["id"])
    except (ValueError, KeyError, TypeError):
        return None
    except KeyringError as error:
        error.hint = error.hint or "remove it"
        raise
