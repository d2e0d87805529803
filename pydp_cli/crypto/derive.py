"""Derivation of sub-keys: HKDF-SHA-256 (RFC 5869) with length-prefixed labels, so that no two label lists collide."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FORMAT = b"pydp1"


def derive_key(root: bytes, purpose: str, *labels: str, length: int = 64) -> bytes:
    """Derive `length` bytes from a root key for a purpose and its labels.

    The info string is the format, then for the purpose and every label its UTF-8 length (4 bytes, big endian) and
    bytes.
    """
    info = FORMAT + b"".join(
        len(encoded).to_bytes(4, "big") + encoded for encoded in (text.encode() for text in (purpose, *labels))
    )
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(root)
