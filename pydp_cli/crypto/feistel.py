"""The ten Feistel rounds of FF1 (NIST SP 800-38G, algorithms 7 and 8) over many numeral strings of one length.

With one key, one tweak and one length, everything in a round but the half that is fed in is constant, so the state of
the CBC-MAC before its last block is computed once, and a round is one call of the AES block function over all values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pydp_cli.crypto.blocks import BlockCipher

Numbers = npt.NDArray[np.uint64]

ROUNDS = 10
MOST_VECTOR_BITS = 56
"""Halves of up to this many bits are worked on as 64-bit words; longer ones as Python integers, one by one."""


@dataclass(frozen=True)
class Lengths:
    """The lengths of FF1 for numeral strings of `n` numerals, named as in the standard."""

    radix: int
    n: int

    @property
    def u(self) -> int:
        """Numerals of the left half."""
        return self.n // 2

    @property
    def v(self) -> int:
        """Numerals of the right half."""
        return self.n - self.u

    @property
    def b(self) -> int:
        """Bytes of the right half as a number."""
        return (int(self.radix**self.v - 1).bit_length() + 7) // 8

    @property
    def d(self) -> int:
        """Bytes of a round's output."""
        return 4 * -(-self.b // 4) + 4

    @property
    def vectorised(self) -> bool:
        """Whether halves fit the vectorised rounds."""
        return int(self.radix**self.v).bit_length() <= MOST_VECTOR_BITS


def fixed_block(lengths: Lengths, tweak: bytes) -> bytes:
    """Give P, the first block of every round's input."""
    return (
        b"\x01\x02\x01"
        + lengths.radix.to_bytes(3, "big")
        + bytes([10, lengths.u % 256])
        + lengths.n.to_bytes(4, "big")
        + len(tweak).to_bytes(4, "big")
    )


def permute(
    cipher: BlockCipher, left: Numbers, right: Numbers, lengths: Lengths, tweak: bytes, *, undo: bool
) -> tuple[Numbers, Numbers]:
    """Run the rounds over halves of up to 56 bits; give the halves of the result. With `undo`, the inverse."""
    b, d = lengths.b, lengths.d
    filler = tweak + bytes((-len(tweak) - b - 1) % 16)
    head = fixed_block(lengths, tweak) + filler[: (len(filler) + 1 + b) - 16]
    state = _cbc_mac(cipher, head)
    tail = filler[len(head) - 16 :] + bytes(1 + b)
    moduli = (lengths.radix**lengths.u, lengths.radix**lengths.v)
    block = np.empty((len(left), 2), dtype=np.uint64)
    for number in reversed(range(ROUNDS)) if undo else range(ROUNDS):
        template = bytearray(tail)
        template[15 - b] = number
        constant = np.frombuffer(bytes(x ^ y for x, y in zip(template, state, strict=True)), dtype=np.uint64)
        fed, other = (left, right) if undo else (right, left)
        block[:, 0] = constant[0]
        np.bitwise_xor(fed.astype(">u8").view(np.uint64), constant[1], out=block[:, 1])
        modulus = moduli[number % 2]
        y = _residue(cipher.encrypt(block), d, modulus)
        if undo:
            left, right = _subtract(other, y, modulus), fed
        else:
            left, right = fed, _add(other, y, modulus)
    return left, right


def permute_one(
    cipher: BlockCipher, left: int, right: int, lengths: Lengths, tweak: bytes, *, undo: bool
) -> tuple[int, int]:
    """Run the rounds over one pair of halves of any size."""
    b, d = lengths.b, lengths.d
    head = fixed_block(lengths, tweak) + tweak + bytes((-len(tweak) - b - 1) % 16)
    whole = len(head) // 16 * 16
    state = _cbc_mac(cipher, head[:whole])
    moduli = (lengths.radix**lengths.u, lengths.radix**lengths.v)
    for number in reversed(range(ROUNDS)) if undo else range(ROUNDS):
        fed, other = (left, right) if undo else (right, left)
        first = _cbc_mac(cipher, head[whole:] + bytes([number]) + fed.to_bytes(b, "big"), state)
        stream = first
        for counter in range(1, -(-d // 16)):
            mask = counter.to_bytes(16, "big")
            stream += cipher.one(_xor(first, mask))
        y = int.from_bytes(stream[:d], "big")
        modulus = moduli[number % 2]
        if undo:
            left, right = (other - y) % modulus, fed
        else:
            left, right = fed, (other + y) % modulus
    return left, right


def _cbc_mac(cipher: BlockCipher, message: bytes, state: bytes = bytes(16)) -> bytes:
    for first in range(0, len(message), 16):
        state = cipher.one(_xor(state, message[first : first + 16]))
    return state


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(16, "big")


def _residue(blocks: Numbers, d: int, modulus: int) -> Numbers:
    """Give the first `d` bytes (8 or 12) of each block, as a big-endian number, modulo `modulus` (at most 56 bits)."""
    words = blocks.view(">u4").reshape(-1, 4)
    if modulus & (modulus - 1) == 0:
        low = blocks.view(">u8").reshape(-1, 2)[:, 0].astype(np.uint64)
        if d > 8:
            low = (low << np.uint64(32)) | words[:, 2]
        masked: Numbers = low & np.uint64(modulus - 1)
        return masked
    if modulus >> 32 == 0:
        rest = _modulo(blocks.view(">u8").reshape(-1, 2)[:, 0].astype(np.uint64), modulus)
        if d > 8:
            rest = _modulo((rest << np.uint64(32)) | words[:, 2], modulus)
        return rest
    rest = np.zeros(len(blocks), dtype=np.uint64)
    for column in blocks.view(np.uint8).reshape(-1, 16)[:, :d].T:
        rest = _modulo((rest << np.uint64(8)) | column, modulus)
    return rest


def _modulo(numbers: Numbers, modulus: int) -> Numbers:
    """Give the remainders; dividing by a constant is faster in NumPy than its remainder."""
    divisor = np.uint64(modulus)
    rest: Numbers = numbers - (numbers // divisor) * divisor
    return rest


def _add(numbers: Numbers, y: Numbers, modulus: int) -> Numbers:
    total = numbers + y
    return np.where(total >= np.uint64(modulus), total - np.uint64(modulus), total)


def _subtract(numbers: Numbers, y: Numbers, modulus: int) -> Numbers:
    return np.where(numbers >= y, numbers - y, numbers + np.uint64(modulus) - y)
