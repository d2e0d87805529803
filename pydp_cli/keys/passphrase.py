"""The passphrase protector: a passphrase stretched by Argon2id (RFC 9106, second recommended choice)."""

from __future__ import annotations

import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from pydp_cli.errors import KeyringError, TemporaryFailure, UsageError
from pydp_cli.keys.unlock import Unlock

MOST_MEMORY_KIB, MOST_PASSES, MOST_LANES = 1024 * 1024, 10, 16
"""What a keyring may ask for. A hostile one could exhaust the machine before its MAC is checked."""


@dataclass(frozen=True)
class Stretching:
    """How a secret that a person chose is stretched: by default 64 MiB, 3 passes and 4 lanes for each guess."""

    salt: bytes
    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4

    def stretch(self, secret: bytes) -> bytes:
        """Give 32 bytes."""
        kdf = Argon2id(salt=self.salt, length=32, iterations=self.passes, lanes=self.lanes, memory_cost=self.memory_kib)
        try:
            return kdf.derive(secret)
        except MemoryError as error:
            raise TemporaryFailure(f"checking a passphrase takes {self.memory_kib // 1024:,} MiB of memory") from error

    def fields(self) -> dict[str, Any]:
        """Give what a slot keeps."""
        return {
            "kdf": "argon2id",
            "salt": b64encode(self.salt).decode(),
            "memory_kib": self.memory_kib,
            "passes": self.passes,
            "lanes": self.lanes,
        }


def stretching_of(slot: Mapping[str, Any]) -> Stretching:
    """Give how a slot's secret is stretched; refuses more work than is allowed."""
    memory = _cost(slot, "memory_kib", MOST_MEMORY_KIB)
    passes = _cost(slot, "passes", MOST_PASSES)
    lanes = _cost(slot, "lanes", MOST_LANES)
    try:
        salt = b64decode(slot["salt"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise KeyringError("the keyring is malformed: the salt of a passphrase") from error
    if slot.get("kdf") != "argon2id" or memory < 8 * lanes or not 8 <= len(salt) <= 64:
        raise KeyringError("the keyring is malformed: how a passphrase is stretched")
    return Stretching(salt, memory, passes, lanes)


def _cost(slot: Mapping[str, Any], name: str, most: int) -> int:
    value = slot.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise KeyringError(f'the keyring asks for more work than is allowed ("{name}" is at most {most:,})')
    return value


class PassphraseProtector:
    """A passphrase that a person remembers, or a file holds."""

    def make(self, options: Mapping[str, str], unlock: Unlock) -> tuple[dict[str, Any], bytes]:
        """Stretch the passphrase that `unlock` gives, with a new salt."""
        if options:
            raise UsageError("a passphrase protector takes no options")
        if unlock.passphrase is None:
            raise UsageError("no passphrase is given", hint="use --passphrase-file, or run on a terminal to be asked")
        passphrase = unlock.passphrase()
        if not passphrase:
            raise UsageError("the passphrase is empty")
        stretching = Stretching(token_bytes(16))
        return stretching.fields(), stretching.stretch(prepared(passphrase))

    def open(self, slot: dict[str, Any], unlock: Unlock) -> bytes | None:
        """Stretch the passphrase with the slot's salt, if one is at hand. An empty answer to a prompt is none."""
        passphrase = "" if unlock.passphrase is None else unlock.passphrase()
        return stretching_of(slot).stretch(prepared(passphrase)) if passphrase else None


def prepared(passphrase: str) -> bytes:
    """Give the passphrase's bytes: NFC, as RFC 8265 has it, because keyboards compose letters differently."""
    return unicodedata.normalize("NFC", passphrase).encode()
