"""Undo randomized response in released counts: what the answers would have been without it, and how sure that is.

With k categories, kept with probability p and else one of the others, each with q = (1 - p) / (k - 1), the count of an
answer is n·q + m·(p - q) on average, where n is the number of rows and m that of the rows whose true answer it is. So m
is estimated by (count - n·q) / (p - q) (Warner 1965; Kairouz, Bonawitz, Ramage 2016), from noisy counts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from pydp_cli.dp.queries import Randomized


@dataclass(frozen=True)
class Estimate:
    """An estimate, and the ends of its interval."""

    value: float
    low: float
    high: float


def debiased(counts: Sequence[int], half: int, randomized: Randomized, miss: float) -> list[Estimate]:
    """Estimate the true counts of all categories from noisy ones.

    `half` is the half-width that the noise of every one of the counts keeps at once, but for a probability of
    `miss / 2`; the other half of `miss` is for the chance of the answers, which is taken as normal.
    """
    k, p = len(counts), float(randomized.kept)
    q = (1 - p) / (k - 1)
    rows, most = sum(counts), sum(counts) + k * half
    z = NormalDist().inv_cdf(1 - miss / 4)
    noise = half * ((1 - q) + (k - 1) * q) / (p - q)
    found = []
    for count in counts:
        value = (count - rows * q) / (p - q)
        mine = min(max(value + noise, 0), max(most, 0))
        chance = z * sqrt(mine * p * (1 - p) + max(most - mine, 0) * q * (1 - q)) / (p - q)
        found.append(Estimate(max(0.0, value), max(0.0, value - noise - chance), max(0.0, value + noise + chance)))
    return found
