"""Shamir's secret sharing over GF(2^8), byte by byte (A. Shamir, How to share a secret, 1979).

The field is that of AES (x^8 + x^4 + x^3 + x + 1). Each byte of the secret is the value at 0 of a random polynomial of
degree k - 1; share x is its value at x. Fewer than k shares say nothing about the secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from secrets import token_bytes

from pydp_cli.errors import UsageError

MOST_SHARES = 255


def _tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give powers and logarithms to the base 3, which generates the field."""
    powers, logarithms, value = [0] * 255, [0] * 256, 1
    for exponent in range(255):
        powers[exponent], logarithms[value] = value, exponent
        value ^= (value << 1) ^ (0x11B if value & 0x80 else 0)
    return tuple(powers), tuple(logarithms)


POWERS, LOGARITHMS = _tables()


def multiply(a: int, b: int) -> int:
    """Multiply in the field."""
    return POWERS[(LOGARITHMS[a] + LOGARITHMS[b]) % 255] if a and b else 0


def divide(a: int, b: int) -> int:
    """Divide in the field; `b` is not 0."""
    if b == 0:
        raise ZeroDivisionError("division by 0 in GF(2^8)")
    return POWERS[(LOGARITHMS[a] - LOGARITHMS[b]) % 255] if a else 0


def split(
    secret: bytes, *, threshold: int, shares: int, random: Callable[[int], bytes] = token_bytes
) -> dict[int, bytes]:
    """Split a secret into shares, numbered from 1, of which `threshold` give it back."""
    if not 2 <= threshold <= shares <= MOST_SHARES:
        raise UsageError(
            f"a secret cannot be split {threshold} of {shares}", hint=f"2 <= k <= n <= {MOST_SHARES}, as in 2 of 3"
        )
    coefficients = [secret, *(random(len(secret)) for _ in range(threshold - 1))]
    return {x: _evaluated(coefficients, x) for x in range(1, shares + 1)}


def _evaluated(coefficients: list[bytes], x: int) -> bytes:
    value = bytes(len(coefficients[0]))
    for coefficient in reversed(coefficients):
        value = bytes(multiply(byte, x) ^ other for byte, other in zip(value, coefficient, strict=True))
    return value


def combine(shares: Mapping[int, bytes]) -> bytes:
    """Give the secret of exactly as many shares as its threshold; other numbers or wrong shares give noise."""
    result = bytes(len(next(iter(shares.values()))))
    for x, share in shares.items():
        weight = 1
        for other in shares:
            if other != x:
                weight = multiply(weight, divide(other, other ^ x))
        result = bytes(byte ^ multiply(part, weight) for byte, part in zip(result, share, strict=True))
    return result
