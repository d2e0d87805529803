"""OpenDP behind our protocol: the same scales, the same losses, the same spread."""

from dataclasses import replace
from fractions import Fraction
from math import sqrt

import pytest

from pydp_cli.dp.calibration import calibrate
from pydp_cli.dp.mechanisms import Gaussian, Laplace, Sensitivity
from pydp_cli.dp.opendp_noise import OpenDpNoise, make_opendp
from pydp_cli.dp.queries import Question
from pydp_cli.policy.statistics import Measure

QUESTION = Question("q", "d", "who", 2, 3, (), None, (("n", Measure("count")),), Fraction(1), None, Fraction(0))


def test_laplace_has_our_scale_and_opendp_reckons_our_epsilon():
    made = make_opendp(Sensitivity.of(2, 3), Fraction(1, 2), None)
    assert made.measurement.map(6) == pytest.approx(0.5, rel=1e-12)
    assert made.measurement.map(6) <= 0.5
    assert made.loss == Laplace(Sensitivity.of(2, 3), Fraction(1, 2)).loss


def test_gaussian_has_our_scale_and_opendp_reckons_our_rho():
    made = make_opendp(Sensitivity.of(2, 3), None, Fraction(1, 2))
    assert made.measurement.map(sqrt(18)) == pytest.approx(0.5, rel=1e-12)
    assert made.loss == Gaussian(Sensitivity.of(2, 3), Fraction(1, 2)).loss


@pytest.mark.parametrize(("epsilon", "rho"), [(Fraction(1, 10), None), (None, Fraction(1, 200))])
def test_opendp_and_we_draw_with_the_same_spread(epsilon, rho):
    """Variances of 20,000 draws each; each is within a fifth, which is over 10 standard deviations."""
    sensitivity = Sensitivity.of(1, 1)
    theirs = make_opendp(sensitivity, epsilon, rho)
    ours = Laplace(sensitivity, epsilon) if epsilon else Gaussian(sensitivity, rho)
    for mechanism in (theirs, ours):
        draws = [mechanism.add_noise(0) for _ in range(20_000)]
        variance = sum(draw * draw for draw in draws) / len(draws)
        assert variance == pytest.approx(mechanism.standard_deviation**2, rel=0.2)


def test_a_question_may_ask_for_opendps_noise():
    made = calibrate(replace(QUESTION, mechanisms="opendp"))
    assert isinstance(made.of("rows"), OpenDpNoise)
    assert isinstance(calibrate(QUESTION).of("rows"), Laplace)
    assert made.loss == calibrate(QUESTION).loss
