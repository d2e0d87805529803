"""OpenDP's noise behind our protocol, for those who want a second house's samplers (`mechanisms: opendp`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import inf, nextafter
from typing import Any

from pydp_cli.dp.accounting import Loss
from pydp_cli.dp.mechanisms import Gaussian, Laplace, Mechanism, Sensitivity
from pydp_cli.errors import MissingExtra


@dataclass(frozen=True)
class OpenDpNoise:
    """One of our mechanisms, whose noise OpenDP draws at the same scale (rounded up to a float)."""

    calibrated: Laplace | Gaussian
    measurement: Any = field(repr=False)

    @property
    def loss(self) -> Loss:
        """What releasing one noisy vector costs."""
        return self.calibrated.loss

    @property
    def standard_deviation(self) -> float:
        """The standard deviation of the noise on one number."""
        return self.calibrated.standard_deviation

    def add_noise(self, value: int) -> int:
        """Give a number with OpenDP's noise."""
        return int(self.measurement(value))

    def tail(self, probability: float) -> int:
        """Give the tail of the same distribution."""
        return self.calibrated.tail(probability)

    def half_of_sum(self, parts: int, miss: float) -> float:
        """Give the bound of the same distribution."""
        return self.calibrated.half_of_sum(parts, miss)


def make_opendp(sensitivity: Sensitivity, epsilon: Fraction | None, rho: Fraction | None) -> Mechanism:
    """Make OpenDP's mechanism for an epsilon or a rho; raises `MissingExtra` where it is not installed."""
    try:
        import opendp.prelude as dp
    except ImportError:
        raise MissingExtra("OpenDP is not installed", hint='pip install "pydp-cli[opendp]"') from None
    dp.enable_features("contrib")
    domain = dp.atom_domain(T="i64")
    if rho is not None:
        gaussian = Gaussian(sensitivity, rho)
        scale = nextafter(gaussian.standard_deviation, inf)
        return OpenDpNoise(gaussian, dp.m.make_gaussian(domain, dp.absolute_distance(T="f64"), scale=scale))
    assert epsilon is not None
    laplace = Laplace(sensitivity, epsilon)
    scale = nextafter(float(laplace.scale), inf)
    return OpenDpNoise(laplace, dp.m.make_laplace(domain, dp.absolute_distance(T="i64"), scale=scale))
