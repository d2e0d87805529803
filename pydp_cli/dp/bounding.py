"""Bound what each person contributes: so many groups, so many rows in each, chosen at random; by sorting, in NumPy.

Rows come as an integer matrix: the person's keyed hash, the group, then the values. Which groups and rows of a person
are kept depends on that person's own rows and on fresh randomness, never on other people: removing a person removes
their rows from what is kept and changes nothing else, which is what the sensitivity rests on.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

PERSON, GROUP, VALUES = 0, 1, 2
"""The columns of a matrix of rows."""


def bound(
    rows: Ints, groups: int, rows_per_group: int, seed: Sequence[int] | None = None
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Give the rows that count, and which of them is the first of its person in its group.

    The same rows in the same order and the same `seed` give the same choice; without one it is fresh.
    """
    if len(rows) == 0:
        return rows, np.zeros(0, bool)
    generator = np.random.Generator(np.random.PCG64(seed if seed is not None else secrets.randbits(128)))
    by_person = _order_of(rows[:, PERSON].view(np.uint64))
    hashed = rows[:, PERSON].view(np.uint64)[by_person]
    person = np.cumsum(_starts(hashed), dtype=np.uint64) - np.uint64(1)
    group_bits = max(20, int(rows[:, GROUP].max()).bit_length())
    place = _shuffled(rows[:, GROUP].view(np.uint64)[by_person], hashed, group_bits, generator)
    drawn, key = _in_random_order((person << np.uint64(group_bits)) | place, generator)
    first_of_group, first_of_person = _starts(key), _starts(key >> np.uint64(group_bits))
    keep = _rank(np.arange(len(rows)), first_of_group) < rows_per_group
    keep &= _rank(np.cumsum(first_of_group), first_of_person) < groups
    return rows[by_person[drawn[keep]]], first_of_group[keep]


def _order_of(hashed: Words) -> Ints:
    """Give an order that brings equal hashes together.

    Sorting numbers is several times as fast as sorting places by them. So the place takes the lowest bits of the hash,
    and where that could have mixed two people up, which is seldom, the places are sorted after all.
    """
    mask = np.uint64((1 << len(hashed).bit_length()) - 1)
    packed = (hashed & ~mask) | np.arange(len(hashed), dtype=np.uint64)
    packed.sort()
    order: Ints = (packed & mask).astype(np.int64)
    found, kept = hashed[order], packed & ~mask
    if bool(((found[1:] != found[:-1]) & (kept[1:] == kept[:-1])).any()):
        order = np.argsort(hashed).astype(np.int64)
    return order


def _in_random_order(key: Words, generator: np.random.Generator) -> tuple[Ints, Words]:
    """Give an order by key, at random among equal ones, and the keys in that order."""
    bits, used = len(key).bit_length(), int(key.max()).bit_length()
    drawn: Ints = generator.permutation(len(key))
    if bits + used > 64:  # a number has no room for both
        order = drawn[np.argsort(key[drawn], kind="stable")]
        return order, key[order]
    packed = (key[drawn] << np.uint64(bits)) | np.arange(len(key), dtype=np.uint64)
    packed.sort()
    return drawn[(packed & np.uint64((1 << bits) - 1)).astype(np.int64)], packed >> np.uint64(bits)


def _starts(ordered: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Mark where a run of equal values begins."""
    starts = np.ones(len(ordered), bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    return starts


def _rank(counter: Ints, starts: npt.NDArray[np.bool_]) -> Ints:
    """Count from 0 within each run, by a counter that rises over all of them."""
    runs = np.cumsum(starts) - 1
    ranked: Ints = counter - counter[starts][runs]
    return ranked


def _shuffled(group: Words, person: Words, bits: int, generator: np.random.Generator) -> Words:
    """Give each group a place in an order of the person's own: a bijection on `bits` bits, keyed by the person.

    Being a bijection, it never makes two groups of a person one. How even the choice is matters for accuracy only.
    """
    mask, half = np.uint64((1 << bits) - 1), np.uint64(bits // 2)
    for _ in range(3):
        salt, odd = generator.integers(1 << 63, size=2, dtype=np.uint64)
        mixed = (person ^ salt) * (odd | np.uint64(1))
        mixed ^= mixed >> np.uint64(29)
        group = ((group ^ (mixed >> np.uint64(7))) & mask) * ((mixed >> np.uint64(3)) | np.uint64(1)) & mask
        group ^= group >> half
    return group
