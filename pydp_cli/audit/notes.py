"""Signed notes as C2SP specifies them (c2sp.org/signed-note): a text, an empty line, and Ed25519 signatures."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pydp_cli.errors import InputError, Refused

ED25519 = b"\x01"
_DASH = "— "


@dataclass(frozen=True)
class Verifier:
    """A public key under a name; two keys of one name have different ids."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256 over name, algorithm and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def to_text(self) -> str:
        """Write the key as a `vkey`: name, id and key."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(ED25519 + self.public).decode()}"


@dataclass(frozen=True)
class Note:
    """A note as it was found: its text, and each signature with the name and key id that it claims."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...] = ()


def read_verifier(vkey: str) -> Verifier:
    """Read a `vkey`; raises `InputError` where it is none, or its id is not that of its key."""
    name, _, rest = vkey.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    found = Verifier(name, raw[1:])
    if not name or raw[:1] != ED25519 or len(raw) != 33 or found.key_id.hex() != key_id:
        raise InputError("not a verifier key", hint="it is written NAME+ID+KEY, as `pydp audit anchor` prints it")
    return found


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """Write a signed note; `text` ends with a newline."""
    public = key.public_key().public_bytes_raw()
    signature = Verifier(name, public).key_id + key.sign(text.encode())
    return f"{text}\n{_DASH}{name} {b64encode(signature).decode()}\n"


def parse_note(raw: str) -> Note:
    """Split a note into its text and its signatures, without checking them; raises `InputError`."""
    text, divider, tail = raw.rpartition("\n\n")
    lines = tail.split("\n")
    if not divider or lines.pop() != "":
        raise InputError("not a signed note")
    signatures = []
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            signature = b64decode(encoded, validate=True)
        except ValueError:
            signature = b""
        exact = b64encode(signature).decode() == encoded  # the last digit has bits that decode to nothing
        if not line.startswith(_DASH) or not name or len(signature) < 5 or not exact:
            raise InputError("not a signed note: a malformed signature")
        signatures.append((name, signature[:4], signature[4:]))
    return Note(text + "\n", tuple(signatures))


def check_note(note: Note, verifiers: Iterable[Verifier]) -> Verifier | None:
    """Give the known key that signed a note, None where only unknown keys did; a bad signature is `Refused`."""
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed_by = None
    for name, key_id, signature in note.signatures:
        verifier = known.get((name, key_id))
        if verifier is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, note.text.encode())
        except InvalidSignature:
            raise Refused("a signature is wrong: the note was altered") from None
        signed_by = signed_by or verifier
    return signed_by
