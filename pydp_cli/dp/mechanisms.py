"""Noise mechanisms on integers: pure-epsilon Laplace and zCDP Gaussian, behind one small protocol.

A mechanism is calibrated once, by exact fractions, and then adds noise to integers. What it adds is a public
distribution, from which the intervals come.

Sources: Dwork, McSherry, Nissim, Smith (2006) for the Laplace mechanism; Ghosh, Roughgarden, Sundararajan (2009) for
its discrete form; Canonne, Kamath, Steinke (2020), theorem 4, for the discrete Gaussian: rho is
sensitivity²/(2·variance).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, exp, expm1, log, log1p, sqrt
from statistics import NormalDist
from typing import Protocol

from pydp_cli.dp.accounting import Loss, concentrated, pure
from pydp_cli.dp.samplers import RandBelow, discrete_gaussian, discrete_laplace


@dataclass(frozen=True)
class Sensitivity:
    """How far one person can move a vector of integers: in the sum of absolute changes, and of squared changes."""

    l1: int
    l2_squared: int

    @staticmethod
    def of(groups: int, per_group: int) -> Sensitivity:
        """Give the sensitivity where a person is in at most `groups` groups and moves each by at most `per_group`."""
        return Sensitivity(groups * per_group, groups * per_group * per_group)


class Mechanism(Protocol):
    """A calibrated mechanism."""

    @property
    def loss(self) -> Loss:
        """What releasing one noisy vector costs."""
        ...

    @property
    def standard_deviation(self) -> float:
        """The standard deviation of the noise on one number."""
        ...

    def add_noise(self, value: int) -> int:
        """Give a number with fresh noise."""
        ...

    def tail(self, probability: float) -> int:
        """Give the smallest t >= 1 that the noise reaches (noise >= t) with at most the given probability."""
        ...

    def half_of_sum(self, parts: int, miss: float) -> float:
        """Give a half-width in which the sum of the noise of several numbers stays, but for a probability."""
        ...


@dataclass(frozen=True)
class Laplace:
    """Discrete Laplace noise of scale `l1 / epsilon`."""

    sensitivity: Sensitivity
    epsilon: Fraction
    randbelow: RandBelow = field(default=secrets.randbelow, repr=False)

    @property
    def scale(self) -> Fraction:
        """The scale of the noise."""
        return self.sensitivity.l1 / self.epsilon

    @property
    def loss(self) -> Loss:
        """What releasing one noisy vector costs."""
        return pure(self.epsilon)

    @property
    def standard_deviation(self) -> float:
        """The standard deviation of the noise on one number."""
        ratio = exp(-1 / float(self.scale))
        return sqrt(2 * ratio) / -expm1(-1 / float(self.scale))

    def add_noise(self, value: int) -> int:
        """Give a number with fresh noise."""
        return value + discrete_laplace(self.scale, self.randbelow)

    def tail(self, probability: float) -> int:
        """Give the smallest t >= 1 that the noise reaches with at most the given probability."""
        # P(noise >= t) = r^t / (1 + r) with r = exp(-1/scale), for t >= 1
        scale = float(self.scale)
        return max(1, ceil(-scale * (log(probability) + log1p(exp(-1 / scale))) + 1e-9))

    def half_of_sum(self, parts: int, miss: float) -> float:
        """Give Chernoff's bound, by the noise's own moments; where that is smaller, the sum of single bounds."""
        scale, best = float(self.scale), float(parts * (self.tail(miss / 2 / parts) - 1))
        ratio = exp(-1 / scale)
        for step in range(1, 100):
            slope = step / 100 / scale
            growth = 2 * log1p(-ratio) - log1p(-ratio * exp(slope)) - log1p(-ratio * exp(-slope))
            best = min(best, (parts * growth + log(2 / miss)) / slope)
        return best


@dataclass(frozen=True)
class Gaussian:
    """Discrete Gaussian noise of variance parameter `l2_squared / (2·rho)`."""

    sensitivity: Sensitivity
    rho: Fraction
    randbelow: RandBelow = field(default=secrets.randbelow, repr=False)

    @property
    def variance(self) -> Fraction:
        """The variance parameter of the noise."""
        return self.sensitivity.l2_squared / (2 * self.rho)

    @property
    def loss(self) -> Loss:
        """What releasing one noisy vector costs."""
        return concentrated(self.rho)

    @property
    def standard_deviation(self) -> float:
        """The standard deviation of the noise on one number, at most."""
        return sqrt(float(self.variance))

    def add_noise(self, value: int) -> int:
        """Give a number with fresh noise."""
        return value + discrete_gaussian(self.variance, self.randbelow)

    def tail(self, probability: float) -> int:
        """Give a t >= 1 that the noise reaches with at most the given probability.

        The tail of the discrete Gaussian lies below that of the continuous one, one step earlier: P(noise >= t) <=
        P(N(0, variance) >= t - 1) (Canonne, Kamath, Steinke 2020, proposition 25).
        """
        deviation = self.standard_deviation
        return max(1, ceil(1 - deviation * NormalDist().inv_cdf(probability) + 1e-9))

    def half_of_sum(self, parts: int, miss: float) -> float:
        """Give Chernoff's bound: the noise's moments are at most those of the continuous Gaussian."""
        singly = float(parts * (self.tail(miss / 2 / parts) - 1))
        return min(singly, self.standard_deviation * sqrt(2 * parts * log(2 / miss)))
