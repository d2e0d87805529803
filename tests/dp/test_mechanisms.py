"""Mechanisms: exact scales, and tails that bound the noise they describe."""

from fractions import Fraction
from math import exp
from statistics import pstdev

import pytest

from pydp_cli.dp.mechanisms import Gaussian, Laplace, Sensitivity

LAPLACE = Laplace(Sensitivity.of(3, 4), Fraction(1, 2))
GAUSSIAN = Gaussian(Sensitivity.of(3, 4), Fraction(1, 8))


def laplace_tail(scale, t):
    r = exp(-1 / float(scale))
    return r**t / (1 + r)


def gaussian_tail(variance, t):
    weight = {x: exp(-x * x / (2 * float(variance))) for x in range(-2000, 2001)}
    return sum(w for x, w in weight.items() if x >= t) / sum(weight.values())


def test_scales_are_exact():
    assert LAPLACE.scale == 24
    assert GAUSSIAN.variance == Fraction(3 * 16 * 8, 2)
    assert LAPLACE.loss.epsilon == Fraction(1, 2)
    assert GAUSSIAN.loss.rho == Fraction(1, 8)


@pytest.mark.parametrize("probability", [0.4, 0.025, 1e-6, 1e-12])
def test_the_laplace_tail_is_the_smallest_that_holds(probability):
    t = LAPLACE.tail(probability)
    assert laplace_tail(LAPLACE.scale, t) <= probability
    assert t == 1 or laplace_tail(LAPLACE.scale, t - 2) > probability


@pytest.mark.parametrize("rho", [Fraction(1, 100), Fraction(1, 8), Fraction(50)])
@pytest.mark.parametrize("probability", [0.4, 0.025, 1e-6])
def test_the_gaussian_tail_holds_and_is_close(rho, probability):
    mechanism = Gaussian(Sensitivity.of(1, 4), rho)
    t = mechanism.tail(probability)
    assert gaussian_tail(mechanism.variance, t) <= probability
    assert t <= 3 or gaussian_tail(mechanism.variance, t - 3) > probability


@pytest.mark.parametrize("mechanism", [LAPLACE, GAUSSIAN])
def test_the_noise_has_the_deviation_that_is_told(mechanism):
    draws = [mechanism.add_noise(1000) - 1000 for _ in range(4000)]
    # the sample deviation of 4,000 draws is within 25 % of the true one, but for a chance below 1e-9
    assert pstdev(draws) == pytest.approx(mechanism.standard_deviation, rel=0.25)
