"""Exact samplers of discrete noise: integers and fractions only, never a float.

Source: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS 2020), algorithms 1 to 3.
The number of random draws depends on the noise that is drawn, so the samplers are not constant-time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from fractions import Fraction
from math import isqrt

RandBelow = Callable[[int], int]
"""Draws an integer uniformly from [0, n). The operating system's randomness, unless a test hands in another."""


def bernoulli(probability: Fraction, randbelow: RandBelow = secrets.randbelow) -> bool:
    """Draw true with exactly the given probability, 0 to 1."""
    return randbelow(probability.denominator) < probability.numerator


def bernoulli_exp(gamma: Fraction, randbelow: RandBelow = secrets.randbelow) -> bool:
    """Draw true with probability exp(-gamma), for gamma >= 0 (algorithm 1)."""
    if gamma < 0:
        raise ValueError("gamma must not be negative")
    while gamma > 1:
        if not _bernoulli_exp_of_fraction(Fraction(1), randbelow):
            return False
        gamma -= 1
    return _bernoulli_exp_of_fraction(gamma, randbelow)


def _bernoulli_exp_of_fraction(gamma: Fraction, randbelow: RandBelow) -> bool:
    k = 1
    while bernoulli(gamma / k, randbelow):
        k += 1
    return k % 2 == 1


def discrete_laplace(scale: Fraction, randbelow: RandBelow = secrets.randbelow) -> int:
    """Draw an integer x with probability proportional to exp(-|x| / scale) (algorithm 2). A scale of 0 gives 0."""
    if scale < 0:
        raise ValueError("the scale must not be negative")
    if scale == 0:
        return 0
    t, s = scale.numerator, scale.denominator
    while True:
        u = randbelow(t)
        if not _bernoulli_exp_of_fraction(Fraction(u, t), randbelow):
            continue
        v = 0
        while _bernoulli_exp_of_fraction(Fraction(1), randbelow):
            v += 1
        magnitude = (u + t * v) // s
        negative = randbelow(2) == 1
        if negative and magnitude == 0:
            continue
        return -magnitude if negative else magnitude


def discrete_gaussian(variance: Fraction, randbelow: RandBelow = secrets.randbelow) -> int:
    """Draw an integer x with probability proportional to exp(-x² / (2·variance)) (algorithm 3).

    `variance` is the parameter sigma²; the variance of the draws is at most that. A variance of 0 gives 0.
    """
    if variance < 0:
        raise ValueError("the variance must not be negative")
    if variance == 0:
        return 0
    t = isqrt(variance.numerator // variance.denominator) + 1
    while True:
        candidate = discrete_laplace(Fraction(t), randbelow)
        distance = abs(candidate) - variance / t
        if bernoulli_exp(distance * distance / (2 * variance), randbelow):
            return candidate
