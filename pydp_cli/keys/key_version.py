"""One version of a named key, its states, and which states may follow which."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import KeyringError
from pydp_cli.keys.secret import Secret

TRANSITIONS = {
    "pending": frozenset({"primary", "destroyed"}),
    "primary": frozenset[str](),
    "enabled": frozenset({"primary", "disabled"}),
    "disabled": frozenset({"enabled", "destroyed"}),
    "destroyed": frozenset[str](),
}
"""What a version may become on demand. A primary becomes `enabled` when another version takes its place."""

KEY_BYTES = 32
COLUMN_KEY_BYTES = 64


@dataclass(frozen=True)
class KeyVersion:
    """One version of a named key.

    `pending` is written but not used yet, `primary` makes new data, `enabled` reads old data, `disabled` reads nothing
    until it is enabled again. A `destroyed` version has no secret, and stays as a tombstone with the day (`changed`)
    and, where one was given, the digest of the proof that nothing was under it any more.

    A version with a `place` was imported: it is the key of one column (scope and column) as another keyring derived
    it, of 64 bytes; its id is that of the key that it was derived from. It opens cells and makes none.
    """

    name: str
    version: int
    key_id: bytes
    state: str
    created: str
    changed: str
    secret: Secret | None = field(repr=False)
    proof: str = ""
    place: tuple[str, str] | None = None

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: only column keys leave the ring."""
        raise TypeError("a key of the keyring cannot be pickled; send a column key")

    @property
    def label(self) -> str:
        """Name the version for a message."""
        return f'key {self.key_id.hex()} ("{self.name}", version {self.version})'


def key_id_of(secret: bytes) -> bytes:
    """Give a key's id: a PRF of the key, so that an id cannot be pointed at another key."""
    return derive_key(secret, "key id", length=4)


def stamp(now: datetime) -> str:
    """Write a time as keyrings do: ISO 8601 to the second, with its offset."""
    if now.tzinfo is None:
        raise KeyringError("a keyring's clock needs a time zone")
    return now.isoformat(timespec="seconds")
