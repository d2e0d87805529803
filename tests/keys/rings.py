"""Keyrings for tests: real files, a fixed clock, a key file."""

from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

from pydp_cli.keys.keyring import Keyring, create_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.unlock import Unlock, create_key_file


def clock():
    return datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Place:
    """A keyring, what unlocks it, and what remembers its generation."""

    path: Path
    unlock: Unlock
    seen: Path

    def open(self) -> Keyring:
        return open_keyring(self.path, self.unlock, seen=self.seen)


def make_place(folder: Path) -> Place:
    create_key_file(folder / "ring.key")
    place = Place(folder / "pydp.keyring", Unlock(key_file=folder / "ring.key"), folder / "seen")
    create_keyring(place.path, protect("key-file", place.unlock), clock=clock, seen=place.seen)
    return place


def fixed_random(seed=b"golden"):
    """Give a source of bytes that are the same every time."""
    count = 0

    def random(size):
        nonlocal count
        count += 1
        return sha256(seed + count.to_bytes(4, "big")).digest()[:size]

    return random
