"""The shares protector: k of n people together unlock the keyring, and fewer cannot.

What is split is the slot key of a protector, not the root key itself: so shares are withdrawn by removing their
protector, and the keyring holds a commitment to each share, which tells a wrong one from a right one.
"""

from __future__ import annotations

import hmac
from base64 import b32decode, b32encode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import KeyringError, UsageError, WrongKey
from pydp_cli.keys.secret import Secret
from pydp_cli.keys.shamir import combine, split
from pydp_cli.keys.unlock import Unlock

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.keys.ring_document import Slot

PREFIX = "PYDP-SHARE"
VERSION = 1
CHECKSUM_BYTES = 11
PAYLOAD_BYTES = 1 + 4 + 1 + 1 + 32


@dataclass(frozen=True)
class Share:
    """One share: which protector it is of, how many it takes, its number, and its secret part."""

    slot_id: bytes
    threshold: int
    number: int
    part: Secret = field(repr=False)

    def to_text(self) -> str:
        """Write a share for paper: base32 in ten groups of eight, with a checksum. Case and spaces do not matter."""
        raw = bytes([VERSION]) + self.slot_id + bytes([self.threshold, self.number]) + self.part
        encoded = b32encode(raw + _checksum(raw)).decode()
        groups = (encoded[start : start + 8] for start in range(0, len(encoded), 8))
        return f"{PREFIX} {' '.join(groups)}"


def parse_share(text: str, place: str | None = None) -> Share:
    """Read a share as it was typed. A message never quotes it."""
    letters = "".join(part for part in text.upper() if part.isalnum())
    if not letters.startswith("PYDPSHARE"):
        raise KeyringError("this is not a share of a keyring", place=place, hint=f"it begins with {PREFIX}")
    # Base32 has no 0 and 1; whoever types one means the letter.
    encoded = letters.removeprefix("PYDPSHARE").replace("0", "O").replace("1", "I")
    try:
        raw = b32decode(encoded.encode("ascii", errors="replace"))
    except ValueError:
        raw = b""
    payload, checksum = raw[:PAYLOAD_BYTES], raw[PAYLOAD_BYTES:]
    if len(payload) != PAYLOAD_BYTES or checksum != _checksum(payload):
        raise KeyringError("a share was mistyped or cut short: its checksum is wrong", place=place)
    if payload[0] != VERSION:
        raise KeyringError("a share is of an unknown format version", place=place, hint="use a newer pydp")
    return Share(payload[1:5], payload[5], payload[6], Secret(payload[7:]))


def make_shares(*, threshold: int, shares: int, label: str = "") -> tuple[Callable[[bytes], Slot], tuple[str, ...]]:
    """Make a protector that any `threshold` of `shares` people open, and the texts to hand to them.

    The protector is what `add_protector` takes. The texts exist nowhere else.
    """
    from pydp_cli.keys.protectors import labelled, sealed_slot, slot_id_of

    slot_key = token_bytes(32)
    slot_id = bytes.fromhex(slot_id_of(slot_key))
    made = tuple(
        Share(slot_id, threshold, number, Secret(part))
        for number, part in split(slot_key, threshold=threshold, shares=shares).items()
    )
    commitments = [_share_commitment(share) for share in made]
    fields = labelled({"type": "shares", "threshold": threshold, "shares": commitments}, label)
    return lambda root: sealed_slot(fields, slot_key, root), tuple(share.to_text() for share in made)


def split_ring(ring: Keyring, *, threshold: int, shares: int, label: str = "") -> tuple[Keyring, tuple[str, ...]]:
    """Add a protector that any `threshold` of `shares` people open, and give the texts to hand to them."""
    from pydp_cli.keys.changes import add_protector

    protector, texts = make_shares(threshold=threshold, shares=shares, label=label)
    return add_protector(ring, protector), texts


class SharesProtector:
    """Shares. Made by `split_ring`, which also gives the shares."""

    def make(self, options: Mapping[str, str], unlock: Unlock) -> tuple[dict[str, Any], bytes]:
        """Refuse: somebody has to take the shares."""
        del options, unlock
        raise UsageError("shares are made by splitting the keyring", hint="`pydp keys split`")

    def open(self, slot: dict[str, Any], unlock: Unlock) -> bytes | None:
        """Combine the shares at hand that are of this protector."""
        if unlock.shares is None:
            return None
        threshold, commitments = slot.get("threshold"), slot.get("shares")
        if not isinstance(threshold, int) or not isinstance(commitments, list):
            raise KeyringError("the keyring is malformed: its shares")
        texts = unlock.shares()
        given = [parse_share(text, f"share {position}") for position, text in enumerate(texts, 1)]
        parts: dict[int, bytes] = {}
        for share in given:
            if share.slot_id.hex() == slot.get("id"):
                _check_share(share, commitments)
                parts[share.number] = share.part
        if not parts:
            raise WrongKey("these shares are of another keyring, or were withdrawn")
        if len(parts) < threshold:
            raise WrongKey(f"{len(parts)} different shares were given, and it takes {threshold}")
        return combine(dict(list(parts.items())[:threshold]))


def _check_share(share: Share, commitments: list[Any]) -> None:
    if not 1 <= share.number <= len(commitments):
        raise WrongKey(f"share {share.number} is not one of this keyring's")
    if not hmac.compare_digest(str(commitments[share.number - 1]).encode(), _share_commitment(share).encode()):
        raise WrongKey(f"share {share.number} is not the one that was made for this keyring")


def _share_commitment(share: Share) -> str:
    return b64encode(derive_key(share.part, "share commitment", str(share.number), length=32)).decode()


def _checksum(raw: bytes) -> bytes:
    return sha256(b"pydp share" + raw).digest()[:CHECKSUM_BYTES]
