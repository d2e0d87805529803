"""From exact totals to released numbers: noise drawn once, then intervals and consistency from the noisy numbers alone.

An interval holds the number that the noise was added to with a probability of at least 95 %. It says nothing of what
clamping and contribution limits leave out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import isqrt, sqrt
from typing import Any

from pydp_cli.dp.aggregates import Totals
from pydp_cli.dp.calibration import Calibration, described, present_of
from pydp_cli.dp.debias import debiased
from pydp_cli.dp.drawn import MISS, Drawn, Number, noisy_sum
from pydp_cli.dp.features import Amount, amount_of, bins_of
from pydp_cli.dp.quantiles import QuantileTree
from pydp_cli.dp.queries import Question, names_of
from pydp_cli.dp.scan import Key
from pydp_cli.dp.selection import select_groups
from pydp_cli.dp.totals import with_totals
from pydp_cli.policy.statistics import Measure

Select = Callable[[dict[int, int]], dict[int, int]]


def release(
    question: Question, totals: Totals, keys: list[Key], calibration: Calibration, select: Select | None = None
) -> dict[str, Any]:
    """Draw the noise, and give the released table as plain data. `select` is replaced in tests only."""
    people = [int(count) for count in totals.people]
    if question.selects:
        choose = select or (
            lambda counts: select_groups(counts, calibration.of("people"), question.delta, question.groups)
        )
        named = choose({group: count for group, count in enumerate(people) if count})
        groups = sorted(named, key=lambda group: keys[group])
    else:
        named, groups = {}, list(range(len(keys)))
    drawn = {
        group: Drawn(totals, group, calibration, {"people": named[group]} if group in named else {}) for group in groups
    }
    corrected = {} if question.randomized is None else _corrected(question, keys, drawn)
    table = []
    for group, noisy in drawn.items():
        row: dict[str, Any] = dict(zip([column.name for column in question.group_by], keys[group], strict=True))
        for label, measure in question.measures:
            numbers = [(label, corrected[label, group])] if corrected else _measured(label, measure, noisy)
            for name, number in numbers:
                row[name], row[f"{name}_low"], row[f"{name}_high"] = number.value, number.low, number.high
        table.append(row)
    if question.totals:
        named_groups = [keys[group] for group in drawn]
        table = with_totals(
            question,
            dict(zip(named_groups, table, strict=True)),
            dict(zip(named_groups, drawn.values(), strict=True)),
        )
    return {
        "groups": [column.name for column in question.group_by],
        "names": [name for label, measure in question.measures for name in names_of(label, measure)],
        "rows": table,
        "mechanisms": [described(component, mechanism) for component, mechanism in calibration.mechanisms.items()],
    }


def _corrected(question: Question, keys: list[Key], drawn: dict[int, Drawn]) -> dict[tuple[str, int], Number]:
    """Correct counts for randomized response; those that differ in the answer alone are taken together."""
    asked = question.randomized
    assert asked is not None
    assert asked.randomized is not None
    place = question.group_by.index(asked)
    together: dict[Key, list[int]] = {}
    for group in drawn:
        together.setdefault((*keys[group][:place], *keys[group][place + 1 :]), []).append(group)
    found: dict[tuple[str, int], Number] = {}
    for label, measure in question.measures:
        kind = "rows" if measure.kind == "count" else "people"
        for groups in together.values():
            counts = [drawn[group].number(kind) for group in groups]
            half = drawn[groups[0]].half(kind, miss=MISS / 2 / len(groups))
            estimates = debiased(counts, half, asked.randomized, MISS)
            found |= {
                (label, group): Number(one.value, one.low, one.high)
                for group, one in zip(groups, estimates, strict=True)
            }
    return found


def _measured(label: str, measure: Measure, noisy: Drawn) -> Iterator[tuple[str, Number]]:
    names = names_of(label, measure)
    if measure.kind in ("count", "count_users"):
        kind = "rows" if measure.kind == "count" else "people"
        value, drawn, half = noisy.count(kind), noisy.number(kind), noisy.half(kind)
        yield label, Number(max(0, value), max(0, min(drawn - half, value)), max(0, drawn + half, value))
    elif measure.kind == "histogram":
        feature = bins_of(measure)
        half = noisy.half("bins", feature)
        for name, value in zip(names, noisy.bins(feature), strict=True):
            yield name, Number(max(0, value), max(0, value - half), max(0, value + half))
    elif measure.kind in ("median", "quantiles"):
        yield from zip(names, _quantiles(measure, noisy.tree(bins_of(measure))), strict=True)
    else:
        yield label, {"sum": _sum, "mean": _mean, "std": _std}[measure.kind](amount_of(measure), noisy)


def _sum(amount: Amount, noisy: Drawn) -> Number:
    unit, value = Fraction(str(amount.unit)), noisy_sum(amount, noisy)
    if noisy.has("total", amount):
        half = noisy.half("total", amount)
    else:
        count = present_of(amount)
        half = noisy.half("sum", amount, MISS / 2) + abs(amount.middle) * noisy.half(*count, MISS / 2)
    low, high = value - half, value + half
    if amount.low >= 0:
        value, low, high = max(0, value), max(0, low), max(0, high)
    return Number(float(value * unit), float(low * unit), float(high * unit))


def _mean(amount: Amount, noisy: Drawn) -> Number:
    unit = Fraction(str(amount.unit))
    count = present_of(amount)
    rows, total = noisy.number(*count), noisy.number("sum", amount)
    rows_off, total_off = noisy.half(*count, MISS / 2), noisy.half("sum", amount, MISS / 2)

    def in_bounds(centred: Fraction) -> float:
        return float(min(max(centred + amount.middle, Fraction(amount.low)), Fraction(amount.high)) * unit)

    value = in_bounds(Fraction(total, max(rows, 1)))
    if rows - rows_off < 1:
        return Number(value, float(amount.low * unit), float(amount.high * unit))
    ends = [Fraction(total + sign * total_off, rows + other * rows_off) for sign in (-1, 1) for other in (-1, 1)]
    return Number(value, in_bounds(min(ends)), in_bounds(max(ends)))


def _std(amount: Amount, noisy: Drawn) -> Number:
    unit = Fraction(str(amount.unit))
    count, miss = present_of(amount), MISS / 3
    rows, total, squares = noisy.number(*count), noisy.number("sum", amount), noisy.number("squares", amount)
    off = noisy.half(*count, miss), noisy.half("sum", amount, miss), noisy.half("squares", amount, miss)

    def root(variance: Fraction) -> float:
        held = min(max(variance, Fraction(0)), Fraction(amount.reach) ** 2)
        return sqrt(held) * float(unit)

    some = max(rows, 1)
    value = root(Fraction(squares, some) - Fraction(total, some) ** 2)
    few, many = rows - off[0], rows + off[0]
    if few < 1:
        return Number(value, 0.0, root(Fraction(amount.reach) ** 2))
    nearest, furthest = max(0, abs(total) - off[1]), abs(total) + off[1]
    least = Fraction(max(0, squares - off[2]), many) - Fraction(furthest, few) ** 2
    most = Fraction(max(0, squares + off[2]), few) - Fraction(nearest, many) ** 2
    return Number(value, root(least), root(most))


def _quantiles(measure: Measure, tree: QuantileTree) -> list[Number]:
    assert measure.bounds is not None
    low, high = measure.bounds
    rows, off = tree.total(), 1.96 * tree.rank_error()
    places = tree.quantiles(measure.shares)
    around = off / rows if rows > off else 1.0
    lows = tree.quantiles([share - around for share in measure.shares])
    highs = tree.quantiles([share + around for share in measure.shares])

    def at(place: Fraction) -> float:
        return low + float(place) * (high - low)

    found = []
    for place, below, above in zip(places, lows, highs, strict=True):
        if around >= 1:
            below, above = Fraction(0), Fraction(1)  # noqa: PLW2901 - nothing is known
        found.append(Number(at(place), at(min(below, place)), at(max(above, place))))
    return found


def expected_errors(question: Question, calibration: Calibration) -> list[tuple[str, str, float]]:
    """Give, before any data is read, the half-width of the 95 % interval: statistic, of how many rows, half-width."""
    found = []
    for label, measure in question.measures:
        if measure.kind in ("count", "count_users"):
            kind = "rows" if measure.kind == "count" else "people"
            found.append((label, "any", float(calibration.of(kind).tail(MISS / 2) - 1)))
        elif measure.kind == "histogram":
            found.append(
                (f"{label} (each bin)", "any", float(calibration.of("bins", bins_of(measure)).tail(MISS / 2) - 1))
            )
        elif measure.kind in ("sum", "mean", "std"):
            found += _expected_amount(label, measure, calibration)
        else:
            deviation = calibration.of("tree", bins_of(measure)).standard_deviation
            found.append((f"{label} (in ranks)", "any", 1.96 * deviation * sqrt(3 * 16 / 2)))
    return found


def _expected_amount(label: str, measure: Measure, calibration: Calibration) -> Iterator[tuple[str, str, float]]:
    amount, unit = amount_of(measure), float(measure.unit)
    if measure.kind == "sum":
        if calibration.has("total", amount):
            half = calibration.of("total", amount).tail(MISS / 2) - 1
        else:
            count = calibration.of(*present_of(amount)).tail(MISS / 4) - 1
            half = calibration.of("sum", amount).tail(MISS / 4) - 1 + abs(amount.middle) * count
        yield label, "any", half * unit
        return
    for rows in (100, 1_000, 10_000):
        most = (amount.high - amount.low) * unit
        off = calibration.of("sum", amount).tail(MISS / 4) - 1
        if measure.kind == "mean":
            yield label, f"{rows:,}", min(most, off / rows * unit)
        else:
            squares = calibration.of("squares", amount).tail(MISS / 6) - 1
            yield label, f"{rows:,}", min(most, float(isqrt(squares // rows)) * unit)
