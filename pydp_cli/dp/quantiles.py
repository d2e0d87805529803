"""All quantiles of a group from one noisy tree over its histogram.

The range is cut into branching^depth equal bins. Every node of the tree over the bins gets noise once; a quantile walks
from the root towards its rank. Noise is drawn only for nodes that a walk visits, which gives the same distribution,
because the nodes' noises are independent.

A row is counted in one node of each level, so each level is a histogram with the sensitivity of a count, and the budget
is split evenly over the levels by whoever calibrates the mechanism.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import sqrt

import numpy as np
import numpy.typing as npt

from pydp_cli.dp.mechanisms import Mechanism

BRANCHING = 16
DEPTH = 3
BINS = BRANCHING**DEPTH


class QuantileTree:
    """The noisy tree of one group. `bins` are its exact counts, BINS of them, lowest first."""

    def __init__(self, bins: npt.NDArray[np.int64], mechanism: Mechanism) -> None:
        if bins.shape != (BINS,):
            raise ValueError(f"a tree has {BINS} bins")
        self._mechanism = mechanism
        self._levels = [bins.reshape(BRANCHING ** (level + 1), -1).sum(axis=1) for level in range(DEPTH)]
        self._noisy: dict[tuple[int, int], int] = {}

    def rank_error(self) -> float:
        """Give the standard deviation of a rank: half of the siblings on each level lie below the walk."""
        return self._mechanism.standard_deviation * sqrt(DEPTH * BRANCHING / 2)

    def total(self) -> int:
        """Give the noisy number of rows."""
        return sum(self._children(0, 0))

    def quantile(self, share: float) -> Fraction:
        """Give the place of a quantile in the range, from 0 to 1; interpolated within a bin."""
        node, left_of, width = 0, Fraction(0), Fraction(1)
        rank = Fraction(min(max(share, 0.0), 1.0))
        for level in range(DEPTH):
            children = self._children(level, node)
            width /= BRANCHING
            chosen, rank = _child_at(children, rank)
            left_of += chosen * width
            node = node * BRANCHING + chosen
        return left_of + rank * width

    def quantiles(self, shares: Sequence[float]) -> list[Fraction]:
        """Give several quantiles, made monotone: a higher share never has a lower place."""
        places = {share: self.quantile(share) for share in shares}
        ordered = dict(zip(sorted(places), sorted(places.values()), strict=True))
        return [ordered[share] for share in shares]

    def _children(self, level: int, node: int) -> list[int]:
        first = node * BRANCHING
        return [max(0, self._noisy_count(level, first + child)) for child in range(BRANCHING)]

    def _noisy_count(self, level: int, index: int) -> int:
        if (level, index) not in self._noisy:
            self._noisy[level, index] = self._mechanism.add_noise(int(self._levels[level][index]))
        return self._noisy[level, index]


def _child_at(children: list[int], rank: Fraction) -> tuple[int, Fraction]:
    """Give the child in which a relative rank lies, and the relative rank within it."""
    total = sum(children)
    if total == 0:
        return min(int(rank * BRANCHING), BRANCHING - 1), rank * BRANCHING % 1 if rank < 1 else Fraction(1)
    target, below = rank * total, 0
    last = max(child for child, count in enumerate(children) if count)
    for child, count in enumerate(children):
        if count and (target <= below + count or child == last):
            return child, min(Fraction(1), (target - below) / count)
        below += count
    raise AssertionError("a rank lies in one of the children")
