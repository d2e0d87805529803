"""Before spending: which epsilon an accuracy needs; and after a search for bounds, which bounds it found."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

from pydp_cli.dp.calibration import calibrate
from pydp_cli.dp.queries import Question
from pydp_cli.dp.release import expected_errors
from pydp_cli.errors import UsageError

MOST_EPSILON = 1 << 20


def epsilon_for(question: Question, name: str, half_width: float) -> Fraction:
    """Give an epsilon at which the statistic's interval is no wider than asked; of several sizes, for the smallest."""

    def error(epsilon: Fraction) -> float:
        asked = replace(question, epsilon=epsilon, rho=None)
        found = [half for label, _, half in expected_errors(asked, calibrate(asked)) if label.split(" (")[0] == name]
        if not found:
            known = ", ".join(label for label, _ in question.measures)
            raise UsageError(f'there is no statistic "{name}"', place="--target-error", hint=f"one of: {known}")
        return found[0]

    low, high = Fraction(1, 1 << 20), Fraction(1)
    while error(high) > half_width:
        low, high = high, high * 2
        if high > MOST_EPSILON:
            raise UsageError("no useful epsilon gives such accuracy", place="--target-error")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > half_width else (low, middle)
    return high


def bounds_from(released: dict[str, Any]) -> tuple[float, float]:
    """Read bounds off a released histogram over powers of two: the bins that are surely not empty.

    The noise alone fills one of all the empty bins with a probability of 1e-9 at most.
    """
    edges = released["bounds"]["bounds"]
    row, names = released["rows"][0], released["names"]
    least = surely_above(released["mechanisms"][0], len(names))
    filled = [place for place, name in enumerate(names) if row[name] > least]
    if not filled:
        raise UsageError("too few people to find bounds at this epsilon", hint="spend more, or declare bounds you know")
    return edges[filled[0]], edges[filled[-1] + 1]


def surely_above(mechanism: dict[str, Any], numbers: int) -> float:
    """Give what none of some numbers reaches by its noise alone, but with a probability of 1e-9.

    The discrete Laplace distribution with ratio a exceeds t with a probability of less than a^t, and its variance is
    2a/(1-a)^2; the discrete Gaussian is subgaussian (Canonne, Kamath and Steinke 2020, theorem 1 and proposition 25).
    Where hardly any noise is, half of the variance is the probability of 1, and that to the power of k*k the one of k.
    """
    deviation, odds = mechanism["noise_standard_deviation"], math.log(numbers / 1e-9)
    variance = max(deviation**2, 1e-300)
    if mechanism["mechanism"] == "discrete Laplace":
        return odds / math.log((variance + 1 + math.sqrt(2 * variance + 1)) / variance)
    reached = deviation * math.sqrt(2 * odds)
    return float(max(reached, math.sqrt(odds / math.log(2 / variance))) if variance < 0.25 else reached)
