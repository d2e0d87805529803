"""FF1 over strings whose places have different radices, such as two letters and six digits.

A string is numbered in mixed radix, and the number is permuted as a numeral string of bits by FF1 of radix 2. A result
that is no number of such a string is encrypted again until it is (cycle walking: Black and Rogaway, "Ciphers with
Arbitrary Finite Domains", CT-RSA 2002, section 4), which takes fewer than two rounds on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pydp_cli.crypto.blocks import BlockCipher
from pydp_cli.crypto.feistel import Lengths, Numbers, permute_one
from pydp_cli.crypto.ff1 import LEAST_DOMAIN, permute_checked
from pydp_cli.errors import InputError

Codes = npt.NDArray[np.int64]


def permute_mixed(key: bytes, codes: Codes, radices: Sequence[int], tweak: bytes = b"", *, undo: bool = False) -> Codes:
    """Permute strings given as `int64[n, places]`, each place counted from 0 and below its radix (at most 64).

    Up to 110 bits whole columns are worked on, beyond that one value after the other. Raises `InputError` where there
    are fewer than a million such strings.
    """
    modulus = math.prod(radices)
    if modulus < LEAST_DOMAIN:
        raise InputError("strings of these lengths and radices have a domain of less than a million")
    lengths, cipher = Lengths(2, (modulus - 1).bit_length()), BlockCipher(key)
    if not lengths.vectorised:
        permuted = [_walk_one(cipher, row, radices, lengths, tweak, undo=undo) for row in codes.tolist()]
        return np.array(permuted, np.int64).reshape(codes.shape)
    left, right = _halves(codes, radices, lengths.v)
    waiting = np.arange(len(codes))
    most_left, most_right = np.uint64(modulus >> lengths.v), np.uint64(modulus & ((1 << lengths.v) - 1))
    while len(waiting):
        new_left, new_right = permute_checked(cipher, left[waiting], right[waiting], lengths, tweak, undo=undo)
        left[waiting], right[waiting] = new_left, new_right
        waiting = waiting[(new_left > most_left) | ((new_left == most_left) & (new_right >= most_right))]
    return _places(left, right, radices, lengths.v)


def _halves(codes: Codes, radices: Sequence[int], bits: int) -> tuple[Numbers, Numbers]:
    """Number the strings; give the number's low `bits` on the right, and the others on the left."""
    left, right = np.zeros(len(codes), np.uint64), np.zeros(len(codes), np.uint64)
    shift, mask = np.uint64(bits), np.uint64((1 << bits) - 1)
    for place, radix in enumerate(radices):
        right = right * np.uint64(radix) + codes[:, place].astype(np.uint64)
        left = left * np.uint64(radix) + (right >> shift)
        right &= mask
    return left, right


def _places(left: Numbers, right: Numbers, radices: Sequence[int], bits: int) -> Codes:
    """Undo `_halves`."""
    codes = np.empty((len(left), len(radices)), np.int64)
    for place in reversed(range(len(radices))):
        radix = np.uint64(radices[place])
        left, rest = np.divmod(left, radix)
        right, codes[:, place] = np.divmod(right | (rest << np.uint64(bits)), radix)
    return codes


def _walk_one(
    cipher: BlockCipher, row: list[int], radices: Sequence[int], lengths: Lengths, tweak: bytes, *, undo: bool
) -> list[int]:
    number = 0
    for code, radix in zip(row, radices, strict=True):
        number = number * radix + code
    modulus, mask = math.prod(radices), (1 << lengths.v) - 1
    while True:
        left, right = permute_one(cipher, number >> lengths.v, number & mask, lengths, tweak, undo=undo)
        number = left << lengths.v | right
        if number < modulus:
            break
    codes = []
    for radix in reversed(radices):
        number, code = divmod(number, radix)
        codes.append(code)
    return codes[::-1]
