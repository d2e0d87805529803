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
    by_person = np.argsort(rows[:, PERSON])
    rows = rows[by_person]
    person = np.cumsum(_starts(rows[:, PERSON]), dtype=np.uint64) - np.uint64(1)
    group_bits = max(20, int(rows[:, GROUP].max()).bit_length())
    chance_bits = 64 - group_bits - int(person[-1]).bit_length()
    if chance_bits < 8:
        raise ValueError("too many people and groups in one shard")
    place = _shuffled(rows[:, GROUP].astype(np.uint64), rows[:, PERSON].view(np.uint64), group_bits, generator)
    chance = generator.integers(0, 1 << chance_bits, len(rows), dtype=np.uint64)
    key = (person << np.uint64(group_bits)) | place
    key = (key << np.uint64(chance_bits)) | chance
    order = np.argsort(key)
    rows, key = rows[order], key[order] >> np.uint64(chance_bits)
    first_of_group, first_of_person = _starts(key), _starts(key >> np.uint64(group_bits))
    keep = _rank(np.arange(len(rows)), first_of_group) < rows_per_group
    keep &= _rank(np.cumsum(first_of_group), first_of_person) < groups
    return rows[keep], first_of_group[keep]


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
