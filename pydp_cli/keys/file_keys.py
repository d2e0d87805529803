"""Who can open a whole file: its key wrapped under a keyring's `file` key, or sealed to recipients."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from pydp_cli.crypto.container import Unwrap, Wrap, rewrap
from pydp_cli.crypto.container_header import BY_HYBRID, BY_KEYRING, BY_X25519, Stanza
from pydp_cli.errors import Tampered, WrongKey
from pydp_cli.keys.identities import HYBRID, X25519, Identity, Recipient, open_sealed, seal_to
from pydp_cli.keys.keyring import Keyring

KINDS = {X25519: BY_X25519, HYBRID: BY_HYBRID}
INFO = b"pydp envelope"
SCOPE = "envelope"


def recipient_id(recipient: Recipient) -> bytes:
    """Give the 4 bytes by which a file names a recipient: the start of SHA-256 of its public key."""
    return sha256(recipient.public).digest()[:4]


def wrap_with_keyring(ring: Keyring) -> Wrap:
    """Wrap under the primary version of the ring's `file` key (AES-256-KWP, by a key of this file's own)."""

    def wrap(file_key: bytes, file_id: bytes) -> Stanza:
        key = ring.column_key("file", SCOPE, file_id.hex(), length=32)
        return Stanza(BY_KEYRING, key.key_id, aes_key_wrap_with_padding(key.key, file_key))

    return wrap


def unwrap_with_keyring(ring: Keyring) -> Unwrap:
    """Unwrap with the version of a key that the file names."""

    def unwrap(stanza: Stanza, file_id: bytes) -> bytes | None:
        if stanza.kind != BY_KEYRING:
            return None
        key = ring.column_key("file", SCOPE, file_id.hex(), version=stanza.key_id, length=32)
        try:
            return aes_key_unwrap_with_padding(key.key, stanza.body)
        except (InvalidUnwrap, ValueError) as error:
            raise Tampered("the wrapped file key was altered, or is another file's") from error

    return unwrap


def wrap_to(recipient: Recipient) -> Wrap:
    """Seal to a recipient (HPKE)."""

    def wrap(file_key: bytes, file_id: bytes) -> Stanza:
        return Stanza(KINDS[recipient.kind], recipient_id(recipient), seal_to(recipient, file_key, INFO + file_id))

    return wrap


def unwrap_with(identity: Identity) -> Unwrap:
    """Open what was sealed to an identity's recipient."""
    recipient = identity.recipient()

    def unwrap(stanza: Stanza, file_id: bytes) -> bytes | None:
        if stanza.kind not in KINDS.values():
            return None
        if (stanza.kind, stanza.key_id) != (KINDS[identity.kind], recipient_id(recipient)):
            raise WrongKey("this file was not encrypted to this identity")
        return open_sealed(identity, stanza.body, INFO + file_id)

    return unwrap


def rewrap_envelope(path: Path, ring: Keyring, *, recipients: Sequence[Recipient] | None = None) -> bool:
    """Wrap a file's key under the primary version of the ring's `file` key; tells whether there was anything to do.

    Its recipients stay, or become those that are given. Only the header is written, crash-safely (`rewrap`).
    """
    wraps = [wrap_with_keyring(ring), *(wrap_to(recipient) for recipient in recipients or ())]
    keep = () if recipients is not None else tuple(KINDS.values())
    return rewrap(path, [unwrap_with_keyring(ring)], wraps, keep)
