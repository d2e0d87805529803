"""Privacy loss: pure epsilon and zero-concentrated differential privacy (zCDP), composed and converted.

Both compose by adding. Sources: Bun, Steinke, "Concentrated Differential Privacy" (2016) for zCDP and its composition,
and Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), proposition 12, for the
conversion to (epsilon, delta). Conversions are rounded against the risk: a converted loss is never reported too small.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import exp, inf, log, log1p, nextafter, sqrt

UPWARD = 1e-12
"""Relative slack that covers the rounding of the float evaluation of a bound."""


@dataclass(frozen=True)
class Loss:
    """What a release costs: rho of zCDP, and delta spent outside of it (by a selection of groups).

    A pure-epsilon release has `epsilon` set as well; epsilons add while every part is pure.
    """

    rho: Fraction = Fraction(0)
    epsilon: Fraction | None = Fraction(0)
    delta: Fraction = Fraction(0)

    def __add__(self, other: Loss) -> Loss:
        """Compose two losses."""
        pure = None if self.epsilon is None or other.epsilon is None else self.epsilon + other.epsilon
        return Loss(self.rho + other.rho, pure, self.delta + other.delta)


def pure(epsilon: Fraction) -> Loss:
    """Give the loss of an epsilon-DP release; as zCDP it is epsilon²/2 (Bun, Steinke, proposition 1.4)."""
    return Loss(epsilon * epsilon / 2, epsilon)


def concentrated(rho: Fraction) -> Loss:
    """Give the loss of a rho-zCDP release."""
    return Loss(rho, None)


def total(losses: Iterable[Loss]) -> Loss:
    """Compose many losses."""
    return sum(losses, Loss())


def epsilon_at(loss: Loss, delta: float) -> float:
    """Give the smallest epsilon we can prove such that the loss is (epsilon, delta)-DP.

    Infinite where the loss has already spent `delta`. The better of pure composition and the zCDP bound.
    """
    left = delta - float(loss.delta)
    if left < 0:
        return inf
    if loss.epsilon == 0 and loss.rho == 0:
        return 0.0
    from_pure = inf if loss.epsilon is None else float(loss.epsilon)
    return min(from_pure, _epsilon_of_rho(float(loss.rho), left))


def rho_for(epsilon: float, delta: float) -> Fraction:
    """Give the largest rho we can prove such that rho-zCDP implies (epsilon, delta)-DP, rounded down."""
    if epsilon <= 0 or delta <= 0:
        return Fraction(0)
    low, high = 0.0, epsilon
    while _epsilon_of_rho(high, delta) <= epsilon:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _epsilon_of_rho(middle, delta) <= epsilon else (low, middle)
    return Fraction(low)


def _epsilon_of_rho(rho: float, delta: float) -> float:
    """Minimise proposition 12 over alpha > 1; any alpha gives a valid bound, so the search cannot go wrong."""
    if rho == 0:
        return 0.0
    if delta <= 0:
        return inf
    log_delta = log(1 / delta)

    def bound(alpha: float) -> float:
        return rho * alpha + log1p(-1 / alpha) + (log_delta - log(alpha)) / (alpha - 1)

    centre = 1 + sqrt(log_delta / rho) if log_delta > 0 else 2.0
    low, high = log(1e-3 * min(1.0, centre - 1)), log(1e3 * centre)
    for _ in range(300):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if bound(1 + exp(left)) < bound(1 + exp(right)) else (left, high)
    best = bound(1 + exp((low + high) / 2))
    return max(0.0, nextafter(best * (1 + UPWARD), inf))
