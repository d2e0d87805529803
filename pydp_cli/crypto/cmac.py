"""AES-CMAC (NIST SP 800-38B, RFC 4493) over a whole column.

The chaining is the published one; only the order of work differs: the k-th blocks of all values are encrypted by
one call of the AES block function. The padding and the subkey of the last block depend on nothing but its length, so
a small table holds them.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import algorithms

from pydp_cli.crypto import self_test
from pydp_cli.crypto.blocks import (
    BLOCK,
    KEEP,
    PAD,
    BlockCipher,
    Words,
    as_items,
    as_words,
    block_counts,
    gather,
    groups,
    parts,
    pick,
    split,
    worth_a_kernel,
)
from pydp_cli.crypto.columns import Bytes, Index, Values, cells_of


class Cmac:
    """CMAC under one key."""

    def __init__(self, key: bytes) -> None:
        self.cipher = BlockCipher(key)
        seed = self.cipher.encrypt(np.zeros((1, 2), dtype=np.uint64)).tobytes()
        self.k1 = double(seed)
        self.last = PAD ^ as_words(np.frombuffer(double(self.k1) * BLOCK + self.k1, dtype=np.uint8))
        """Row r is what a last block of r bytes is XORed with: padding and subkey."""

    def one(self, value: bytes) -> bytes:
        """Give the CMAC of one value, by the library."""
        mac = cmac.CMAC(algorithms.AES(self.cipher.key))
        mac.update(value)
        return mac.finalize()

    def of(self, values: Values) -> Words:
        """Give the CMACs of a batch of values as words `[n, 2]`."""
        out = np.empty((len(values), 2), dtype=np.uint64)
        trusted = self_test.passed("cmac")
        for count, rows in groups(np.maximum(block_counts(values.lengths), 1)):
            size = len(values) if isinstance(rows, slice) else len(rows)
            if trusted and worth_a_kernel(count, size):
                for part in parts(count, rows, size):
                    as_items(out)[part] = as_items(self._of_group(values.take(part), count))
                continue
            self._one_by_one(values, np.arange(len(values), dtype=np.int64)[rows], out)
        if trusted and len(values):
            row = self_test.sample(out[0].tobytes(), len(values))
            if row is not None:
                self_test.compare(out[row].tobytes(), self.one(values.value(row)))
        return out

    def _one_by_one(self, values: Values, rows: Index, out: Words) -> None:
        data, made = values.data.data, out.data.cast("B")
        for row, begin, end in values.spans(rows):
            made[BLOCK * row : BLOCK * (row + 1)] = self.one(bytes(data[begin:end]))

    def _of_group(self, values: Values, count: int) -> Words:
        blocks = split(gather(values.data, values.starts, BLOCK * count), 0, count)
        remainders = values.lengths - (count - 1) * BLOCK
        finish(blocks[-1], remainders, pick(self.last, remainders))
        return chain(self.cipher, blocks)


def finish(block: Words, remainders: Index, mask: Words) -> None:
    """Keep the bytes of a last block that belong to the value, and XOR a mask."""
    block &= pick(KEEP, remainders)
    block ^= mask


def chain(cipher: BlockCipher, blocks: list[Words]) -> Words:
    """Run the CBC chain over the blocks of all values, position by position."""
    state = cipher.encrypt(blocks[0])
    for block in blocks[1:]:
        state ^= block
        state = cipher.encrypt(state)
    return state


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
    cells = cells_of(column)
    out = np.empty((len(cells), 2), dtype=np.uint64)
    for place, batch in cells.batches():
        out[place] = mac.of(batch)
        if batch.valid is not None:
            out[place][~batch.valid] = 0
    return out.view(np.uint8).reshape(-1, BLOCK)
