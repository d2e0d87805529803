"""Totals of a table's groups that add up: sums of what was drawn, to which the groups are then fitted.

A total is what its groups' noisy numbers add up to, held at zero; the groups are moved to the nearest numbers that are
not negative and add up to it. That looks at released numbers only, and costs no privacy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil, inf
from typing import Any

import numpy as np

from pydp_cli.dp.calibration import present_of
from pydp_cli.dp.drawn import MISS, Drawn, noisy_sum
from pydp_cli.dp.features import Amount, amount_of, bins_of
from pydp_cli.dp.mechanisms import Mechanism
from pydp_cli.dp.queries import Question, names_of
from pydp_cli.policy.statistics import Measure

ALL = "(all)"
"""Stands for all keys of a group column."""

Keys = tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """Numbers of groups and totals that add up, by their keys, and how many noisy numbers are in each total."""

    values: Mapping[Keys, float]
    parts: Mapping[Keys, int]


def add_up(drawn: Mapping[Keys, float], *, can_be_negative: bool) -> Fitted:
    """Give the totals of all groups and of each leading key, and groups that add up to them.

    `drawn` are the noisy numbers as they were drawn; every key has as many parts as there are group columns.
    """
    values: dict[Keys, float] = dict(drawn)
    parts: dict[Keys, int] = dict.fromkeys(drawn, 1)
    children: dict[Keys, list[Keys]] = {}
    level = list(drawn)
    width = len(level[0]) if level else 0
    for place in reversed(range(width)):
        above: dict[Keys, None] = {}
        for keys in level:
            parent = (*keys[:place], *[ALL] * (width - place))
            children.setdefault(parent, []).append(keys)
            above[parent] = None
        for parent in above:
            values[parent] = sum(values[child] for child in children[parent])
            parts[parent] = sum(parts[child] for child in children[parent])
        level = list(above)
    if can_be_negative:
        return Fitted(values, parts)
    for top in level:
        values[top] = max(0.0, values[top])
        _fit(top, values, children)
    return Fitted(values, parts)


def _fit(parent: Keys, values: dict[Keys, float], children: Mapping[Keys, Sequence[Keys]]) -> None:
    """Move the children of a key, and theirs, so that they are not negative and add up to it."""
    mine = children.get(parent, ())
    for child, value in zip(mine, nearest([values[child] for child in mine], values[parent]), strict=True):
        values[child] = value
        _fit(child, values, children)


def nearest(values: Sequence[float], total: float) -> list[float]:
    """Give the nearest numbers that are not negative and have a total (Duchi and others 2008, figure 1)."""
    if not values:
        return []
    if min(values) >= 0 and sum(values) == total:
        return list(values)
    falling = np.sort(np.array(values, dtype=np.float64))[::-1]
    over = (np.cumsum(falling) - total) / np.arange(1, len(falling) + 1)
    shift = over[np.flatnonzero(falling > over)[-1]] if (falling > over).any() else falling[0]
    return [float(one) for one in np.maximum(np.array(values) - shift, 0)]


Row = dict[str, Any]


def with_totals(question: Question, rows: Mapping[Keys, Row], drawn: Mapping[Keys, Drawn]) -> list[Row]:
    """Add lines with totals, the grand one last, and fit the groups to them; what does not add up is empty there."""
    columns = [column.name for column in question.group_by]
    lines = {**rows, **{keys: dict(zip(columns, keys, strict=True)) for keys in _totals_of(rows, len(columns))}}
    for label, measure in question.measures:
        parts = {keys: list(_parts_of(measure, one, question)) for keys, one in drawn.items()}
        for place, name in enumerate(names_of(label, measure)):
            _fill(lines, name, {keys: found[place] for keys, found in parts.items() if found}, rows)
    return list(lines.values())


def _totals_of(keys: Iterable[Keys], width: int) -> Iterator[Keys]:
    for place in reversed(range(width)):
        yield from dict.fromkeys((*one[:place], *[ALL] * (width - place)) for one in keys)


def _fill(lines: Mapping[Keys, Row], name: str, parts: Mapping[Keys, _Part], groups: Mapping[Keys, Row]) -> None:
    """Write the numbers of one name that add up into all lines, or nothing into those of totals."""
    low, high = f"{name}_low", f"{name}_high"
    if not parts:
        for keys in lines.keys() - groups.keys():
            lines[keys].update(dict.fromkeys((name, low, high)))
        return
    one = next(iter(parts.values()))
    least = -inf if one.can_be_negative else 0.0
    fitted = add_up({keys: part.value for keys, part in parts.items()}, can_be_negative=one.can_be_negative)
    for keys, line in lines.items():
        value = fitted.values[keys]
        if keys not in groups:
            half = one.half(fitted.parts[keys])
            line |= {low: value - half, high: value + half}
        line |= {name: value, low: max(least, min(line[low], value)), high: max(line[high], value)}


@dataclass(frozen=True)
class _Part:
    """A noisy number of one group that adds up over groups; `half` is the half-width of a sum of so many."""

    value: float
    half: Callable[[int], float]
    can_be_negative: bool = False


def _parts_of(measure: Measure, drawn: Drawn, question: Question) -> Iterator[_Part]:
    """Give the numbers that add up; people do where nobody counts in two groups."""
    if measure.kind == "count" or (measure.kind == "count_users" and question.groups == 1):
        kind = "rows" if measure.kind == "count" else "people"
        yield _Part(drawn.count(kind), partial(_half_of_counts, drawn.mechanism(kind)))
    elif measure.kind == "histogram":
        half = partial(_half_of_counts, drawn.mechanism("bins", bins_of(measure)))
        yield from (_Part(value, half) for value in drawn.bins(bins_of(measure)))
    elif measure.kind == "sum":
        amount = amount_of(measure)
        value = float(noisy_sum(amount, drawn) * Fraction(str(amount.unit)))
        yield _Part(value, partial(_half_of_sums, amount, drawn), can_be_negative=amount.low < 0)


def _half_of_counts(mechanism: Mechanism, parts: int) -> int:
    return ceil(mechanism.half_of_sum(parts, MISS))


def _half_of_sums(amount: Amount, drawn: Drawn, parts: int) -> float:
    if drawn.has("total", amount):
        return drawn.mechanism("total", amount).half_of_sum(parts, MISS) * float(amount.unit)
    count = drawn.mechanism(*present_of(amount)).half_of_sum(parts, MISS / 2)
    half = drawn.mechanism("sum", amount).half_of_sum(parts, MISS / 2) + abs(amount.middle) * count
    return half * float(amount.unit)
