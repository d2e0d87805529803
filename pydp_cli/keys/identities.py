"""HPKE identities and recipients (RFC 9180): X25519, and the hybrid of ML-KEM-768 and X25519 against quantum computers.

A recipient is public, one line of text to pass around; an identity is its private key, in a file of its own. Both
carry a checksum, because what is sealed to a mistyped recipient is lost.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from pydp_cli.errors import KeyringError, UsageError, WrongKey
from pydp_cli.keys.secret import Secret
from pydp_cli.keys.unlock import read_private_file, write_private_file

X25519, HYBRID = "x25519", "mlkem768x25519"
SUITES = {
    X25519: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    HYBRID: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
}
RECIPIENT_BYTES = {X25519: 32, HYBRID: 1184 + 32}
IDENTITY_BYTES = {X25519: 32, HYBRID: 64 + 32}
"""The hybrid's parts in a row: ML-KEM-768 (encapsulation key, or 64-byte seed), then X25519."""

IDENTITY_HEADER = "# pydp identity. Whoever has it can open what was sealed to its recipient:"
MOST_BYTES = 1 << 16


@dataclass(frozen=True)
class Recipient:
    """Whom to seal to."""

    kind: str
    public: bytes

    def __str__(self) -> str:
        return f"pydp-{self.kind}:{_checked_text(self.public)}"


@dataclass(frozen=True)
class Identity:
    """What opens what was sealed to its recipient."""

    kind: str
    private: Secret

    def recipient(self) -> Recipient:
        """Give the public half."""
        if self.kind == X25519:
            return Recipient(X25519, X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw())
        lattice = MLKEM768PrivateKey.from_seed_bytes(self.private[:64]).public_key().public_bytes_raw()
        curve = X25519PrivateKey.from_private_bytes(self.private[64:]).public_key().public_bytes_raw()
        return Recipient(HYBRID, lattice + curve)


def new_identity(kind: str = HYBRID) -> Identity:
    """Make a random identity."""
    if kind not in SUITES:
        raise UsageError(f'there is no kind of identity "{kind}"', hint=f"one of: {', '.join(SUITES)}")
    curve = X25519PrivateKey.generate().private_bytes_raw()
    if kind == X25519:
        return Identity(kind, Secret(curve))
    return Identity(kind, Secret(MLKEM768PrivateKey.generate().private_bytes_raw() + curve))


def create_identity_file(path: Path, kind: str = HYBRID) -> Recipient:
    """Write a new identity (mode 0600, never over another file), and give its recipient."""
    identity = new_identity(kind)
    recipient = identity.recipient()
    text = f"{IDENTITY_HEADER}\n# {recipient}\npydp-identity-{kind}:{_checked_text(identity.private)}\n"
    write_private_file(path, text, "identity file")
    return recipient


def read_identity_file(path: Path) -> Identity:
    """Give the identity in a file; refuses one that others may read."""
    text = read_private_file(path, "identity file", most=MOST_BYTES).decode("ascii", errors="replace")
    kind, private = _parsed(text, "pydp-identity-", IDENTITY_BYTES, "an identity", str(path))
    return Identity(kind, Secret(private))


def read_recipient(named: str) -> Recipient:
    """Give a recipient: its text, or the name of a file that holds the text."""
    if named.lower().startswith("pydp-identity-"):
        raise UsageError(
            "this is an identity, which is secret: name the recipient", hint="an identity's file shows its recipient"
        )
    if named.lower().startswith("pydp-"):
        return parse_recipient(named)
    try:
        text = Path(named).read_bytes()[:MOST_BYTES].decode("ascii", errors="replace")
    except OSError as error:
        raise UsageError(f"the recipient cannot be read ({error.strerror})", place=named) from error
    return parse_recipient(text, named)


def parse_recipient(text: str, place: str | None = None) -> Recipient:
    """Give the recipient that a text names."""
    return Recipient(*_parsed(text, "pydp-", RECIPIENT_BYTES, "a recipient", place))


def seal_to(recipient: Recipient, secret: bytes, info: bytes) -> bytes:
    """Seal a secret, so that only the identity opens it, and only for the same `info`."""
    public: Any
    if recipient.kind == X25519:
        public = X25519PublicKey.from_public_bytes(recipient.public)
    else:
        public = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(recipient.public[:1184]),
            X25519PublicKey.from_public_bytes(recipient.public[1184:]),
        )
    return SUITES[recipient.kind].encrypt(secret, public, info)


def open_sealed(identity: Identity, sealed: bytes, info: bytes) -> Secret:
    """Give what was sealed; raises `WrongKey` if it was not for this identity, or was altered."""
    private: Any
    if identity.kind == X25519:
        private = X25519PrivateKey.from_private_bytes(identity.private)
    else:
        private = MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(identity.private[:64]),
            X25519PrivateKey.from_private_bytes(identity.private[64:]),
        )
    try:
        return Secret(SUITES[identity.kind].decrypt(sealed, private, info))
    except InvalidTag as error:
        raise WrongKey("this was not sealed to this identity") from error


def _checked_text(raw: bytes) -> str:
    return urlsafe_b64encode(raw + sha256(raw).digest()[:4]).decode().rstrip("=")


def _parsed(text: str, prefix: str, sizes: dict[str, int], what: str, place: str | None) -> tuple[str, bytes]:
    """Give the kind and the bytes of the one line that is not a comment. Never quotes the line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    kind, _, encoded = lines[0].removeprefix(prefix).partition(":") if len(lines) == 1 else ("", "", "")
    if kind not in sizes or not lines[0].startswith(prefix):
        raise KeyringError(f"this is not {what}", place=place)
    try:
        raw = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        raw = b""
    if len(raw) != sizes[kind] + 4 or sha256(raw[:-4]).digest()[:4] != raw[-4:]:
        raise KeyringError(f"{what} was mistyped or cut short: its checksum is wrong", place=place)
    return kind, raw[:-4]
