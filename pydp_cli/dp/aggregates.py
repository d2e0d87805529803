"""Exact integers per group, of rows that are bounded: people, rows, sums, sums of squares and bins.

These numbers are private. They are held in memory between the last batch and the noise, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pydp_cli.dp.bounding import GROUP, VALUES, bound
from pydp_cli.dp.features import MISSING, Amount, Feature

Ints = npt.NDArray[np.int64]
EXACT = 1 << 53
"""Below this, sums of integers as floats are exact."""


@dataclass
class Totals:
    """The totals of some shards. Arrays have one entry a group; sums are Python integers, so that nothing overflows."""

    groups: int
    people: Ints = field(init=False)
    rows: Ints = field(init=False)
    present: dict[Feature, Ints] = field(default_factory=dict)
    sums: dict[Feature, list[int]] = field(default_factory=dict)
    squares: dict[Feature, list[int]] = field(default_factory=dict)
    bins: dict[Feature, dict[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.people, self.rows = np.zeros(self.groups, np.int64), np.zeros(self.groups, np.int64)

    def add_rows(self, rows: Ints, first: npt.NDArray[np.bool_], features: tuple[Feature, ...]) -> None:
        """Add bounded rows; `first` marks the first row of each person in each group."""
        group = rows[:, GROUP]
        self.people += np.bincount(group[first], minlength=self.groups)
        self.rows += np.bincount(group, minlength=self.groups)
        for place, feature in enumerate(features):
            values = rows[:, VALUES + place]
            there = values != MISSING
            at, values = group[there], values[there]
            if isinstance(feature, Amount):
                present = np.bincount(at, minlength=self.groups)
                self.present[feature] = self.present.get(feature, 0) + present
                _add(self.sums, feature, exact_sums(at, values, self.groups))
                _add(self.squares, feature, exact_sums(at, values * values, self.groups))
            else:
                cells, counts = np.unique(at * feature.count + values, return_counts=True)
                tally = self.bins.setdefault(feature, {})
                for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
                    tally[cell] = tally.get(cell, 0) + count

    def add(self, other: Totals) -> None:
        """Add the totals of other shards."""
        self.people += other.people
        self.rows += other.rows
        for feature, present in other.present.items():
            self.present[feature] = self.present.get(feature, 0) + present
            _add(self.sums, feature, other.sums[feature])
            _add(self.squares, feature, other.squares[feature])
        for feature, tally in other.bins.items():
            mine = self.bins.setdefault(feature, {})
            for cell, count in tally.items():
                mine[cell] = mine.get(cell, 0) + count

    def bins_of(self, feature: Feature, group: int, count: int) -> Ints:
        """Give the bins of one group."""
        tally, start = self.bins.get(feature, {}), group * count
        return np.array([tally.get(start + place, 0) for place in range(count)], np.int64)


def reduce_shard(
    rows: Ints, groups: int, features: tuple[Feature, ...], limits: tuple[int, int], *, bounded: bool = True
) -> Totals:
    """Bound one shard and add it up. `bounded` is False in tests only, to see the audit fail without bounds."""
    totals = Totals(groups)
    kept, first = bound(rows, *(limits if bounded else (1 << 40, 1 << 40)))
    totals.add_rows(kept, first, features)
    return totals


def exact_sums(group: Ints, values: Ints, groups: int) -> list[int]:
    """Sum integers by group, exactly: as floats while they cannot round, else by halves of their bits."""
    most = int(np.abs(values).max(initial=0))
    if most * len(values) < EXACT:
        sums = np.bincount(group, weights=values, minlength=groups)
        return [int(one) for one in sums.tolist()]
    high = exact_sums(group, values >> 24, groups)
    low = exact_sums(group, values & 0xFFFFFF, groups)
    return [(a << 24) + b for a, b in zip(high, low, strict=True)]


def _add(sums: dict[Feature, list[int]], feature: Feature, more: list[int]) -> None:
    before = sums.get(feature)
    sums[feature] = more if before is None else [a + b for a, b in zip(before, more, strict=True)]
