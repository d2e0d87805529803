"""The passphrase protector: a passphrase stretched by Argon2id (RFC 9106, second recommended choice)."""

from __future__ import annotations

import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from pydp_cli.errors import KeyringError, TemporaryFailure, UsageError
from pydp_cli.keys.unlock import Unlock

MOST_MEMORY_KIB, MOST_PASSES, MOST_LANES = 1024 * 1024, 10, 16
"""What a keyring may ask for. A hostile one could exhaust the machine before its MAC is checked."""


@dataclass(frozen=True)
class PassphraseProtector:
    """A passphrase: 64 MiB, 3 passes and 4 lanes for each guess."""

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4
    random: Callable[[int], bytes] = token_bytes

    def make(self, options: Mapping[str, str], unlock: Unlock) -> tuple[dict[str, Any], bytes]:
        """Stretch the passphrase that `unlock` gives, with a new salt."""
        if options:
            raise UsageError("a passphrase protector takes no options")
        if unlock.passphrase is None:
            raise UsageError("no passphrase is given", hint="use --passphrase-file, or run on a terminal to be asked")
        return self._new_slot(unlock.passphrase())

    def open(self, slot: dict[str, Any], unlock: Unlock) -> bytes | None:
        """Stretch the passphrase with the slot's salt, if a passphrase is at hand."""
        if unlock.passphrase is None:
            return None
        memory = _cost(slot, "memory_kib", MOST_MEMORY_KIB)
        passes = _cost(slot, "passes", MOST_PASSES)
        lanes = _cost(slot, "lanes", MOST_LANES)
        if slot.get("kdf") != "argon2id" or memory < 8 * lanes:
            raise KeyringError("the keyring is malformed: how a passphrase is stretched")
        return stretch(unlock.passphrase(), _salt(slot), memory_kib=memory, passes=passes, lanes=lanes)

    def wrap(self, root: bytes, passphrase: str) -> dict[str, Any]:
        """Make the slot for a passphrase."""
        from pydp_cli.keys.protectors import sealed_slot

        fields, slot_key = self._new_slot(passphrase)
        return sealed_slot({"type": "passphrase", **fields}, slot_key, root)

    def _new_slot(self, passphrase: str) -> tuple[dict[str, Any], bytes]:
        if not passphrase:
            raise UsageError("the passphrase is empty")
        salt = self.random(16)
        fields = {
            "kdf": "argon2id",
            "salt": b64encode(salt).decode(),
            "memory_kib": self.memory_kib,
            "passes": self.passes,
            "lanes": self.lanes,
        }
        slot_key = stretch(passphrase, salt, memory_kib=self.memory_kib, passes=self.passes, lanes=self.lanes)
        return fields, slot_key


def stretch(passphrase: str, salt: bytes, *, memory_kib: int, passes: int, lanes: int) -> bytes:
    """Give 32 bytes. The passphrase is normalised to NFC (as RFC 8265 does), for keyboards compose differently."""
    text = unicodedata.normalize("NFC", passphrase).encode()
    try:
        return Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib).derive(text)
    except MemoryError as error:
        raise TemporaryFailure(
            f"a passphrase needs {memory_kib // 1024:,} MiB of memory, which are not free"
        ) from error


def _cost(slot: dict[str, Any], name: str, most: int) -> int:
    value = slot.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise KeyringError(f'the keyring asks for more work than is allowed ("{name}" is at most {most:,})')
    return value


def _salt(slot: dict[str, Any]) -> bytes:
    try:
        salt = b64decode(slot["salt"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise KeyringError("the keyring is malformed: the salt of a passphrase") from error
    if not 8 <= len(salt) <= 64:
        raise KeyringError("the keyring is malformed: the salt of a passphrase")
    return salt
