"""Counts corrected for randomized response: right on average, and within their intervals as often as is said."""

from fractions import Fraction
from math import comb

import numpy as np
import pyarrow as pa
import pytest

from pydp_cli.dp.debias import debiased
from pydp_cli.dp.mechanisms import Laplace, Sensitivity
from pydp_cli.dp.queries import Randomized
from pydp_cli.transforms.randomized_response import RandomizedResponse

RUNS = 200
MISS = 0.05


def asked(count, epsilon):
    names = tuple(map(str, range(count)))
    options = RandomizedResponse(categories=names, epsilon=epsilon)
    return options, Randomized(options.kept(), epsilon)


def runs(truth, epsilon):
    options, randomized = asked(len(truth), epsilon)
    column = pa.array([str(number) for number, rows in enumerate(truth) for _ in range(rows)], pa.string())
    mechanism = Laplace(Sensitivity.of(1, 1), Fraction(1))
    half = mechanism.tail(MISS / 4 / len(truth)) - 1
    for _ in range(RUNS):
        answers = options.apply(column).dictionary_encode()
        found = dict(zip(answers.dictionary.to_pylist(), np.bincount(answers.indices.to_numpy()).tolist(), strict=True))
        counts = [mechanism.add_noise(found.get(name, 0)) for name in options.categories]
        yield debiased(counts, half, randomized, MISS)


@pytest.mark.parametrize(("truth", "epsilon"), [([3000, 1000], 1.0), ([1500, 0, 500], 2.0), ([200] * 5, 3.0)])
def test_intervals_hold_the_truth_and_estimates_come_out_right(truth, epsilon):
    """Of 200 runs 95 % hold; fewer than the least number has a chance below 1e-10 for each category, 1e-9 for all."""
    least, below = -1, 0.0
    while below < 1e-10:
        least += 1
        below += comb(RUNS, least) * 0.95**least * 0.05 ** (RUNS - least)
    estimates = list(runs(truth, epsilon))
    for place, rows in enumerate(truth):
        held = sum(run[place].low <= rows <= run[place].high for run in estimates)
        assert held >= least, (place, held)
        width = estimates[0][place].high - estimates[0][place].low
        if rows >= 200:  # the others are held at 0, which moves their mean
            assert abs(np.mean([run[place].value for run in estimates]) - rows) < width / 2


def test_counts_as_they_are_would_be_wrong():
    """The correction is not nothing: uncorrected shares are far from the truth."""
    estimates = debiased([2500, 2500], 1, Randomized(Fraction(3, 4), 1.0986), MISS)
    assert [round(one.value) for one in estimates] == [2500, 2500]
    assert round(debiased([3000, 2000], 1, Randomized(Fraction(3, 4), 1.0986), MISS)[0].value) == 3500


def test_few_or_negative_counts_do_no_harm():
    for counts in ([0, 0], [-5, 3], [1, -1]):
        for one in debiased(counts, 10, Randomized(Fraction(3, 4), 1.0986), MISS):
            assert 0 <= one.low <= one.value <= one.high
