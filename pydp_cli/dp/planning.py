"""Before spending: which epsilon an accuracy needs; and after a search for bounds, which bounds it found."""

from __future__ import annotations

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

    An interval of one bin may miss, and there are many bins: a bin counts at three half-widths above nothing.
    """
    edges = released["bounds"]["bounds"]
    row = released["rows"][0]
    filled = [
        place for place, name in enumerate(released["names"]) if row[name] > 3 * (row[f"{name}_high"] - row[name])
    ]
    if not filled:
        raise UsageError("too few people to find bounds at this epsilon", hint="spend more, or declare bounds you know")
    return edges[filled[0]], edges[filled[-1] + 1]
