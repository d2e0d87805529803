"""The noisy numbers of one group, each drawn once and then the same for whoever needs it."""

from __future__ import annotations

from dataclasses import dataclass

from pydp_cli.dp.aggregates import Totals
from pydp_cli.dp.calibration import Calibration, present_of
from pydp_cli.dp.features import Amount, Feature
from pydp_cli.dp.mechanisms import Mechanism
from pydp_cli.dp.quantiles import QuantileTree

MISS = 0.05
"""The probability with which an interval may miss."""


@dataclass(frozen=True)
class Number:
    """A released number and its interval."""

    value: float
    low: float
    high: float


class Drawn:
    """The noisy numbers of one group."""

    def __init__(self, totals: Totals, group: int, calibration: Calibration, drawn: dict[str, int]) -> None:
        self._totals, self._group, self._calibration = totals, group, calibration
        self._bins: dict[Feature, list[int]] = {}
        self._drawn: dict[tuple[str, Feature | None], int] = {(kind, None): value for kind, value in drawn.items()}

    def mechanism(self, kind: str, feature: Feature | None = None) -> Mechanism:
        """Give the mechanism of a component."""
        return self._calibration.of(kind, feature)

    def has(self, kind: str, feature: Feature | None) -> bool:
        """Tell whether a component is released."""
        return self._calibration.has(kind, feature)

    def half(self, kind: str, feature: Feature | None = None, miss: float = MISS) -> int:
        """Give the half-width in which the noise stays with probability 1 - miss."""
        return self.mechanism(kind, feature).tail(miss / 2) - 1

    def number(self, kind: str, feature: Feature | None = None) -> int:
        """Give a noisy number."""
        if (kind, feature) not in self._drawn:
            exact = self._exact(kind, feature)
            self._drawn[kind, feature] = self.mechanism(kind, feature).add_noise(exact)
        return self._drawn[kind, feature]

    def count(self, kind: str) -> int:
        """Give people or rows so that there are not more people than rows, where both are drawn.

        Numbers that contradict each other become their mean, each weighted by how sure it is, as a whole number.
        """
        if not (self.has("people", None) and self.has("rows", None)):
            return self.number(kind)
        people, rows = self.number("people"), self.number("rows")
        if people <= rows:
            return people if kind == "people" else rows
        unsure, other = (self.mechanism(one).standard_deviation ** 2 for one in ("people", "rows"))
        return round((people * other + rows * unsure) / (unsure + other))

    def bins(self, feature: Feature) -> list[int]:
        """Give noisy counts of a column's bins."""
        if feature not in self._bins:
            mechanism = self.mechanism("bins", feature)
            assert not isinstance(feature, Amount)
            exact = self._totals.bins_of(feature, self._group, feature.count)
            self._bins[feature] = [mechanism.add_noise(int(count)) for count in exact]
        return self._bins[feature]

    def tree(self, feature: Feature) -> QuantileTree:
        """Give the noisy tree of a column."""
        assert not isinstance(feature, Amount)
        exact = self._totals.bins_of(feature, self._group, feature.count)
        return QuantileTree(exact, self.mechanism("tree", feature))

    def _exact(self, kind: str, feature: Feature | None) -> int:
        totals, group = self._totals, self._group
        if kind in ("people", "rows"):
            return int((totals.people if kind == "people" else totals.rows)[group])
        assert isinstance(feature, Amount)
        if feature not in totals.present:
            return 0
        present, centred = int(totals.present[feature][group]), totals.sums[feature][group]
        if kind == "present":
            return present
        if kind == "sum":
            return centred
        return centred + feature.middle * present if kind == "total" else totals.squares[feature][group]


def noisy_sum(amount: Amount, drawn: Drawn) -> int:
    """Give a sum in units."""
    if drawn.has("total", amount):
        return drawn.number("total", amount)
    return drawn.number("sum", amount) + amount.middle * drawn.number(*present_of(amount))
