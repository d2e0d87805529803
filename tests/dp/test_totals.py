"""Totals add up, groups are fitted to them, intervals of totals hold; and none of it looks at the data."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.dp.aggregates import Totals
from pydp_cli.dp.calibration import calibrate
from pydp_cli.dp.mechanisms import Gaussian, Laplace, Sensitivity
from pydp_cli.dp.queries import Question
from pydp_cli.dp.release import release
from pydp_cli.dp.totals import ALL, add_up, nearest
from pydp_cli.policy.statistics import Measure

numbers = st.floats(-1000, 1000)


@given(st.lists(numbers, min_size=1, max_size=20), st.floats(0, 1000))
def test_the_nearest_numbers_add_up_and_are_nearest(values, total):
    found = nearest(values, total)
    assert min(found) >= 0
    assert abs(sum(found) - total) < 1e-6
    distance = sum((a - b) ** 2 for a, b in zip(found, values, strict=True))
    evenly = [total / len(values)] * len(values)
    assert distance <= sum((a - b) ** 2 for a, b in zip(evenly, values, strict=True)) + 1e-6
    for at in range(len(values)):  # no step from one number to another comes nearer
        for other in range(len(values)):
            step = min(found[at], 1e-3)
            moved = (found[at] - step - values[at]) ** 2 + (found[other] + step - values[other]) ** 2
            assert at == other or moved >= (found[at] - values[at]) ** 2 + (found[other] - values[other]) ** 2 - 1e-6


keys = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))


@given(st.dictionaries(keys, numbers, min_size=1), st.booleans())
def test_every_total_is_the_sum_of_its_groups(drawn, can_be_negative):
    fitted = add_up(drawn, can_be_negative=can_be_negative)
    for first in {key[0] for key in drawn}:
        mine = [fitted.values[key] for key in drawn if key[0] == first]
        assert abs(fitted.values[first, ALL] - sum(mine)) < 1e-6
        assert fitted.parts[first, ALL] == len(mine)
    assert abs(fitted.values[ALL, ALL] - sum(fitted.values[key] for key in drawn)) < 1e-6
    assert fitted.parts[ALL, ALL] == len(drawn)
    if can_be_negative:
        assert {key: fitted.values[key] for key in drawn} == drawn
    else:
        assert min(fitted.values.values()) >= 0
        assert abs(fitted.values[ALL, ALL] - max(0, sum(drawn.values()))) < 1e-6


def test_what_adds_up_already_stays():
    drawn = {("a", "x"): 3.0, ("a", "y"): 0.0, ("b", "x"): 7.0}
    assert add_up(drawn, can_be_negative=False).values == {
        **drawn,
        ("a", ALL): 3.0,
        ("b", ALL): 7.0,
        (ALL, ALL): 10.0,
    }


MECHANISMS = [Laplace(Sensitivity.of(1, 1), Fraction(1)), Gaussian(Sensitivity.of(1, 1), Fraction(1, 8))]


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("parts", [1, 2, 30])
def test_the_sum_of_the_noise_stays_within_its_bound(mechanism, parts):
    """2,000 sums at 95 %: more misses than allowed below have a chance of at most 1e-10 (for all six 1e-9)."""
    runs, half = 2000, mechanism.half_of_sum(parts, 0.05)
    missed = sum(abs(sum(mechanism.add_noise(0) for _ in range(parts))) > half for _ in range(runs))
    allowed, above = runs, Fraction(0)
    while above < Fraction(1, 10**10):
        above += comb(runs, allowed) * Fraction(1, 20) ** allowed * Fraction(19, 20) ** (runs - allowed)
        allowed -= 1
    assert missed <= allowed + 1
    if parts == 30:
        spread = mechanism.standard_deviation * np.sqrt(parts)
        assert half < 3.5 * spread  # far below the sum of thirty single bounds


@pytest.mark.parametrize("noise", [(5, -5), (-3, 3), (0, 0), (1, -40)])
def test_there_are_never_more_people_than_rows(noise, monkeypatch):
    measures = (("p", Measure("count_users")), ("r", Measure("count")))
    asked = Question("q", "d", "who", 1, 2, (), None, measures, Fraction(1), None, Fraction(0))
    calibrated = calibrate(asked)
    totals = Totals(1)
    totals.people[:], totals.rows[:] = 20, 22
    changes = dict(zip(("people", "rows"), noise, strict=True))
    kinds = {id(m): c.kind for c, m in calibrated.mechanisms.items()}
    monkeypatch.setattr(Laplace, "add_noise", lambda self, value: value + changes[kinds[id(self)]])
    (row,) = release(asked, totals, [()], calibrated)["rows"]
    assert row["p"] <= row["r"]
    people, rows = 20 + noise[0], 22 + noise[1]
    if people <= rows:
        assert (row["p"], row["r"]) == (people, rows)
    else:  # the count of people is the surer one: a person moves it by one, and rows by two
        assert row["p"] == row["r"]
        assert abs(row["p"] - people) <= abs(row["r"] - rows)
    for name, number in (("p", people), ("r", rows)):
        half = calibrated.of("people" if name == "p" else "rows").tail(0.025) - 1
        assert row[f"{name}_low"] <= max(0, number - half)
        assert row[f"{name}_high"] >= number + half
