"""Protectors: the ways to unlock a keyring, each for another person or machine.

A protector gives a 32-byte slot key. The slot key wraps the ring's random root key, so that people and machines come
and go without touching data. Each type is a class with `make` and `open` (see `Protector`) in a module of its own;
other packages offer more as entry points of the group `pydp.key_protectors`, whose name is the type.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast, runtime_checkable

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding, aes_key_wrap_with_padding

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import KeyringError, MissingExtra, PydpError, TemporaryFailure, UsageError, WrongKey
from pydp_cli.keys.key_file import KeyFileProtector
from pydp_cli.keys.passphrase import PassphraseProtector
from pydp_cli.keys.ring_document import Slot, is_name
from pydp_cli.keys.secret import Secret
from pydp_cli.keys.unlock import Unlock

__all__ = ["KeyFileProtector", "PassphraseProtector", "Protector", "Slot", "protect", "protectors", "unwrap_root"]

Options = Mapping[str, str]
OWN_FIELDS = frozenset({"type", "id", "label", "commit", "wrapped"})


class Protector(Protocol):
    """One type of protector."""

    def make(self, options: Options, unlock: Unlock) -> tuple[Slot, bytes]:
        """Give what a new slot of this type keeps (JSON, not secret), and its 32-byte slot key."""
        ...

    def open(self, slot: Slot, unlock: Unlock) -> bytes | None:
        """Give the slot key; None where `unlock` brings nothing for this type.

        Nothing in the slot is authenticated yet. Raises `WrongKey` where what was brought does not fit.
        """
        ...


@runtime_checkable
class Remaking(Protocol):
    """A type whose slots can be made anew with nothing but the slot, such as a recipient's public key."""

    def remake(self, slot: Slot) -> tuple[Slot, bytes]:
        """Give what `make` gave, for the same person or machine, under a new slot key."""
        ...


BUILT_IN = {
    "key-file": "pydp_cli.keys.key_file:KeyFileProtector",
    "recipient": "pydp_cli.keys.recipient:RecipientProtector",
    "shares": "pydp_cli.keys.shares:SharesProtector",
    "passphrase": "pydp_cli.keys.passphrase:PassphraseProtector",
    "command": "pydp_cli.keys.command:CommandProtector",
    "aws-kms": "pydp_cli.keys.aws_kms:AwsKmsProtector",
    "vault": "pydp_cli.keys.vault:VaultProtector",
}


@cache
def protectors() -> Mapping[str, Callable[[], Protector]]:
    """Give how to make each type of protector: ours, and those that installed packages offer. Loaded on use."""
    found = {name: _built_in(target) for name, target in BUILT_IN.items()}
    for entry in entry_points(group="pydp.key_protectors"):
        found.setdefault(entry.name, partial(_offered, entry))
    return found


def _offered(entry: EntryPoint) -> Protector:
    return cast("Protector", entry.load()())


def _built_in(target: str) -> Callable[[], Protector]:
    module, name = target.split(":")
    return lambda: cast("Protector", getattr(import_module(module), name)())


def protect(kind: str, unlock: Unlock, options: Options | None = None, *, label: str = "") -> Callable[[bytes], Slot]:
    """Give what makes a slot of a type for a root key: the argument of `create_keyring` and `add_protector`."""
    maker = protectors().get(kind)
    if maker is None:
        raise UsageError(f'there is no protector "{kind}"', hint=f"one of: {', '.join(sorted(protectors()))}")
    fields, slot_key = maker().make(options or {}, unlock)
    fields = labelled(fields, label)
    return lambda root: sealed_slot({"type": kind, **fields}, slot_key, root)


def labelled(fields: Slot, label: str) -> Slot:
    """Give a slot's fields with the label that people know it by, if it has one."""
    if not label:
        return fields
    if not is_name(label):
        raise UsageError("a protector's label is a short line of printable characters")
    return {**fields, "label": label}


def sealed_slot(fields: Slot, slot_key: bytes, root: bytes) -> Slot:
    """Give a slot that opens with its slot key. The commitment keeps a slot from opening under two keys."""
    commit = b64encode(_commitment(slot_key)).decode()
    wrapped = b64encode(aes_key_wrap_with_padding(_wrapping(slot_key), root)).decode()
    return {**fields, "id": slot_id_of(slot_key), "commit": commit, "wrapped": wrapped}


def slot_id_of(slot_key: bytes) -> str:
    """Name a slot by a PRF of its key."""
    return _commitment(slot_key)[:4].hex()


def opened_slot(slot: Slot, slot_key: bytes) -> Secret:
    """Give the root key that a slot holds; raises `WrongKey` where the slot key is not the slot's."""
    try:
        commit = b64decode(slot["commit"], validate=True)
        wrapped = b64decode(slot["wrapped"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise KeyringError("the keyring is malformed: a protector") from error
    if not hmac.compare_digest(commit, _commitment(slot_key)):
        raise WrongKey(f"this is not what unlocks the keyring (protector: {_named(slot)})")
    try:
        root = Secret(aes_key_unwrap_with_padding(_wrapping(slot_key), wrapped))
    except (InvalidUnwrap, ValueError) as error:
        raise WrongKey(f"the root key in a protector was altered (protector: {_named(slot)})") from error
    if len(root) != 32:
        raise KeyringError("the keyring is malformed: a protector")
    return root


def slot_key_of(slot: Slot, unlock: Unlock) -> bytes | None:
    """Give a slot's key; None where nothing for it was brought, or where no such type is installed."""
    maker = protectors().get(str(slot.get("type")))
    return None if maker is None else maker().open(slot, unlock)


def renewed_slot(slot: Slot, root: bytes, unlock: Unlock) -> Slot | None:
    """Give a slot as it is for a new root key; None where that needs something that was not brought."""
    fields = {name: value for name, value in slot.items() if name not in OWN_FIELDS or name in {"type", "label"}}
    try:
        slot_key = slot_key_of(slot, unlock)
        if slot_key is not None:
            opened_slot(slot, slot_key)
            return sealed_slot(fields, slot_key, root)
    except WrongKey:
        return None
    maker = protectors().get(slot["type"])
    protector = None if maker is None else maker()
    if not isinstance(protector, Remaking):
        return None
    remade, slot_key = protector.remake(slot)
    return sealed_slot({**fields, **remade}, slot_key, root)


def unwrap_root(slots: tuple[Slot, ...], unlock: Unlock) -> tuple[Secret, Slot]:
    """Give the root key by the first protector that opens, and that protector.

    Raises `WrongKey` where none of those tried fits, `KeyringError` where nothing was brought to try.
    """
    refusal: PydpError | None = None
    if unlock.passphrase is not None:
        unlock = replace(unlock, passphrase=cache(unlock.passphrase))
    for slot in sorted(slots, key=_turn):
        tried = _tried(slot, unlock)
        if isinstance(tried, Secret):
            return tried, slot
        refusal = tried or refusal
    if refusal is not None:
        raise refusal
    kinds = ", ".join(sorted({_printable(slot.get("type")) for slot in slots}))
    raise KeyringError(
        f"the keyring is locked, and nothing that unlocks it was given (protectors: {kinds})",
        hint=_bring(slots),
    )


BRING = {
    "key-file": "--key-file",
    "passphrase": "--passphrase-file, or a terminal to be asked on",
    "recipient": "--identity",
    "shares": "--share-file",
    "command": "--unlock-command with `pydp keys show`, once",
    "vault": "VAULT_ADDR and `vault login`",
}


def _bring(slots: tuple[Slot, ...]) -> str:
    """Say what would unlock one of these protectors."""
    ways = dict.fromkeys(BRING[slot["type"]] for slot in sorted(slots, key=_turn) if slot["type"] in BRING)
    return f"unlock it with {'; '.join(ways)}" if ways else "install the package that offers one of these protectors"


def _turn(slot: Slot) -> int:
    """Try what is at hand before what asks a person, and that before what runs a command or calls a service."""
    order = list(BUILT_IN)
    return order.index(slot["type"]) if slot["type"] in order else len(order)


def _tried(slot: Slot, unlock: Unlock) -> Secret | PydpError | None:
    """Give the root key, or why this protector does not open, or None where nothing was brought for it."""
    try:
        slot_key = slot_key_of(slot, unlock)
        return None if slot_key is None else opened_slot(slot, slot_key)
    except (WrongKey, TemporaryFailure, MissingExtra) as refusal:
        return refusal


def _commitment(slot_key: bytes) -> bytes:
    return derive_key(slot_key, "protector commitment", length=32)


def _wrapping(slot_key: bytes) -> bytes:
    return derive_key(slot_key, "protector wrap", length=32)


def _named(slot: Slot) -> str:
    label = slot.get("label")
    return _printable(slot.get("type")) + (f', "{_printable(label)}"' if label else "")


def _printable(value: object) -> str:
    text = str(value)
    return text[:200] if text.isprintable() else "?"
