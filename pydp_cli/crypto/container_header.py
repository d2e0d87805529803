r"""The header of a whole-file envelope: its bytes, its authentication, and the stanzas that wrap the file key.

A header copy is 4,096 bytes (integers big endian):

    0     8   magic "PYDPF1\r\n"
    8     1   suite: 1 (Cobblestone-256 body, HKDF-SHA-256, HMAC-SHA-256)
    9     8   generation: counts re-wraps
    17   16   file id, random
    33    8   created: seconds since 1970, UTC
    41    2+n name: length, then the original name's bytes; empty where none is bound
          32  context tag: HMAC-SHA-256 of the user's context, or zeros where there is none
          1   number of stanzas, each: kind (1), key id (4), length (2), body
          …   zeros
    4064  32  HMAC-SHA-256 of the 4,064 bytes before it
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from hashlib import sha512
from hmac import compare_digest
from hmac import digest as hmac_digest

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import UsageError

MAGIC = b"PYDPF1\r\n"
SUITE = 1
COPY_BYTES = 4096
MAC_BYTES = 32
NO_CONTEXT = bytes(32)
MOST_NAME_BYTES = 255
MOST_GENERATION = (1 << 64) - 1

BY_KEYRING, BY_X25519, BY_HYBRID = 1, 2, 3
"""The kinds of stanza: AES-256-KWP under a key of a keyring; HPKE to X25519; HPKE to ML-KEM-768 with X25519."""

_FIXED = struct.Struct(">8sBQ16sqH")
_STANZA = struct.Struct(">B4sH")


@dataclass(frozen=True)
class Stanza:
    """The file key, wrapped once: by which kind of key, by which key, and the wrapped bytes."""

    kind: int
    key_id: bytes
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Header:
    """What a header copy says. Nobody has vouched for it until its MAC is verified under the file key."""

    generation: int
    file_id: bytes
    created: int
    name: bytes
    context_tag: bytes
    stanzas: tuple[Stanza, ...]

    def body_context(self) -> bytes:
        """Give what the body is bound to: all that a re-wrap leaves as it is."""
        fixed = struct.pack(">B16sqH", SUITE, self.file_id, self.created, len(self.name))
        return sha512(b"pydp envelope body" + fixed + self.name + self.context_tag).digest()


def encode_header(header: Header, file_key: bytes) -> bytes:
    """Give the 4,096 bytes of a copy, authenticated under the file key."""
    if len(header.name) > MOST_NAME_BYTES:
        raise UsageError(f"the name is too long: at most {MOST_NAME_BYTES} bytes")
    fixed = _FIXED.pack(MAGIC, SUITE, header.generation, header.file_id, header.created, len(header.name))
    stanzas = b"".join(
        _STANZA.pack(stanza.kind, stanza.key_id, len(stanza.body)) + stanza.body for stanza in header.stanzas
    )
    raw = fixed + header.name + header.context_tag + bytes([min(len(header.stanzas), 255)]) + stanzas
    if len(raw) > COPY_BYTES - MAC_BYTES or len(header.stanzas) > 255:
        raise UsageError(
            f"{len(header.stanzas)} recipients are more than a header has room for",
            hint="a header takes 3 hybrid recipients, or about 40 of X25519",
        )
    raw = raw.ljust(COPY_BYTES - MAC_BYTES, b"\0")
    return raw + _mac(raw, file_key)


def parse_header(raw: bytes) -> Header | None:
    """Give what a copy says; nothing where it is torn so badly that it makes no sense."""
    if len(raw) != COPY_BYTES or raw[:8] != MAGIC or raw[8] != SUITE:
        return None
    _, _, generation, file_id, created, name_bytes = _FIXED.unpack_from(raw)
    end = COPY_BYTES - MAC_BYTES
    at = _FIXED.size + name_bytes + len(NO_CONTEXT)
    if name_bytes > MOST_NAME_BYTES:
        return None
    name, context_tag = raw[_FIXED.size : _FIXED.size + name_bytes], raw[at - len(NO_CONTEXT) : at]
    stanzas = []
    count, at = raw[at], at + 1
    for _ in range(count):
        if at + _STANZA.size > end:
            return None
        kind, key_id, length = _STANZA.unpack_from(raw, at)
        at += _STANZA.size
        if at + length > end:
            return None
        stanzas.append(Stanza(kind, key_id, raw[at : at + length]))
        at += length
    return Header(generation, file_id, created, name, context_tag, tuple(stanzas))


def is_authentic(raw: bytes, file_key: bytes) -> bool:
    """Tell whether a copy is as it was written by whoever had the file key."""
    end = COPY_BYTES - MAC_BYTES
    return compare_digest(raw[end:], _mac(raw[:end], file_key))


def context_tag(context: bytes | None, file_key: bytes) -> bytes:
    """Give the tag of the user's context. Keyed, so that a context cannot be guessed from the file."""
    if context is None:
        return NO_CONTEXT
    return hmac_digest(derive_key(file_key, "envelope context", length=32), context, "sha256")


def _mac(raw: bytes, file_key: bytes) -> bytes:
    return hmac_digest(derive_key(file_key, "envelope header", length=32), raw, "sha256")
