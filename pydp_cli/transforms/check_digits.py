"""Check digits over many numbers of one shape at once: Luhn, EAN and the two of an IBAN (ISO 7064, mod 97-10).

The treatments that change a number keep its remainder: a valid number stays valid, an invalid one stays invalid by the
same remainder. So nothing is lost where a number was mistyped, and the change can be undone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Scheme = Literal["luhn", "ean", "iban"]
Codes = npt.NDArray[np.int64]

_PLAIN = np.arange(10)
_DOUBLED = np.array([0, 2, 4, 6, 8, 1, 3, 5, 7, 9])  # twice the digit, its two digits added up
_TRIPLED = _PLAIN * 3 % 10
_STANDARD = (2, 98)  # what the check digits of an IBAN can be: each remainder once


def weights(scheme: Literal["luhn", "ean"], count: int) -> Codes:
    """Give `int64[count, 10]`: what each digit adds to the sum at each position, modulo 10.

    Each row is a permutation of 0…9, so that any one digit can be chosen to give any remainder.
    """
    other = _DOUBLED if scheme == "luhn" else _TRIPLED
    return np.array([other if (count - 1 - position) % 2 else _PLAIN for position in range(count)]).reshape(count, 10)


def remainder(scheme: Literal["luhn", "ean"], digits: Codes) -> Codes:
    """Give the remainder of each row of `int64[rows, count]`; 0 is valid."""
    table = weights(scheme, digits.shape[1])
    total = np.zeros(len(digits), np.int64)
    for position, of_digit in enumerate(table):
        total += of_digit[digits[:, position]]
    return total % 10


def restore(scheme: Literal["luhn", "ean"], digits: Codes, wanted: Codes, position: int) -> None:
    """Set the digit at one position of every row so that the row has the wanted remainder."""
    digits[:, position] = 0
    missing = (wanted - remainder(scheme, digits)) % 10
    digits[:, position] = np.argsort(weights(scheme, digits.shape[1])[position])[missing]


def iban_base(values: Codes) -> Codes:
    """Give the remainder modulo 97 of each IBAN with `00` for its check digits.

    `values` has the characters of one IBAN a row: digits as 0…9, letters as 10…35; the check digits are not looked at.
    """
    rest = np.zeros(len(values), np.int64)
    for position in (*range(4, values.shape[1]), 0, 1):
        column = values[:, position]
        rest = np.where(column > 9, rest * 100 + column, rest * 10 + column) % 97
    return rest * 100 % 97


def iban_check(base: Codes, wanted: Codes, old: Codes) -> Codes:
    """Give the two check digits, as a number, that make the wanted remainder; 1 is valid.

    The spellings 00, 01 and 99, which no bank uses, say the same as 97, 98 and 02: they stay as they are.
    """
    lowest, highest = _STANDARD
    check = (wanted - base) % 97
    check = np.where(check < lowest, check + 97, check)
    return np.where((old < lowest) | (old > highest), old, check)
