"""The recipient protector: the slot key sealed to a public key (HPKE), so that a person is added without a meeting."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from secrets import token_bytes
from typing import Any

from pydp_cli.errors import KeyringError, UsageError, WrongKey
from pydp_cli.keys.identities import open_sealed, parse_recipient, read_identity_file, read_recipient, seal_to
from pydp_cli.keys.unlock import Unlock

INFO = b"pydp keyring protector"


class RecipientProtector:
    """A recipient; its identity opens the keyring."""

    def make(self, options: Mapping[str, str], unlock: Unlock) -> tuple[dict[str, Any], bytes]:
        """Seal a new slot key to the recipient in `options` (its text, or a file)."""
        del unlock
        if set(options) != {"recipient"}:
            raise UsageError("a recipient protector takes one option: recipient")
        return self.remake({"recipient": str(read_recipient(options["recipient"]))})

    def remake(self, slot: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Seal another slot key to the slot's recipient."""
        slot_key = token_bytes(32)
        recipient = parse_recipient(slot["recipient"])
        sealed = seal_to(recipient, slot_key, INFO)
        return {"recipient": str(recipient), "sealed": b64encode(sealed).decode()}, slot_key

    def open(self, slot: dict[str, Any], unlock: Unlock) -> bytes | None:
        """Open the slot with the identity that is its recipient's, if any are at hand."""
        files = unlock.identities if unlock.identity is None else (unlock.identity, *unlock.identities)
        if not files:
            return None
        known = {str(identity.recipient()): identity for identity in map(read_identity_file, files)}
        identity = known.get(str(slot.get("recipient")))
        if identity is None:
            raise WrongKey("this identity does not unlock the keyring")
        try:
            sealed = b64decode(slot["sealed"], validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise KeyringError("the keyring is malformed: what is sealed to a recipient") from error
        return open_sealed(identity, sealed, INFO)
