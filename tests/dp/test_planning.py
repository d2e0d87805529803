"""What the noise alone does not reach is far enough, by an exact count of both distributions."""

import math

import pytest

from pydp_cli.dp.planning import surely_above


def tail(weight, least):
    """Give the share of a distribution over whole numbers that is above a number."""
    every = range(-4000, 4001)
    total = math.fsum(weight(n) for n in every)
    return math.fsum(weight(n) for n in every if n > least) / total, math.sqrt(
        math.fsum(n * n * weight(n) for n in every) / total
    )


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1, 5, 20])
@pytest.mark.parametrize("numbers", [1, 82, 1000])
def test_the_tail_beyond_it_is_small_and_not_needlessly_so(epsilon, numbers):
    for name, weight in (
        ("discrete Laplace", lambda n: math.exp(-epsilon * abs(n))),
        ("discrete Gaussian", lambda n: math.exp(-((epsilon * n) ** 2) / 2)),
    ):
        _, deviation = tail(weight, 0)
        least = surely_above({"mechanism": name, "noise_standard_deviation": deviation}, numbers)
        assert numbers * tail(weight, least)[0] <= 1e-9, name
        assert numbers * tail(weight, least * 0.6 - 1)[0] > 1e-9, name
