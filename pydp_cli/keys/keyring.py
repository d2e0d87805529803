"""The keyring: named keys in versions, and the column keys that are derived from them.

The ring holds one random root key, wrapped by each protector; the root wraps the named keys (AES-256-KWP, NIST SP
800-38F). Only column keys leave the ring: HKDF over a key's primary version with the purpose, the dataset or domain,
and the column.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from secrets import token_bytes
from typing import Any

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding, aes_key_wrap_with_padding

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import KeyringError, Refused, UsageError, WrongKey
from pydp_cli.keys.protectors import Slot, unwrap_root
from pydp_cli.keys.ring_file import (
    FORMAT,
    VERSION,
    Document,
    check_mac,
    locked,
    read_document,
    sealed,
    write_document,
)
from pydp_cli.keys.unlock import Unlock

NAMES = ("pseudonym", "token", "cell", "file", "sign")
"""The keys of a new ring."""
FAMILIES = {
    "blind_index": "cell",
    "cell": "cell",
    "file": "file",
    "fpe": "token",
    "sign": "sign",
    "token": "token",
}
"""The key that serves a purpose. Every other purpose is a kind of pseudonymization, and served by `pseudonym`."""

TRANSITIONS = {
    "pending": {"primary", "destroyed"},
    "primary": {"enabled"},
    "enabled": {"primary", "disabled"},
    "disabled": {"enabled", "destroyed"},
    "destroyed": set[str](),
}

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Give the time that new keys are stamped with."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class KeyVersion:
    """One version of a named key. A destroyed version has no secret, and stays as a tombstone."""

    name: str
    version: int
    key_id: bytes
    state: str
    created: str
    changed: str
    secret: bytes | None = field(repr=False)


@dataclass(frozen=True)
class ColumnKey:
    """A derived key, and which key of the ring it came from."""

    key: bytes = field(repr=False)
    key_id: bytes
    key_name: str
    version: int


@dataclass(frozen=True)
class Keyring:
    """An unlocked keyring. Immutable: changes are made by `change_keyring`, which writes a new generation."""

    path: Path
    ring_id: str
    generation: int
    slots: tuple[Slot, ...] = field(repr=False)
    keys: Mapping[str, tuple[KeyVersion, ...]]
    root: bytes = field(repr=False)

    def column_key(
        self, purpose: str, scope: str, column: str = "", *, version: int | None = None, length: int = 64
    ) -> ColumnKey:
        """Derive the key of a column for a purpose, in a scope (a dataset or a domain).

        The most specific key serves: `pseudonym/customer`, if there is one, else `pseudonym`. Without `version`, its
        primary version.
        """
        name = self.serving(purpose, scope)
        chosen = self.primary(name) if version is None else self._numbered(name, version)
        return self._derived(chosen, purpose, scope, column, length)

    def column_key_by_id(
        self, key_id: bytes, purpose: str, scope: str, column: str = "", *, length: int = 64
    ) -> ColumnKey:
        """Derive the key of a column under the version that a ciphertext names by its key id."""
        return self._derived(self.by_id(key_id), purpose, scope, column, length)

    def serving(self, purpose: str, scope: str) -> str:
        """Name the key that serves a purpose in a scope."""
        family = FAMILIES.get(purpose, "pseudonym")
        specific = f"{family}/{scope}"
        return specific if specific in self.keys else family

    def primary(self, name: str) -> KeyVersion:
        """Give the version of a key under which new data is written."""
        for version in self.keys.get(name, ()):
            if version.state == "primary":
                return version
        raise KeyringError(f'the keyring has no primary key "{name}"', place=str(self.path))

    def by_id(self, key_id: bytes) -> KeyVersion:
        """Give a usable version by its key id; tells unknown, disabled and destroyed keys apart."""
        for versions in self.keys.values():
            for version in versions:
                if version.key_id == key_id:
                    return self._usable(version)
        raise WrongKey(
            f"key {key_id.hex()} is not in the keyring",
            place=str(self.path),
            hint="use the keyring that this was encrypted with",
        )

    def _numbered(self, name: str, number: int) -> KeyVersion:
        for version in self.keys.get(name, ()):
            if version.version == number:
                return self._usable(version)
        raise KeyringError(f'the keyring has no version {number} of key "{name}"', place=str(self.path))

    def _usable(self, version: KeyVersion) -> KeyVersion:
        label = f'key {version.key_id.hex()} ("{version.name}", version {version.version})'
        if version.state == "destroyed":
            raise WrongKey(f"{label} was destroyed on {version.changed}", place=str(self.path))
        if version.state == "disabled":
            raise WrongKey(
                f"{label} is disabled since {version.changed}",
                place=str(self.path),
                hint=f"`pydp keys enable {version.key_id.hex()}` makes it usable again",
            )
        return version

    def _derived(self, version: KeyVersion, purpose: str, scope: str, column: str, length: int) -> ColumnKey:
        assert version.secret is not None
        key = derive_key(version.secret, purpose, scope, column, length=length)
        return ColumnKey(key, version.key_id, version.name, version.version)

    def document(self) -> Document:
        """Give the ring as it is written, every key wrapped."""
        wrapping = derive_key(self.root, "keyring wrap", length=32)
        return sealed(
            {
                "format": FORMAT,
                "version": VERSION,
                "id": self.ring_id,
                "generation": self.generation,
                "protectors": list(self.slots),
                "keys": {
                    name: [_version_document(version, wrapping) for version in versions]
                    for name, versions in self.keys.items()
                },
            },
            self.root,
        )


def create_keyring(path: Path, protect: Callable[[bytes], Slot], *, clock: Clock = utc_now) -> Keyring:
    """Make a keyring with one primary version of each key in `NAMES`; `protect` wraps the root key."""
    root = token_bytes(32)
    ring = Keyring(path, token_bytes(16).hex(), 1, (protect(root),), {}, root)
    for name in NAMES:
        ring = with_new_version(ring, name, clock=clock, state="primary")
    ring = replace(ring, generation=1)
    write_document(path, ring.document(), new=True)
    return ring


def open_keyring(path: Path, unlock: Unlock, *, seen: Path | None = None) -> Keyring:
    """Unlock a keyring, and check that it was not altered, nor is older than one that was seen before."""
    document = read_document(path)
    slots = document.get("protectors")
    if not isinstance(slots, list) or not all(isinstance(slot, dict) for slot in slots):
        raise KeyringError("the keyring is malformed", place=str(path), hint="restore it from a backup")
    try:
        root = unwrap_root(slots, unlock)
    except (KeyringError, Refused) as error:
        error.place = error.place or str(path)
        raise
    check_mac(document, root, path)
    ring = _opened(document, root, path)
    if seen is not None:
        _check_generation(ring, seen)
    return ring


def change_keyring(
    path: Path, unlock: Unlock, change: Callable[[Keyring], Keyring], *, seen: Path | None = None
) -> Keyring:
    """Write a new generation of the ring, as `change` makes it, and open it again before anything is done with it."""
    with locked(path):
        ring = open_keyring(path, unlock, seen=seen)
        changed = replace(change(ring), generation=ring.generation + 1)
        write_document(path, changed.document(), new=False)
        document = read_document(path)
        check_mac(document, changed.root, path)
        opened = _opened(document, changed.root, path)
        if seen is not None:
            _check_generation(opened, seen)
        return opened


def with_new_version(ring: Keyring, name: str, *, clock: Clock = utc_now, state: str = "pending") -> Keyring:
    """Give the ring with a new random version of a key, which may be a new key."""
    taken = {version.key_id for versions in ring.keys.values() for version in versions}
    secret, key_id = token_bytes(32), b""
    while not key_id or key_id in taken:
        secret = token_bytes(32)
        key_id = derive_key(secret, "key id", length=4)
    now = clock().isoformat(timespec="seconds")
    versions = ring.keys.get(name, ())
    number = max((version.version for version in versions), default=0) + 1
    added = KeyVersion(name, number, key_id, state, now, now, secret)
    return replace(ring, keys={**ring.keys, name: (*versions, added)})


def with_state(ring: Keyring, key_id: bytes, state: str, *, clock: Clock = utc_now) -> Keyring:
    """Give the ring with a version in another state; a new primary makes the one before it `enabled`.

    Destroying removes the secret and leaves the tombstone. Raises `UsageError` for a transition that is not legal.
    """
    now = clock().isoformat(timespec="seconds")
    keys = dict(ring.keys)
    for name, versions in ring.keys.items():
        if not any(version.key_id == key_id for version in versions):
            continue
        changed = []
        for version in versions:
            if version.key_id == key_id:
                if state not in TRANSITIONS[version.state]:
                    raise UsageError(f"a key that is {version.state} cannot become {state}", place=key_id.hex())
                secret = None if state == "destroyed" else version.secret
                changed.append(replace(version, state=state, changed=now, secret=secret))
            elif state == "primary" and version.state == "primary":
                changed.append(replace(version, state="enabled", changed=now))
            else:
                changed.append(version)
        keys[name] = tuple(changed)
        return replace(ring, keys=keys)
    raise UsageError(f"key {key_id.hex()} is not in the keyring", place=str(ring.path))


def _version_document(version: KeyVersion, wrapping: bytes) -> dict[str, Any]:
    document = {
        "version": version.version,
        "id": version.key_id.hex(),
        "state": version.state,
        "created": version.created,
        "changed": version.changed,
    }
    if version.secret is not None:
        document["wrapped"] = b64encode(aes_key_wrap_with_padding(wrapping, version.secret)).decode()
    return document


def _opened(document: Document, root: bytes, path: Path) -> Keyring:
    wrapping = derive_key(root, "keyring wrap", length=32)
    try:
        keys = {
            name: tuple(_opened_version(name, version, wrapping) for version in versions)
            for name, versions in document["keys"].items()
        }
        return Keyring(path, document["id"], document["generation"], tuple(document["protectors"]), keys, root)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidUnwrap) as error:
        raise KeyringError("the keyring is malformed", place=str(path), hint="restore it from a backup") from error


def _opened_version(name: str, document: dict[str, Any], wrapping: bytes) -> KeyVersion:
    secret = None
    if document["state"] != "destroyed":
        secret = aes_key_unwrap_with_padding(wrapping, b64decode(document["wrapped"], validate=True))
    key_id = bytes.fromhex(document["id"])
    if secret is not None and derive_key(secret, "key id", length=4) != key_id:
        raise ValueError("a key does not have the id that it is listed under")
    return KeyVersion(
        name, document["version"], key_id, document["state"], document["created"], document["changed"], secret
    )


def _check_generation(ring: Keyring, seen: Path) -> None:
    """Refuse a ring older than the newest generation that this user has seen, and remember a newer one."""
    mark = seen / f"{ring.ring_id}.generation"
    try:
        newest = int(mark.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        newest = 0
    if ring.generation < newest:
        raise Refused(
            f"the keyring is older than one that was used before (generation {ring.generation}, seen {newest})",
            place=str(ring.path),
            hint="put the newest keyring back; keys made since then may be missing from this one",
        )
    if ring.generation > newest:
        seen.mkdir(mode=0o700, parents=True, exist_ok=True)
        temp = mark.with_suffix(".tmp")
        temp.write_text(str(ring.generation), encoding="ascii")
        temp.replace(mark)
