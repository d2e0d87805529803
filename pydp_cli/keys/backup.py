"""Backups of the keyring: a copy that is read back, and the proof that a copy opens today's data."""

from __future__ import annotations

from pathlib import Path

from pydp_cli.errors import Refused
from pydp_cli.keys.keyring import Keyring, check_written, open_keyring
from pydp_cli.keys.ring_file import create_file
from pydp_cli.keys.unlock import Unlock

AGAIN = "make a new backup with `pydp keys backup`"


def backup_keyring(ring: Keyring, path: Path) -> None:
    """Write the open ring to another place, 0600, never over another file. The same protectors open it."""
    create_file(path.resolve(), ring.to_bytes(), lambda raw: check_written(raw, ring))


def verify_backup(ring: Keyring, path: Path, unlock: Unlock) -> Keyring:
    """Open a backup with its own protectors, and prove that it opens what the ring opens today; restores nothing.

    Raises `Refused` where it does not: it is of another ring or generation, lacks a key, or still has one that was
    destroyed since. Raises `WrongKey` where `unlock` does not open it.
    """
    place = str(path)
    backup = open_keyring(path, unlock)
    if backup.ring_id != ring.ring_id:
        raise Refused("this is a backup of another keyring", place=place)
    ours, theirs = usable(ring), usable(backup)
    missing = sorted(key_id.hex() for key_id in ours.keys() - theirs.keys())
    if missing:
        raise Refused(
            f"the backup lacks {len(missing)} of {len(ours)} keys: {', '.join(missing)}", place=place, hint=AGAIN
        )
    destroyed = sorted(key_id.hex() for key_id in theirs.keys() - ours.keys())
    if destroyed:
        raise Refused(
            f"the backup still has keys that the keyring has not: {', '.join(destroyed)}",
            place=place,
            hint="if they were destroyed on purpose, destroy this backup too, and make a new one",
        )
    if backup.generation != ring.generation or backup.to_bytes() != ring.to_bytes():
        raise Refused(
            f"the backup is of generation {backup.generation}, the keyring of {ring.generation}",
            place=place,
            hint=AGAIN,
        )
    return backup


def usable(ring: Keyring) -> dict[bytes, bytes]:
    """Give every key that is not destroyed, by its id."""
    return {version.key_id: version.secret for version in ring.versions() if version.secret is not None}
