"""The keyring: named keys in versions, and the column keys that are derived from them.

The ring holds one random root key, wrapped by each protector; the root wraps the named keys. Only column keys leave the
ring: HKDF over a key's version with the purpose, the dataset or domain, and the column. An open ring is immutable;
`pydp_cli.keys.changes` writes new generations of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from secrets import token_bytes
from typing import Any, NoReturn

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import KeyringError, PydpError, Refused, WrongKey
from pydp_cli.keys.key_version import KEY_BYTES, KeyVersion, key_id_of, stamp
from pydp_cli.keys.protectors import Slot, unwrap_root
from pydp_cli.keys.ring_document import Contents, RingInfo, describe, seal, slots_of, unseal
from pydp_cli.keys.ring_file import Document, canonical, create_file, parse_document, read_document
from pydp_cli.keys.secret import Secret
from pydp_cli.keys.seen import command_digest, recall, remember, was_replaced
from pydp_cli.keys.unlock import Unlock

__all__ = ["ColumnKey", "KeyVersion", "Keyring", "create_keyring", "inspect_keyring", "key_family", "open_keyring"]

FAMILIES = {
    "pseudonym": "pseudonym",
    "hash": "pseudonym",
    "date_shift": "pseudonym",
    "noise": "pseudonym",
    "fake": "pseudonym",
    "sampling": "pseudonym",
    "token": "token",
    "cell": "cell",
    "fpe": "cell",
    "blind_index": "cell",
    "file": "file",
    "sign": "sign",
    "epoch": "epoch",
}
"""The key that serves a purpose: what rotates together is served by one. `pseudonym` serves the purposes of plugins."""

NAMES = tuple(dict.fromkeys(family for family in FAMILIES.values() if family != "epoch"))
"""The keys of a new ring. `sign` is the seed of an Ed25519 key; `epoch` keys come with a store of people's keys."""

AUTHENTICATING = frozenset({"key-file", "passphrase", "shares"})
"""Protectors that only a ring's own people can make: anyone can seal another ring to a public key or a shared KMS."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Give the time that new keys are stamped with."""
    return datetime.now(timezone.utc)


def key_family(purpose: str) -> str:
    """Name the key of a new ring that serves a purpose."""
    return FAMILIES.get(purpose, "pseudonym")


@dataclass(frozen=True)
class ColumnKey:
    """A derived key, and which key of the ring it came from. It travels to workers; its repr does not show it."""

    key: Secret = field(repr=False)
    key_id: bytes
    key_name: str
    version: int


@dataclass(frozen=True)
class Keyring:
    """An unlocked keyring.

    `opened_by` is the id of the protector that opened it, `seen` the folder that remembers its newest generation.
    """

    path: Path
    ring_id: str
    generation: int
    slots: tuple[Slot, ...] = field(repr=False)
    keys: Mapping[str, tuple[KeyVersion, ...]]
    root: Secret = field(repr=False)
    opened_by: str = ""
    seen: Path | None = None

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: only column keys leave the ring."""
        raise TypeError("a keyring cannot be pickled; send a column key")

    def column_key(
        self,
        purpose: str,
        scope: str,
        column: str = "",
        *,
        version: int | bytes | None = None,
        length: int = 64,
    ) -> ColumnKey:
        """Derive the key of a column for a purpose, in a scope (a dataset or a domain).

        Under the primary version of the most specific key (`pseudonym/customer`, if there is one, else `pseudonym`);
        or under the version of that number; or under the one that a ciphertext names by its 4-byte key id.
        """
        if version is None:
            chosen = self.primary(self.key_for(purpose, scope))
        elif isinstance(version, bytes):
            chosen = self.by_id(version)
        else:
            chosen = self._numbered(self.key_for(purpose, scope), version)
        assert chosen.secret is not None
        if chosen.place is not None:
            return self._imported(chosen, chosen.secret, purpose, (scope, column), length)
        key = Secret(derive_key(chosen.secret, purpose, scope, column, length=length))
        return ColumnKey(key, chosen.key_id, chosen.name, chosen.version)

    def _imported(
        self, version: KeyVersion, secret: Secret, purpose: str, place: tuple[str, str], length: int
    ) -> ColumnKey:
        """Give a column key that was imported, for its own column only."""
        if purpose != "cell" or place != version.place or length != len(secret):
            raise WrongKey(f"{version.label} was imported for another column", place=str(self.path))
        return ColumnKey(secret, version.key_id, version.name, version.version)

    def key_for(self, purpose: str, scope: str) -> str:
        """Name the key that serves a purpose in a scope: the most specific one."""
        family = key_family(purpose)
        specific = f"{family}/{scope}"
        return specific if specific in self.keys else family

    def primary(self, name: str) -> KeyVersion:
        """Give the version of a key that new data is made with."""
        for version in self.keys.get(name, ()):
            if version.state == "primary":
                return version
        raise KeyringError(
            f'the keyring has no primary key "{name}"', place=str(self.path), hint=f"`pydp keys new-version {name}`"
        )

    def by_id(self, key_id: bytes) -> KeyVersion:
        """Give a usable version by its key id; tells unknown, disabled and destroyed keys apart."""
        return self._usable(self.find(key_id))

    def find(self, key_id: bytes) -> KeyVersion:
        """Give a version by its key id in whatever state it is."""
        for version in self.versions():
            if version.key_id == key_id:
                return version
        raise WrongKey(
            f"key {key_id.hex()} is not in the keyring",
            place=str(self.path),
            hint="use the keyring that this was encrypted with",
        )

    def versions(self) -> tuple[KeyVersion, ...]:
        """Give every version of every key, tombstones too."""
        return tuple(version for versions in self.keys.values() for version in versions)

    def _numbered(self, name: str, number: int) -> KeyVersion:
        for version in self.keys.get(name, ()):
            if version.version == number:
                return self._usable(version)
        raise KeyringError(f'the keyring has no version {number} of key "{name}"', place=str(self.path))

    def _usable(self, version: KeyVersion) -> KeyVersion:
        if version.state == "destroyed":
            raise WrongKey(f"{version.label} was destroyed on {version.changed}", place=str(self.path))
        if version.state == "disabled":
            raise WrongKey(
                f"{version.label} is disabled since {version.changed}",
                place=str(self.path),
                hint=f"`pydp keys enable {version.key_id.hex()}` makes it usable again",
            )
        if version.state == "pending":
            raise WrongKey(
                f"{version.label} was never taken into use",
                place=str(self.path),
                hint="use the newest keyring; this one may be a backup from before",
            )
        return version

    def to_bytes(self) -> bytes:
        """Give the ring as it is written, every key wrapped."""
        return canonical(seal(Contents(self.ring_id, self.generation, self.slots, self.keys), self.root))


def create_keyring(
    path: Path,
    protector: Callable[[bytes], Slot],
    *,
    clock: Clock = utc_now,
    random: Callable[[int], bytes] = token_bytes,
    seen: Path | None = None,
) -> Keyring:
    """Make a keyring with one primary version of each key in `NAMES`; `protector` (see `protect`) wraps its root."""
    path = path.resolve()
    root, ring_id = Secret(random(32)), random(16).hex()
    now = stamp(clock())
    keys: dict[str, tuple[KeyVersion, ...]] = {}
    for name in NAMES:
        secret = new_secret({versions[0].key_id for versions in keys.values()}, random)
        keys[name] = (KeyVersion(name, 1, key_id_of(secret), "primary", now, now, secret),)
    slot = protector(root)
    ring = Keyring(path, ring_id, 1, (slot,), keys, root, slot["id"], seen)
    create_file(path, ring.to_bytes(), lambda raw: check_written(raw, ring))
    note_seen(ring)
    return ring


def open_keyring(path: Path, unlock: Unlock, *, seen: Path | None = None) -> Keyring:
    """Unlock a keyring, and check that it was not altered, nor is older than one that was seen before.

    `seen` is the folder in which this machine remembers the newest generation of each ring.
    """
    document = read_document(path)
    slots = slots_of(document, path)
    try:
        root, slot = unwrap_root(slots, trusting(unlock, seen, document))
    except PydpError as error:
        error.place = error.place or str(path)
        raise
    contents = unseal(document, root, path)
    ring = Keyring(
        path.resolve(), contents.ring_id, contents.generation, contents.slots, contents.keys, root, slot["id"], seen
    )
    if seen is not None and slot["type"] not in AUTHENTICATING and was_replaced(seen, ring.ring_id, ring.path):
        raise Refused(
            "another keyring was used under this name before, and this one may be of anyone's making",
            place=str(path),
            hint="check with its maker; then open it once with a key file, a passphrase or shares",
        )
    return _noted(ring, document)


def _noted(ring: Keyring, document: Document) -> Keyring:
    """Note the generation that was read, and refuse an older one.

    It may only look older, because another process wrote a newer one meanwhile: then that is read.
    """
    while True:
        try:
            note_seen(ring)
        except Refused:  # noqa: PERF203 - another process wrote; seldom twice
            again = read_document(ring.path)
            if again == document:
                raise
            document, newer = again, unseal(again, ring.root, ring.path)
            ring = replace(ring, generation=newer.generation, slots=newer.slots, keys=newer.keys)
        else:
            return ring


def inspect_keyring(path: Path) -> RingInfo:
    """Give what a keyring shows without being unlocked. Nobody has vouched for it."""
    return describe(read_document(path), path)


def new_secret(taken: set[bytes], random: Callable[[int], bytes] = token_bytes) -> Secret:
    """Give a random key whose id no key of the ring has."""
    while True:
        secret = Secret(random(KEY_BYTES))
        if key_id_of(secret) not in taken:
            return secret


def check_written(raw: bytes, ring: Keyring) -> None:
    """Refuse a keyring that, read back from the disk, does not unwrap to what was written."""
    contents = unseal(parse_document(raw, ring.path), ring.root, ring.path)
    if contents != Contents(ring.ring_id, ring.generation, ring.slots, dict(ring.keys)):
        raise KeyringError("the keyring reads back differently than it was written", place=str(ring.path))


def note_seen(ring: Keyring) -> None:
    """Remember the generation, refuse an older one, and trust the commands that the authenticated ring names."""
    if ring.seen is not None:
        remember(ring.seen, ring.ring_id, ring.generation, ring.path, commands_of(ring.slots))


def commands_of(slots: tuple[Slot, ...]) -> list[tuple[str, ...]]:
    """Give the commands that protectors run."""
    return [tuple(slot["argv"]) for slot in slots if isinstance(slot.get("argv"), list)]


def trusting(unlock: Unlock, seen: Path | None, document: Mapping[str, Any]) -> Unlock:
    """Let the commands run that this machine ran for this ring before, and ask for the others."""
    if seen is None:
        return unlock
    known = recall(seen, str(document.get("id"))).commands
    ask = unlock.approve
    return replace(
        unlock, approve=lambda command: command_digest(command) in known or (ask is not None and ask(command))
    )
