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
