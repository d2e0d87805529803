"""What a keyring's document says: keys wrapped by the root (AES-256-KWP, NIST SP 800-38F), all of it under a MAC."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding, aes_key_wrap_with_padding

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import KeyringError, Refused
from pydp_cli.keys.key_version import COLUMN_KEY_BYTES, KEY_BYTES, TRANSITIONS, KeyVersion, key_id_of
from pydp_cli.keys.ring_file import FORMAT, RESTORE, VERSION, Document, canonical
from pydp_cli.keys.secret import Secret

Slot = dict[str, Any]
"""A protector as the keyring holds it: its `type`, `id` and `label`, what opening it needs, the wrapped root key."""

MOST_SLOTS = 64
NOT_SHOWN = frozenset({"commit", "wrapped"})


@dataclass(frozen=True)
class Contents:
    """What is in a ring, unwrapped."""

    ring_id: str
    generation: int
    slots: tuple[Slot, ...]
    keys: Mapping[str, tuple[KeyVersion, ...]]


@dataclass(frozen=True)
class RingInfo:
    """What a keyring shows without being unlocked. Nobody has vouched for it: its MAC needs the root key."""

    ring_id: str
    generation: int
    protectors: tuple[Mapping[str, Any], ...]
    keys: tuple[Mapping[str, Any], ...]


def seal(contents: Contents, root: bytes) -> Document:
    """Write a ring as a document, every key wrapped, with its MAC."""
    wrapping = derive_key(root, "keyring wrap", length=32)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "id": contents.ring_id,
        "generation": contents.generation,
        "protectors": list(contents.slots),
        "keys": {
            name: [_sealed_version(version, wrapping) for version in versions]
            for name, versions in contents.keys.items()
        },
    }
    return {**document, "mac": _mac(document, root)}


def unseal(document: Document, root: bytes, path: Path) -> Contents:
    """Give the contents of a document, after its MAC: that covers protectors, states, tombstones and the generation."""
    given = document.get("mac")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), _mac(document, root).encode()):
        raise Refused("the keyring was altered: its MAC is wrong", place=str(path), hint=RESTORE)
    wrapping = derive_key(root, "keyring wrap", length=32)
    try:
        keys = {
            name: tuple(_opened_version(name, version, wrapping) for version in versions)
            for name, versions in document["keys"].items()
        }
        contents = Contents(document["id"], int(document["generation"]), tuple(document["protectors"]), keys)
        _check(contents)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidUnwrap) as error:
        raise KeyringError("the keyring is malformed", place=str(path), hint=RESTORE) from error
    return contents


def slots_of(document: Document, path: Path) -> tuple[Slot, ...]:
    """Give the protectors of a document that is not authenticated yet."""
    slots = document.get("protectors")
    if (
        not isinstance(slots, list)
        or not 1 <= len(slots) <= MOST_SLOTS
        or not all(isinstance(slot, dict) and isinstance(slot.get("type"), str) for slot in slots)
    ):
        raise KeyringError("the keyring is malformed: its protectors", place=str(path), hint=RESTORE)
    return tuple(slots)


def describe(document: Document, path: Path) -> RingInfo:
    """Give what a document shows without the root key: no wrapped key, and nothing that a terminal would obey."""
    try:
        keys = tuple(
            {"name": name, **{field: value for field, value in version.items() if field != "wrapped"}}
            for name, versions in document["keys"].items()
            for version in versions
        )
        protectors = tuple(
            {field: value for field, value in slot.items() if field not in NOT_SHOWN}
            for slot in slots_of(document, path)
        )
        info = RingInfo(str(document["id"]), int(document["generation"]), protectors, keys)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KeyringError("the keyring is malformed", place=str(path), hint=RESTORE) from error
    if not _printable([info.ring_id, list(protectors), list(keys)]):
        raise KeyringError("the keyring is malformed: it holds control characters", place=str(path), hint=RESTORE)
    return info


def is_name(text: str) -> bool:
    """Tell whether a key or a protector may be called that: printable, and short enough for a table."""
    return 0 < len(text) <= 200 and text.isprintable() and text == text.strip()


def _printable(value: object) -> bool:
    if isinstance(value, str):
        return value.isprintable()
    if isinstance(value, Mapping):
        return all(_printable(part) for part in (*value.keys(), *value.values()))
    if isinstance(value, Sequence):
        return all(_printable(part) for part in value)
    return True


def _mac(document: Document, root: bytes) -> str:
    body = {name: value for name, value in document.items() if name != "mac"}
    return b64encode(hmac.digest(derive_key(root, "keyring mac", length=32), canonical(body), "sha256")).decode()


def _sealed_version(version: KeyVersion, wrapping: bytes) -> dict[str, Any]:
    document = {
        "version": version.version,
        "id": version.key_id.hex(),
        "state": version.state,
        "created": version.created,
        "changed": version.changed,
    }
    if version.proof:
        document["proof"] = version.proof
    if version.place is not None:
        document["place"] = list(version.place)
    if version.secret is not None:
        document["wrapped"] = b64encode(aes_key_wrap_with_padding(wrapping, version.secret)).decode()
    return document


def _opened_version(name: str, document: dict[str, Any], wrapping: bytes) -> KeyVersion:
    secret = None
    if document["state"] != "destroyed":
        secret = Secret(aes_key_unwrap_with_padding(wrapping, b64decode(document["wrapped"], validate=True)))
    place = document.get("place")
    return KeyVersion(
        name,
        document["version"],
        bytes.fromhex(document["id"]),
        document["state"],
        document["created"],
        document["changed"],
        secret,
        document.get("proof", ""),
        None if place is None else (str(place[0]), str(place[1])),
    )


def _check(contents: Contents) -> None:
    """Refuse what no pydp writes, whoever sealed it: the rest of the code relies on it."""
    seen: set[bytes] = set()
    for name, versions in contents.keys.items():
        numbers = [version.version for version in versions]
        if not is_name(name) or numbers != sorted(set(numbers)):
            raise ValueError("a key has no proper name or its versions are out of order")
        if sum(version.state == "primary" for version in versions) > 1:
            raise ValueError("a key has two primary versions")
        for version in versions:
            if version.state not in TRANSITIONS or len(version.key_id) != 4 or version.key_id in seen:
                raise ValueError("a key has an unknown state, or the id of another one")
            if version.secret is not None and not _has_its_id(version.secret, version):
                raise ValueError("a key does not have the id that it is listed under")
            if version.place is not None and version.state in {"pending", "primary"}:
                raise ValueError("an imported key makes no data")
            seen.add(version.key_id)


def _has_its_id(secret: bytes, version: KeyVersion) -> bool:
    """Tell whether a key is the one that its id names; of an imported column key, the id is that of its origin."""
    if version.place is not None:
        return len(secret) == COLUMN_KEY_BYTES
    return len(secret) == KEY_BYTES and key_id_of(secret) == version.key_id
