"""Quantiles from a noisy tree: exact without noise, monotone with it."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.dp.mechanisms import Laplace, Sensitivity
from pydp_cli.dp.quantiles import BINS, QuantileTree


@dataclass(frozen=True)
class Silent:
    standard_deviation: float = 0.0

    def add_noise(self, value):
        return value


def bins_of(places):
    return np.bincount([min(int(place * BINS), BINS - 1) for place in places], minlength=BINS).astype(np.int64)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 1))
def test_without_noise_the_quantile_is_right_to_one_bin(places, share):
    tree = QuantileTree(bins_of(places), Silent())
    expected = np.quantile(np.floor(np.minimum(np.array(places) * BINS, BINS - 1)), share, method="inverted_cdf")
    found = float(tree.quantile(share)) * BINS
    assert expected - 1e-6 <= found <= expected + 1 + 1e-6


def test_quantiles_of_noise_alone_are_monotone_and_inside_the_range():
    noise = Laplace(Sensitivity.of(1, 1), Fraction(1, 100))
    tree = QuantileTree(np.zeros(BINS, dtype=np.int64), noise)
    found = tree.quantiles([0.9, 0.1, 0.5, 0.0, 1.0])
    assert found[3] <= found[1] <= found[2] <= found[0] <= found[4]
    assert all(0 <= place <= 1 for place in found)


def test_asking_twice_spends_no_more_noise():
    tree = QuantileTree(np.ones(BINS, dtype=np.int64), Laplace(Sensitivity.of(1, 1), Fraction(1, 10)))
    assert tree.quantile(0.5) == tree.quantile(0.5)
    assert tree.total() == tree.total()


def test_a_crowd_drowns_the_noise():
    bins = np.zeros(BINS, dtype=np.int64)
    bins[1000], bins[3000] = 10_000, 10_000
    tree = QuantileTree(bins, Laplace(Sensitivity.of(1, 1), Fraction(1)))
    low, high = tree.quantiles([0.25, 0.75])
    assert float(low) * BINS == pytest.approx(1000.5, abs=1)
    assert float(high) * BINS == pytest.approx(3000.5, abs=1)


def test_a_tree_of_another_size_is_refused():
    with pytest.raises(ValueError, match="bins"):
        QuantileTree(np.zeros(10, dtype=np.int64), Silent())
