"""Discrete Laplace noise per row: the distribution that is declared, and nothing else that tells of the number."""

from decimal import Decimal
from fractions import Fraction
from math import exp

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.discrete_laplace import discrete_laplace
from pydp_cli.transforms.dp_noise import DpNoise

ROWS = 300_000


def pmf(x, scale):
    p = 1 - exp(-1 / scale)
    return p / (2 - p) * np.exp(-np.abs(x) / scale)


@pytest.mark.parametrize("scale", [Fraction(1, 3), Fraction(1), Fraction(7, 2), Fraction(40)])
def test_the_noise_is_as_likely_as_declared(scale):
    """Each of at most 61 frequencies within 7 standard deviations: chance fails it less than once in 1e9 runs."""
    drawn = discrete_laplace(ROWS, scale)
    values = np.arange(-30, 31)
    expected = pmf(values, float(scale)) * ROWS
    found = np.array([np.count_nonzero(drawn == value) for value in values])
    assert (np.abs(found - expected) < 7 * np.sqrt(expected) + 7).all()


@given(st.integers(1, 1 << 44), st.integers(1, 1000), st.integers(0, 50))
def test_any_scale_draws(t, s, count):
    assert discrete_laplace(count, Fraction(t, s)).dtype == np.int64


@pytest.mark.parametrize("scale", [Fraction(0), Fraction(-1), Fraction(1 << 45)])
def test_scales_without_room_are_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        discrete_laplace(1, scale)


def published(options, value, kind=None):
    return options.apply(pa.array([value] * ROWS, kind or pa.float64()))


def test_no_number_is_more_than_exp_epsilon_times_as_likely_for_one_person_than_for_another():
    """The two ends are the furthest apart; 7 standard deviations around each ratio, at most 40 of them."""
    options = DpNoise(min=0, max=10, unit=1, epsilon=1)
    low = np.array(published(options, 0.0).to_numpy())
    high = np.array(published(options, 10.0).to_numpy())
    compared = 0
    for number in range(-15, 26):
        a, b = np.count_nonzero(low == number), np.count_nonzero(high == number)
        if min(a, b) > 200:
            compared += 1
            assert abs(np.log(a / b)) < 1 + 7 * np.sqrt(1 / a + 1 / b)
    assert compared > 10
    far = np.log(np.count_nonzero(low <= 0) / np.count_nonzero(high <= 0))
    assert far > 0.9  # no less is spent than is declared


@pytest.mark.parametrize(
    ("value", "counts_as"), [(None, 5), (float("nan"), 5), (float("inf"), 10), (-1e300, 0), (3.4, 3), (3.6, 4)]
)
def test_every_input_is_within_the_bounds_before_the_noise(value, counts_as):
    found = published(DpNoise(min=0, max=10, unit=1, epsilon=2), value)
    assert found.null_count == 0
    spread = 2**0.5 * 5
    assert abs(np.mean(found.to_numpy()) - counts_as) < 7 * spread / ROWS**0.5


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.float32(), pa.decimal128(9, 2), pa.decimal256(60, 3)]
)
def test_types_stay_and_hold_whole_units(kind):
    found = DpNoise(min=0, max=100, unit=5, epsilon=0.1).apply(pa.array([Decimal(50)] * 2000).cast(kind))
    assert found.type == kind
    assert {int(one) % 5 for one in found.to_pylist()} == {0}
    assert len(set(found.to_pylist())) > 10


def test_decimals_take_units_of_their_last_place():
    found = DpNoise(min=0, max=1, unit=0.25, epsilon=1).apply(pa.array([Decimal("0.50")] * 50, pa.decimal128(6, 2)))
    assert {one % Decimal("0.25") for one in found.to_pylist()} == {0}
    with pytest.raises(UnsupportedType, match=r"cannot hold steps of 0\.25"):
        DpNoise(min=0, max=1, unit=0.25, epsilon=1).check_takes(pa.int64(), "n")


@pytest.mark.parametrize(
    "options",
    [
        {"min": 1, "max": 1, "epsilon": 1},
        {"min": 0, "max": 1, "unit": 0.3, "epsilon": 1},
        {"min": 0.5, "max": 2, "epsilon": 1},
        {"min": 0, "max": 1e12, "unit": 0.01, "epsilon": 1},
        {"min": 0, "max": 1, "epsilon": 0},
        {"min": 0, "max": float("inf"), "epsilon": 1},
        {"min": 0, "max": 1 << 31, "epsilon": 0.12345678901},
    ],
)
def test_what_has_no_finite_sensitivity_or_no_exact_noise_is_refused(options):
    with pytest.raises(ValidationError):
        DpNoise(**options)


def test_the_loss_counts_the_rows_of_a_person():
    assert DpNoise(min=0, max=1, epsilon=0.1, rows_per_person=3).privacy_loss() == Fraction(3, 10)
