"""Shamir's secret sharing: the field, the sharing, against published values and another implementation."""

import json
from itertools import combinations
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pydp_cli.errors import UsageError
from pydp_cli.keys.shamir import combine, divide, multiply, split

VECTORS = Path(__file__).parent / "vectors" / "shamir.json"
BYTES = st.integers(0, 255)


def peasant(a, b):
    """Multiply by shifting and adding, as FIPS 197 section 4.2 defines it."""
    product = 0
    while b:
        product ^= a * (b & 1)
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def test_multiplies_as_fips_197_shows():
    assert multiply(0x57, 0x83) == 0xC1
    assert multiply(0x57, 0x13) == 0xFE


def test_multiplies_as_the_definition_does_for_every_pair():
    assert all(multiply(a, b) == peasant(a, b) for a in range(256) for b in range(256))


@given(BYTES, BYTES.filter(bool))
def test_division_undoes_multiplication(a, b):
    assert divide(multiply(a, b), b) == a


def test_division_by_zero_is_an_error():
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)


@given(st.data(), st.binary(min_size=1, max_size=40))
def test_any_k_shares_give_the_secret(data, secret):
    shares = data.draw(st.integers(2, 12))
    threshold = data.draw(st.integers(2, shares))
    made = split(secret, threshold=threshold, shares=shares)

    chosen = data.draw(st.permutations(sorted(made)))[:threshold]

    assert combine({number: made[number] for number in chosen}) == secret


def test_every_choice_of_shares_gives_the_secret():
    secret = bytes(range(32))
    made = split(secret, threshold=3, shares=5)

    for chosen in combinations(made, 3):
        assert combine({number: made[number] for number in chosen}) == secret


def test_fewer_shares_say_nothing_about_the_secret():
    """With one share fixed, each of the 256 secrets is still possible, once: the other coefficient decides."""
    possible = set()
    for coefficient in range(256):
        made = split(b"\x42", threshold=2, shares=2, random=lambda size, c=coefficient: bytes([c] * size))
        possible.add(combine({1: b"\x07", 2: made[2]}))
    assert len(possible) == 256


def test_every_coefficient_is_random():
    asked = []

    def random(size):
        asked.append(size)
        return bytes(size)

    split(bytes(32), threshold=4, shares=5, random=random)

    assert asked == [32, 32, 32]


def test_combines_what_another_implementation_split():
    for vector in json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]:
        shares = {int(number): bytes.fromhex(part) for number, part in vector["shares"].items()}
        for chosen in combinations(sorted(shares), vector["threshold"]):
            assert combine({number: shares[number] for number in chosen}).hex() == vector["secret"]


@pytest.mark.parametrize(("threshold", "shares"), [(1, 3), (0, 3), (4, 3), (2, 256), (-1, 2), (2, 1)])
def test_impossible_splits_are_refused(threshold, shares):
    with pytest.raises(UsageError, match="cannot be split"):
        split(b"x", threshold=threshold, shares=shares)


def test_the_most_shares_work():
    made = split(b"secret", threshold=255, shares=255)

    assert combine(made) == b"secret"
