"""The exact samplers against their probability mass functions."""

import random
from collections import Counter
from fractions import Fraction
from math import exp

import pytest

from pydp_cli.dp.samplers import bernoulli_exp, discrete_gaussian, discrete_laplace

DRAWS = 20_000
# With Wilson-Hilferty, a chi-square variable exceeds this many standard deviations with probability below 1e-9.
SIGMAS = 6.0


def chi_square_is_plausible(counts, pmf):
    """Tell whether counts fit a pmf; bins with fewer than 10 expected draws are pooled into one."""
    n = sum(counts.values())
    pooled_seen, pooled_expected, statistic, bins = 0, 0.0, 0.0, 0
    for value, probability in pmf.items():
        expected = n * probability
        if expected < 10:
            pooled_seen, pooled_expected = pooled_seen + counts[value], pooled_expected + expected
            continue
        statistic += (counts[value] - expected) ** 2 / expected
        bins += 1
    outside = n - sum(counts[value] for value in pmf)
    pooled_seen, pooled_expected = pooled_seen + outside, pooled_expected + n * max(0.0, 1 - sum(pmf.values()))
    if pooled_expected >= 1:
        statistic += (pooled_seen - pooled_expected) ** 2 / pooled_expected
        bins += 1
    freedom = bins - 1
    z = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / (2 / (9 * freedom)) ** 0.5
    return z < SIGMAS


def normalised(weights):
    total = sum(weights.values())
    return {value: weight / total for value, weight in weights.items()}


def laplace_pmf(scale, reach=400):
    return normalised({x: exp(-abs(x) / float(scale)) for x in range(-reach, reach + 1)})


def gaussian_pmf(variance, reach=400):
    return normalised({x: exp(-x * x / (2 * float(variance))) for x in range(-reach, reach + 1)})


@pytest.mark.parametrize("scale", [Fraction(1, 3), Fraction(1), Fraction(7, 2), Fraction(25)])
def test_discrete_laplace_follows_its_mass_function(scale):
    counts = Counter(discrete_laplace(scale) for _ in range(DRAWS))
    assert chi_square_is_plausible(counts, laplace_pmf(scale))


@pytest.mark.parametrize("variance", [Fraction(1, 4), Fraction(1), Fraction(19, 2), Fraction(400)])
def test_discrete_gaussian_follows_its_mass_function(variance):
    counts = Counter(discrete_gaussian(variance) for _ in range(DRAWS))
    assert chi_square_is_plausible(counts, gaussian_pmf(variance))


def test_the_goodness_of_fit_test_notices_a_scale_that_is_a_tenth_too_small():
    counts = Counter(discrete_laplace(Fraction(9, 2)) for _ in range(DRAWS))
    assert not chi_square_is_plausible(counts, laplace_pmf(Fraction(5)))


@pytest.mark.parametrize("gamma", [Fraction(0), Fraction(1, 7), Fraction(1), Fraction(5, 2)])
def test_bernoulli_exp_has_the_probability_it_says(gamma):
    heads = sum(bernoulli_exp(gamma) for _ in range(DRAWS))
    p = exp(-float(gamma))
    assert abs(heads - DRAWS * p) <= SIGMAS * (DRAWS * p * (1 - p)) ** 0.5


def test_no_noise_at_scale_zero():
    assert discrete_laplace(Fraction(0)) == 0
    assert discrete_gaussian(Fraction(0)) == 0


@pytest.mark.parametrize("sampler", [discrete_laplace, discrete_gaussian, bernoulli_exp])
def test_a_negative_parameter_is_refused(sampler):
    with pytest.raises(ValueError, match="negative"):
        sampler(Fraction(-1))


def test_draws_are_integers_and_come_from_the_randomness_that_is_handed_in():
    first = [discrete_gaussian(Fraction(50), random.Random(4).randrange) for _ in range(3)]
    second = [discrete_gaussian(Fraction(50), random.Random(4).randrange) for _ in range(3)]
    assert first == second
    assert all(isinstance(draw, int) for draw in first)
