"""Exact integers per group, of rows that are bounded: people, rows, sums, sums of squares and bins.

These numbers are private. They are held in memory between the last batch and the noise, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pydp_cli.dp.bounding import GROUP, VALUES, bound
from pydp_cli.dp.features import MISSING, Amount, Bins, Feature

Ints = npt.NDArray[np.int64]
DENSE_CELLS = 1 << 21
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
    bins: dict[Feature, Ints | dict[int, int]] = field(default_factory=dict)

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
                self._add_cells(feature, at * feature.count + values)

    def add(self, other: Totals) -> None:
        """Add the totals of other shards."""
        self.people += other.people
        self.rows += other.rows
        for feature, present in other.present.items():
            self.present[feature] = self.present.get(feature, 0) + present
        for feature, sums in other.sums.items():
            _add(self.sums, feature, sums)
        for feature, squares in other.squares.items():
            _add(self.squares, feature, squares)
        for feature, bins in other.bins.items():
            before = self.bins.get(feature)
            if before is None:
                self.bins[feature] = bins
            elif isinstance(before, dict) and isinstance(bins, dict):
                for cell, count in bins.items():
                    before[cell] = before.get(cell, 0) + count
            else:
                assert not isinstance(before, dict)
                assert not isinstance(bins, dict)
                self.bins[feature] = before + bins

    def bins_of(self, feature: Feature, group: int, count: int) -> Ints:
        """Give the bins of one group."""
        tally, start = self.bins.get(feature, {}), group * count
        if isinstance(tally, dict):
            return np.array([tally.get(start + place, 0) for place in range(count)], np.int64)
        return tally[start : start + count]

    def _add_cells(self, feature: Bins, cells: Ints) -> None:
        """Count rows by group and bin: in an array where that is small, else only the cells that have any."""
        size = self.groups * feature.count
        if size <= DENSE_CELLS:
            found = np.bincount(cells, minlength=size)
            before = self.bins.get(feature)
            assert not isinstance(before, dict)
            self.bins[feature] = found if before is None else before + found
            return
        tally = self.bins.setdefault(feature, {})
        assert isinstance(tally, dict)
        some, counts = np.unique(cells, return_counts=True)
        for cell, count in zip(some.tolist(), counts.tolist(), strict=True):
            tally[cell] = tally.get(cell, 0) + count


def reduce_shard(rows: Ints, groups: int, features: tuple[Feature, ...], limits: tuple[int, int]) -> Totals:
    """Bound one shard and add it up."""
    totals = Totals(groups)
    totals.add_rows(*bound(rows, *limits), features)
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
