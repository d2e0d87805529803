"""AES-CMAC (NIST SP 800-38B, RFC 4493) over a whole column.

The chaining is the published one; only the order of work differs: the k-th blocks of all values are encrypted by
one call of the AES block function. The padding and the subkey of the last block depend on nothing but its length, so
a small table holds them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pydp_cli.crypto.columns import (
    BLOCK,
    KEEP,
    LONG_BLOCKS,
    PAD,
    Bytes,
    Index,
    Values,
    Words,
    as_words,
    block_counts,
    loads,
    values_of,
)


class BlockCipher:
    """The AES block function over many blocks at once (ECB as a building block, never as a mode for values)."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        # ECB of independent blocks is the bare block function that CMAC, CTR and FF1 are defined on
        self._encryptor: Any = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305

    def encrypt(self, blocks: Words) -> Words:
        """Encrypt blocks given as words `[n, 2]`."""
        if not len(blocks):
            return blocks
        out = np.empty((len(blocks) + 1, 2), dtype=np.uint64)  # one block more, as OpenSSL's interface asks for
        self._encryptor.update_into(np.ascontiguousarray(blocks).data.cast("B"), out.data.cast("B"))
        return out[:-1]


class Cmac:
    """CMAC under one key; `zero` is the block of the first subkey's derivation."""

    def __init__(self, key: bytes) -> None:
        self.cipher = BlockCipher(key)
        seed = self.cipher.encrypt(np.zeros((1, 2), dtype=np.uint64)).tobytes()
        self.k1 = double(seed)
        self.k2 = double(self.k1)
        subkeys = np.array([list(self.k2)] * BLOCK + [list(self.k1)], dtype=np.uint8)
        self.last = PAD ^ as_words(subkeys)
        """Row r is what a last block of r bytes is XORed with: padding and subkey."""

    def one(self, value: bytes) -> bytes:
        """Give the CMAC of one value, by the library."""
        mac = cmac.CMAC(algorithms.AES(self.cipher.key))
        mac.update(value)
        return mac.finalize()

    def of(self, values: Values) -> Words:
        """Give the CMACs of a batch of values as words `[n, 2]`."""
        counts = np.maximum(block_counts(values.lengths), 1)
        if int(counts.max(initial=1)) > LONG_BLOCKS:
            return self._with_long_values(values, counts)
        remainders = values.lengths - (counts - 1) * BLOCK
        return chain(self.cipher, values, counts, KEEP[remainders], self.last[remainders])

    def _with_long_values(self, values: Values, counts: Index) -> Words:
        out = np.empty((len(values), 2), dtype=np.uint64)
        long = counts > LONG_BLOCKS
        short = np.flatnonzero(~long)
        if len(short):
            out[short] = self.of(Values(values.data, values.starts[short], values.lengths[short], None))
        for row in np.flatnonzero(long):
            out[row] = np.frombuffer(self.one(values.value(int(row))), dtype=np.uint64)
        return out


def chain(  # noqa: PLR0917 - the parts of one computation
    cipher: BlockCipher,
    values: Values,
    counts: Index,
    keep: Words,
    last: Words,
    before_last: Words | None = None,
) -> Words:
    """Run the CBC chain over values of up to LONG_BLOCKS blocks: `counts` each, at least one.

    The last block of row i is `(block & keep[i]) ^ last[i]`; the one before it is XORed with `before_last[i]`.
    """
    blocks_at = loads(values.data)
    fewest, most = int(counts.min(initial=LONG_BLOCKS)), int(counts.max(initial=1))
    starts = values.starts
    state: Words | None = None
    rows: Index | None = None  # the rows that still have a block; None for all
    for position in range(most):
        if position >= fewest:
            rows = np.flatnonzero(counts > position)
        left = counts if rows is None else counts[rows]
        blocks = as_words(blocks_at[(starts if rows is None else starts[rows]) + position * BLOCK])
        if position + 1 >= fewest:
            _fold(blocks, left == position + 1, rows, keep, last)
        if before_last is not None and position + 2 >= fewest:
            _fold(blocks, left == position + 2, rows, None, before_last)
        if state is None:
            state = cipher.encrypt(blocks)
        elif rows is None:
            state = cipher.encrypt(blocks ^ state)
        else:
            state[rows] = cipher.encrypt(blocks ^ state[rows])
    return np.zeros((0, 2), dtype=np.uint64) if state is None else state


def _fold(blocks: Words, chosen: npt.NDArray[np.bool_], rows: Index | None, keep: Words | None, mask: Words) -> None:
    """XOR the masks of the chosen rows into their blocks, keeping only the bytes that belong to the value."""
    if chosen.all():
        places = slice(None) if rows is None else rows
        if keep is not None:
            blocks &= keep[places]
        blocks ^= mask[places]
        return
    picked = np.flatnonzero(chosen)
    places = picked if rows is None else rows[picked]
    part = blocks[picked]
    if keep is not None:
        part &= keep[places]
    part ^= mask[places]
    blocks[picked] = part


def double(block: bytes) -> bytes:
    """Double in GF(2^128) with the polynomial of SP 800-38B."""
    value = int.from_bytes(block, "big") << 1
    return (((value & ((1 << 128) - 1)) ^ 0x87) if value >> 128 else value).to_bytes(BLOCK, "big")


def double_blocks(blocks: Words) -> Words:
    """Double many blocks, given and returned in byte order, in GF(2^128)."""
    big = blocks.byteswap() if sys.byteorder == "little" else blocks
    high, low = big[:, 0], big[:, 1]
    carry = (high >> np.uint64(63)) * np.uint64(0x87)
    doubled = np.empty_like(big)
    doubled[:, 0] = (high << np.uint64(1)) | (low >> np.uint64(63))
    doubled[:, 1] = (low << np.uint64(1)) ^ carry
    return doubled.byteswap() if sys.byteorder == "little" else doubled


def prf(key: bytes, column: pa.Array) -> Bytes:
    """Give AES-CMAC of every value of a text or binary column, as bytes `[n, 16]`; rows of null are zero.

    `key` has 16, 24 or 32 bytes. CMAC is a pseudo-random function of values of any length (SP 800-38B).
    """
    mac = Cmac(key)
    values = values_of(column)
    out = np.zeros((len(values), 2), dtype=np.uint64)
    for place, batch in values.slices():
        out[place] = mac.of(batch)
        if batch.valid is not None:
            out[place][~batch.valid] = 0
    return out.view(np.uint8).reshape(-1, BLOCK)
