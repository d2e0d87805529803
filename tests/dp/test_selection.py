"""Private selection: a person alone in a group is almost never seen, and a large group almost always is."""

from collections import Counter
from fractions import Fraction
from math import expm1, log1p

import pytest

from pydp_cli.dp.mechanisms import Gaussian, Laplace, Sensitivity
from pydp_cli.dp.selection import select_groups, threshold
from tests.dp.test_mechanisms import gaussian_tail, laplace_tail

DELTA = Fraction(1, 20)


@pytest.mark.parametrize("groups", [1, 3])
def test_a_single_person_passes_with_probability_of_at_most_delta_over_all_groups(groups):
    mechanism = Laplace(Sensitivity.of(groups, 1), Fraction(1))
    passes = laplace_tail(mechanism.scale, threshold(mechanism, DELTA, groups) - 1)
    assert -expm1(groups * log1p(-passes)) <= float(DELTA) * (1 + 1e-9)
    nearly = laplace_tail(mechanism.scale, threshold(mechanism, DELTA, groups) - 3)
    assert -expm1(groups * log1p(-nearly)) > float(DELTA)


def test_the_gaussian_threshold_holds_too():
    mechanism = Gaussian(Sensitivity.of(3, 1), Fraction(1, 8))
    passes = gaussian_tail(mechanism.variance, threshold(mechanism, DELTA, 3) - 1)
    assert -expm1(3 * log1p(-passes)) <= float(DELTA)


def test_single_people_are_hidden_and_crowds_are_named():
    mechanism = Laplace(Sensitivity.of(1, 1), Fraction(1))
    people = {"rare": 1, "common": 500, "empty": 0}
    seen = Counter(key for _ in range(400) for key in select_groups(people, mechanism, Fraction(1, 10**9), 1))
    # 400 chances of 1e-9 each
    assert seen == {"common": 400}
