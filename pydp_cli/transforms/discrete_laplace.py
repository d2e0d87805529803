"""Exact discrete Laplace noise for many values at once: integers only, never a float.

Source: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS 2020), algorithms 1 and 2,
each step taken for all values that are not finished. The number of random draws depends on the noise that is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Random = Callable[[int], bytes]

MOST = 1 << 44
"""The greatest numerator of a scale: a product with the number of coins that come up in a row stays within 64 bits."""


def discrete_laplace(count: int, scale: Fraction, random: Random = os.urandom) -> Integers:
    """Draw integers x with probability proportional to exp(-|x| / scale); raises `ValueError` for a scale too fine."""
    t, s = scale.numerator, scale.denominator
    if not 0 < t <= MOST:
        raise ValueError("the scale must be above 0, and a fraction of numbers that are not too great")
    drawn = np.zeros(count, np.int64)
    waiting = np.arange(count)
    while len(waiting):
        u = _below(np.full(len(waiting), t, np.uint64), random)
        kept = _exponential(u, t, random)
        at, u = waiting[kept], u[kept]
        magnitude = (u.astype(np.int64) + t * _in_a_row(len(at), random)) // s
        negative = _below(np.full(len(at), 2, np.uint64), random) == 1
        good = ~(negative & (magnitude == 0))
        drawn[at[good]] = np.where(negative, -magnitude, magnitude)[good]
        waiting = np.concatenate([waiting[~kept], at[~good]])
    return drawn


def _exponential(u: npt.NDArray[np.uint64], t: int, random: Random) -> npt.NDArray[np.bool_]:
    """Toss a coin for each value that comes up with probability exp(-u/t), where 0 <= u <= t (algorithm 1)."""
    odd = np.ones(len(u), np.bool_)
    going, k = np.arange(len(u)), 1
    while len(going):
        up = _below(np.full(len(going), t * k, np.uint64), random) < u[going]
        going, k = going[up], k + 1
        odd[going] = k % 2 == 1
    return odd


def _in_a_row(count: int, random: Random) -> Integers:
    """Count for each value how many coins of probability exp(-1) come up before one does not."""
    counts = np.zeros(count, np.int64)
    going = np.arange(count)
    while len(going):
        going = going[_exponential(np.ones(len(going), np.uint64), 1, random)]
        counts[going] += 1
    return counts


def _below(bounds: npt.NDArray[np.uint64], random: Random) -> npt.NDArray[np.uint64]:
    """Draw an integer evenly from [0, n) for each bound n."""
    drawn = np.zeros(len(bounds), np.uint64)
    waiting = np.arange(len(bounds))
    whole = (np.uint64(2**64 - 1) // bounds) * bounds  # beyond it, remainders would not be even
    while len(waiting):
        words = np.frombuffer(random(8 * len(waiting)), np.uint64)
        even = words < whole[waiting]
        drawn[waiting[even]] = words[even] % bounds[waiting[even]]
        waiting = waiting[~even]
    return drawn
