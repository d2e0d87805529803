"""AES-SIV (RFC 5297) under one key: the parts that the column kernel is made of, and one cell at a time."""

from __future__ import annotations

import hmac
import sys

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from pydp_cli.crypto.blocks import BLOCK, BlockCipher, Words
from pydp_cli.crypto.cmac import Cmac
from pydp_cli.crypto.s2v import s2v_of_one


class Siv:
    """AES-SIV under one key of 32, 48 or 64 bytes: half for the MAC, half for the counter mode."""

    def __init__(self, key: bytes) -> None:
        if len(key) not in (32, 48, 64):
            raise ValueError("an AES-SIV key has 32, 48 or 64 bytes")
        half = len(key) // 2
        self.mac = Cmac(key[:half])
        self.stream = BlockCipher(key[half:])
        self._library = AESSIV(key)

    def seal_one(self, plain: bytes, components: list[bytes]) -> bytes:
        """Encrypt one cell, by the library; without it where OpenSSL had its own mind (CVE-2023-2975)."""
        if plain == b"" or b"" in components:
            tag = s2v_of_one(self.mac, components, plain)
            return tag + self.count_up_one(plain, tag)
        return self._library.encrypt(plain, components)

    def open_one(self, sealed: bytes, components: list[bytes]) -> bytes | None:
        """Decrypt one cell, by the library; None where it fails."""
        if len(sealed) <= BLOCK or b"" in components:
            tag = sealed[:BLOCK]
            plain = self.count_up_one(sealed[BLOCK:], tag) if len(tag) == BLOCK else b""
            return plain if hmac.compare_digest(tag, s2v_of_one(self.mac, components, plain)) else None
        try:
            return self._library.decrypt(sealed, components)
        except InvalidTag:
            return None

    def count_up_one(self, text: bytes, tag: bytes) -> bytes:
        """XOR the key stream of a tag into one cell, by the library."""
        counter = tag[:8] + bytes(a & b for a, b in zip(tag[8:], b"\x7f\xff\xff\xff" * 2, strict=True))
        return Cipher(algorithms.AES(self.stream.key), modes.CTR(counter)).encryptor().update(text)

    def key_stream(self, tags: Words, count: int) -> list[Words]:
        """Give `count` blocks of key stream for each tag.

        RFC 5297 section 2.6: the counter starts at the SIV with bits 63 and 31 cleared, so that adding a block's
        position, below 2^31, never carries beyond the last 32 bits.
        """
        counters = tags.copy()
        counters[:, 1] &= _CLEAR
        last = counters.view(np.uint32).reshape(-1, 4)[:, 3]
        low = last.byteswap() if sys.byteorder == "little" else last.copy()
        blocks = [self.stream.encrypt(counters)]
        for place in range(1, count):
            number = low + np.uint32(place)
            last[:] = number.byteswap() if sys.byteorder == "little" else number
            blocks.append(self.stream.encrypt(counters))
        return blocks


_CLEAR = np.frombuffer(b"\x7f\xff\xff\xff" * 2, dtype=np.uint64)[0]
