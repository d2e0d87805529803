"""Protectors: the ways to wrap a keyring's root key, each readable by another person or machine.

A protector is a JSON object in the keyring with a `type`, what unwrapping needs, and the wrapped root key. Other
packages offer more types as entry points of the group `pydp.key_protectors`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from secrets import token_bytes
from typing import Any, Protocol

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding, aes_key_wrap_with_padding

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import KeyringError, WrongKey
from pydp_cli.keys.unlock import Unlock, read_key_file

Slot = dict[str, Any]

ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES = 64 * 1024, 3, 4
MOST_MEMORY_KIB, MOST_PASSES, MOST_LANES = 1024 * 1024, 10, 16


class Protector(Protocol):
    """One type of protector."""

    def unwrap(self, slot: Slot, unlock: Unlock) -> bytes | None:
        """Give the root key; None where `unlock` brings nothing for this type. Raises `WrongKey` if it does not fit."""
        ...


class KeyFileProtector:
    """A file of 32 random bytes."""

    def wrap(self, root: bytes, key: bytes) -> Slot:
        """Make the slot for a key file's key."""
        return {"type": "key-file", "wrapped": _wrap(derive_key(key, "key-file protector", length=32), root)}

    def unwrap(self, slot: Slot, unlock: Unlock) -> bytes | None:
        """Give the root key, if a key file is at hand."""
        if unlock.key_file is None:
            return None
        key = read_key_file(unlock.key_file)
        return _unwrap(derive_key(key, "key-file protector", length=32), slot, "the key file")


class PassphraseProtector:
    """A passphrase, stretched by Argon2id (RFC 9106, second recommended choice: 64 MiB, 3 passes, 4 lanes)."""

    def wrap(self, root: bytes, passphrase: str) -> Slot:
        """Make the slot for a passphrase."""
        slot: Slot = {
            "type": "argon2id",
            "salt": b64encode(token_bytes(16)).decode(),
            "memory_kib": ARGON2_MEMORY_KIB,
            "passes": ARGON2_PASSES,
            "lanes": ARGON2_LANES,
        }
        slot["wrapped"] = _wrap(self._stretch(slot, passphrase), root)
        return slot

    def unwrap(self, slot: Slot, unlock: Unlock) -> bytes | None:
        """Give the root key, if a passphrase is at hand."""
        if unlock.passphrase is None:
            return None
        return _unwrap(self._stretch(slot, unlock.passphrase()), slot, "the passphrase")

    def _stretch(self, slot: Slot, passphrase: str) -> bytes:
        memory = _work_of(slot, "memory_kib", MOST_MEMORY_KIB)
        passes = _work_of(slot, "passes", MOST_PASSES)
        lanes = _work_of(slot, "lanes", MOST_LANES)
        salt = _bytes_of(slot, "salt")
        stretch = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
        return stretch.derive(passphrase.encode())


def _wrap(key: bytes, root: bytes) -> str:
    return b64encode(aes_key_wrap_with_padding(key, root)).decode()


def _unwrap(key: bytes, slot: Slot, what: str) -> bytes:
    try:
        return aes_key_unwrap_with_padding(key, _bytes_of(slot, "wrapped"))
    except (InvalidUnwrap, ValueError) as error:
        raise WrongKey(f"{what} does not unlock this keyring") from error


def _work_of(slot: Slot, name: str, most: int) -> int:
    """Give a cost that the keyring asks for; a hostile one could exhaust the machine."""
    value = slot.get(name)
    if not isinstance(value, int) or not 1 <= value <= most:
        raise KeyringError(f'the keyring asks for more work than is allowed ("{name}" is at most {most})')
    return value


def _bytes_of(slot: Slot, name: str) -> bytes:
    try:
        return b64decode(slot[name], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise KeyringError(f'the keyring is malformed: a protector\'s "{name}" is missing or not base64') from error


BUILT_IN: dict[str, Callable[[], Protector]] = {"key-file": KeyFileProtector, "argon2id": PassphraseProtector}


@cache
def protectors() -> dict[str, Protector]:
    """Give all types of protectors: ours, and those that installed packages offer."""
    found = {name: make() for name, make in BUILT_IN.items()}
    for entry in entry_points(group="pydp.key_protectors"):
        found.setdefault(entry.name, entry.load()())
    return found


def unwrap_root(slots: list[Slot], unlock: Unlock) -> bytes:
    """Give the root key by the first protector that opens; raises `WrongKey` where none of them does."""
    refusals: list[WrongKey] = []
    tried = False
    for slot in slots:
        protector = protectors().get(str(slot.get("type")))
        if protector is None:
            continue
        try:
            root = protector.unwrap(slot, unlock)
        except WrongKey as refusal:
            refusals.append(refusal)
            continue
        tried = tried or root is not None
        if root is not None:
            return root
    if refusals:
        raise refusals[-1]
    types = ", ".join(sorted({str(slot.get("type")) for slot in slots}))
    raise KeyringError(
        f"the keyring is locked, and nothing that unlocks it was given (protectors: {types})",
        hint="use --key-file or --passphrase-file, or run on a terminal to be asked",
    )
