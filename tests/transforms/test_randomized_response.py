"""Randomized response: the answers are as likely as declared, and null tells nothing."""

from math import exp, log

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from pydp_cli.transforms.randomized_response import RandomizedResponse

ROWS = 200_000


def shares(options, value):
    answered = options.apply(pa.array([value] * ROWS, pa.string()))
    assert answered.null_count == 0
    return np.array([answered.to_pylist().count(name) / ROWS for name in options.categories])


def test_each_answer_is_as_likely_as_declared():
    """Within 7 standard deviations, which chance exceeds once in 1e11."""
    options = RandomizedResponse(categories=("a", "b", "c"), epsilon=1.0)
    kept = exp(1) / (exp(1) + 2)
    expected = np.array([kept, (1 - kept) / 2, (1 - kept) / 2])
    assert np.abs(shares(options, "a") - expected).max() < 7 * 0.5 / ROWS**0.5


@pytest.mark.parametrize("value", [None, "something else"])
def test_null_and_unknown_values_become_any_category_evenly(value):
    options = RandomizedResponse(categories=("a", "b", "c"), epsilon=3.0)
    assert np.abs(shares(options, value) - 1 / 3).max() < 7 * 0.5 / ROWS**0.5


@pytest.mark.parametrize("epsilon", [1e-6, 0.1, 1.0, 20.0])
@pytest.mark.parametrize("count", [2, 3, 100])
def test_the_ratio_of_any_two_answers_stays_within_epsilon(epsilon, count):
    options = RandomizedResponse(categories=tuple(map(str, range(count))), epsilon=epsilon)
    kept = options.kept()
    other = (1 - kept) / (count - 1)
    assert log(kept / other) <= epsilon
    assert log(kept / other) > epsilon * (1 - 1e-6)


def test_categories_must_be_different_and_at_least_two():
    for categories in (("a",), ("a", "a")):
        with pytest.raises(ValidationError):
            RandomizedResponse(categories=categories, epsilon=1)
