"""S2V (RFC 5297 section 2.4) over many values: associated data and plaintext become a synthetic IV for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pydp_cli.crypto.blocks import BLOCK, PAD, Words, as_items, as_words, gather, pick, scatter, split
from pydp_cli.crypto.cmac import Cmac, chain, double, double_blocks, finish
from pydp_cli.crypto.columns import Cells, Index, cells_of

MOST_COMPONENTS = 126
"""RFC 5297 section 2.6: with more components the proof of security ends."""


@dataclass(frozen=True)
class Associated:
    """The components of a column's associated data: the same for all cells, or a column with one for each cell."""

    components: tuple[bytes | Cells, ...]
    constant: list[bytes] | None
    """All components, where none is a column."""

    @classmethod
    def of(cls, components: Sequence[bytes | pa.Array], count: int) -> Associated:
        """Take components for a column of `count` cells."""
        if len(components) > MOST_COMPONENTS:
            raise ValueError(f"associated data has at most {MOST_COMPONENTS} components")
        taken: list[bytes | Cells] = []
        for component in components:
            if isinstance(component, bytes):
                taken.append(component)
                continue
            cells = cells_of(component)
            if len(cells) != count:
                raise ValueError("a column of associated data must be as long as the column")
            if cells.valid is not None:
                raise ValueError("a column of associated data must not have nulls")
            taken.append(cells)
        constants = [component for component in taken if isinstance(component, bytes)]
        return cls(tuple(taken), constants if len(constants) == len(taken) else None)

    def at(self, row: int) -> list[bytes]:
        """Give the components of one cell."""
        if self.constant is not None:
            return self.constant
        return [
            component if isinstance(component, bytes) else component.batch(slice(row, row + 1)).value(0)
            for component in self.components
        ]

    def digest(self, mac: Cmac, place: slice) -> bytes | Words:
        """Fold the components of the cells at `place` into S2V's running value: one for all, or one each `[n, 2]`."""
        running: bytes | Words = mac.one(bytes(BLOCK))
        for component in self.components:
            if isinstance(component, bytes):
                added = mac.one(component)
                if isinstance(running, bytes):
                    running = bytes(a ^ b for a, b in zip(double(running), added, strict=True))
                else:
                    running = _xor_constant(double_blocks(running), added)
                continue
            macs = mac.of(component.batch(place))
            running = (
                _xor_constant(macs, double(running)) if isinstance(running, bytes) else double_blocks(running) ^ macs
            )
        return running


def _xor_constant(blocks: Words, constant: bytes) -> Words:
    first, second = np.frombuffer(constant, dtype=np.uint64)
    blocks[:, 0] ^= first
    blocks[:, 1] ^= second
    return blocks


class Finisher:
    """The last steps of S2V for values under one digest, or under one digest for each value.

    A value of 16 bytes or more has the digest XORed into its last 16 bytes, which lie across its last two blocks. A
    shorter one is padded and XORed with the doubled digest.
    """

    def __init__(self, mac: Cmac, digest: bytes | Words) -> None:
        self.mac = mac
        self.digest = digest
        self.k1 = np.frombuffer(mac.k1, dtype=np.uint64)
        if isinstance(digest, bytes):
            self.last, self.before_last, self.short = self._tables(digest)

    def _tables(self, digest: bytes) -> tuple[Words, Words, Words]:
        """Tabulate by length of the last block what is XORed into it, into the one before it, and into a lone block."""
        ends = b"".join(digest[BLOCK - r :].ljust(BLOCK, b"\0") for r in range(1, BLOCK + 1))
        carries = b"".join(bytes(r) + digest[: BLOCK - r] for r in range(BLOCK + 1))
        last = self.mac.last ^ np.frombuffer(bytes(BLOCK) + ends, dtype=np.uint64).reshape(-1, 2)
        before_last = np.frombuffer(carries, dtype=np.uint64).reshape(-1, 2)
        short = _xor_constant(_xor_constant(PAD.copy(), double(digest)), self.mac.k1)
        short[BLOCK] = last[BLOCK]
        return last, before_last, short

    def __call__(self, blocks: list[Words], lengths: Index, rows: Index | slice) -> Words:
        """Give the synthetic IVs of values of as many blocks as are given (a lone zero block for empty values).

        `rows` are the values' places among the digests. What the last blocks hold past the values does not matter.
        """
        remainders = lengths - (len(blocks) - 1) * BLOCK
        if isinstance(self.digest, bytes):
            return self._constant(blocks, remainders)
        digests = as_words(as_items(self.digest)[rows])
        if len(blocks) == 1:
            doubled = double_blocks(digests)
            whole = np.flatnonzero(remainders == BLOCK)
            as_items(doubled)[whole] = as_items(digests)[whole]
            mask = _xor_constant(pick(PAD, remainders) ^ doubled, self.mac.k1)
            last = blocks[0].copy()
            finish(last, remainders, mask)
            return chain(self.mac.cipher, [last])
        before_last, last = _xor_ends(blocks[-2], blocks[-1], remainders, digests)
        finish(last, remainders, pick(self.mac.last, remainders))
        return chain(self.mac.cipher, [*blocks[:-2], before_last, last])

    def _constant(self, blocks: list[Words], remainders: Index) -> Words:
        last = blocks[-1].copy()
        if len(blocks) == 1:
            finish(last, remainders, pick(self.short, remainders))
            return chain(self.mac.cipher, [last])
        finish(last, remainders, pick(self.last, remainders))
        before_last = blocks[-2] ^ pick(self.before_last, remainders)
        return chain(self.mac.cipher, [*blocks[:-2], before_last, last])


def _xor_ends(before_last: Words, last: Words, remainders: Index, digests: Words) -> tuple[Words, Words]:
    """XOR digests into the last 16 bytes of values, given their last two blocks."""
    pairs = np.concatenate([before_last, last], axis=1).view(np.uint8).reshape(-1, 2 * BLOCK)
    flat = pairs.reshape(-1)
    at = np.arange(len(pairs), dtype=np.int64) * (2 * BLOCK) + remainders
    ends = as_words(gather(flat, at, BLOCK)) ^ digests
    scatter(flat, at, ends.view(np.uint8).reshape(-1, BLOCK))
    first, second = split(pairs, 0, 2)
    return first, second


def s2v_of_one(mac: Cmac, components: Sequence[bytes], plain: bytes) -> bytes:
    """Give the synthetic IV of one value, by the letter of the RFC and the library's CMAC."""
    running = mac.one(bytes(BLOCK))
    for component in components:
        running = bytes(a ^ b for a, b in zip(double(running), mac.one(component), strict=True))
    if len(plain) >= BLOCK:
        tail = bytes(a ^ b for a, b in zip(plain[-BLOCK:], running, strict=True))
        return mac.one(plain[:-BLOCK] + tail)
    padded = (plain + b"\x80").ljust(BLOCK, b"\0")
    return mac.one(bytes(a ^ b for a, b in zip(double(running), padded, strict=True)))
