"""Privacy loss: composition, and conversion held against closed forms and published figures."""

from fractions import Fraction
from math import exp, inf, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.dp.accounting import concentrated, epsilon_at, pure, rho_for, total

RHOS = st.floats(1e-6, 20)
DELTAS = st.floats(1e-15, 0.1)


@given(RHOS, DELTAS)
def test_the_tight_conversion_is_never_worse_than_bun_and_steinkes(rho, delta):
    assert epsilon_at(concentrated(Fraction(rho)), delta) <= (rho + 2 * sqrt(rho * log(1 / delta))) * (1 + 1e-9)


@given(RHOS, DELTAS)
def test_the_conversion_is_sound_for_the_gaussian_mechanism(rho, delta):
    """The exact privacy profile of a Gaussian with that rho lies below the bound (Balle, Wang 2018, theorem 8)."""
    from statistics import NormalDist

    phi = NormalDist().cdf
    epsilon, mu = epsilon_at(concentrated(Fraction(rho)), delta), sqrt(2 * rho)
    exact = phi(mu / 2 - epsilon / mu) - exp(epsilon) * phi(-mu / 2 - epsilon / mu)
    assert exact <= delta * (1 + 1e-6) + 1e-13


def test_figures_of_an_independent_accountant():
    """Epsilon of rho-zCDP at delta by a dense grid search of proposition 12, done with other code."""
    for rho, delta in ((0.1, 1e-6), (0.5, 1e-5), (1.0, 1e-9), (4.0, 1e-6)):
        alphas = (1 + 10 ** (k / 20000) for k in range(-60000, 80000))
        grid = min(rho * a + (log(1 / delta) + (a - 1) * log(1 - 1 / a) - log(a)) / (a - 1) for a in alphas)
        assert epsilon_at(concentrated(Fraction(rho)), delta) == pytest.approx(grid, rel=1e-6)


# rho, delta, the smallest epsilon (privacy loss distribution), and by Renyi orders from 1.005 to 101 in steps of 0.005.
# Source: dp-accounting 0.6.0 (Google, Apache-2.0), GaussianDpEvent(1 / sqrt(2 rho)).
GAUSSIANS = (
    (0.01, 1e-6, 0.5750552238773968, 0.6216926563375672),
    (0.01, 1e-9, 0.7682117418935029, 0.8101744693018172),
    (0.1, 1e-6, 1.994526911433259, 2.141938963616658),
    (0.1, 1e-9, 2.582872860332815, 2.7154819003951696),
    (0.5, 1e-6, 4.886554124377032, 5.221534870343525),
    (0.5, 1e-9, 6.173935061525315, 6.474070027956353),
    (2.0, 1e-6, 10.997151218387838, 11.68859723100745),
    (2.0, 1e-9, 13.534772224583243, 14.150150997937418),
)


@pytest.mark.parametrize(("rho", "delta", "smallest", "renyi"), GAUSSIANS)
def test_dp_accounting_reckons_the_same_epsilon_for_a_gaussian(rho, delta, smallest, renyi):
    found = epsilon_at(concentrated(Fraction(rho)), delta)
    assert found == pytest.approx(renyi, rel=1e-5)
    assert smallest < found


# epsilon of one release, how many releases, and the epsilon of all at delta 1e-6.
# Source: dp-accounting 0.6.0 (Google, Apache-2.0), LaplaceDpEvent(1 / epsilon) composed in a privacy loss distribution.
LAPLACES = ((0.1, 20, 1.7739915553441512), (0.01, 1000, 1.3629246349234818), (1.0, 3, 2.9999920005679823))


@pytest.mark.parametrize(("epsilon", "releases", "smallest"), LAPLACES)
def test_we_never_reckon_less_for_laplaces_than_dp_accounting_shows_is_lost(epsilon, releases, smallest):
    found = epsilon_at(total([pure(Fraction(str(epsilon)))] * releases), 1e-6)
    assert smallest <= found <= 1.25 * smallest


@given(st.floats(1e-3, 20), DELTAS)
def test_rho_for_inverts_the_conversion_from_below(epsilon, delta):
    rho = rho_for(epsilon, delta)
    assert epsilon_at(concentrated(rho), delta) <= epsilon
    assert epsilon_at(concentrated(rho * Fraction(10001, 10000)), delta) > epsilon * (1 - 1e-9)


def test_pure_losses_stay_pure_when_they_compose():
    loss = total([pure(Fraction(1, 2)), pure(Fraction(1, 4))])
    assert loss.epsilon == Fraction(3, 4)
    assert epsilon_at(loss, 0.0) == 0.75


def test_many_small_pure_losses_cost_less_as_zcdp():
    loss = total([pure(Fraction(1, 100))] * 10_000)
    assert epsilon_at(loss, 1e-6) < float(loss.epsilon)


def test_a_mixed_loss_has_no_pure_epsilon():
    assert total([pure(Fraction(1)), concentrated(Fraction(1))]).epsilon is None
    assert epsilon_at(total([concentrated(Fraction(1))]), 0.0) == inf


def test_delta_that_was_spent_elsewhere_is_not_spent_twice():
    from dataclasses import replace

    loss = replace(concentrated(Fraction(1, 2)), delta=Fraction(1, 10**6))
    assert epsilon_at(loss, 1e-6) == inf
    assert epsilon_at(loss, 2e-6) == epsilon_at(concentrated(Fraction(1, 2)), 2e-6 - 1e-6)
