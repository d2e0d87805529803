"""An interval holds the exact statistic in 19 of 20 releases: every statistic, both mechanisms, few rows and many.

For each case a fixed number of releases is drawn. If intervals hold with probability 0.95, a case fails by chance with
a probability of at most 1e-11: all cases together stay below 1e-9.
"""

from fractions import Fraction
from math import comb

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.datasets.locations import find_inputs
from pydp_cli.dp import release as releasing
from pydp_cli.dp.calibration import calibrate
from pydp_cli.dp.engine import exact_totals
from pydp_cli.dp.queries import Question
from pydp_cli.dp.release import release
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.policy.statistics import Measure

RELEASES = 120
ALARM = 1e-11
BOUNDS = (0.0, 100.0)
MEASURES = {
    "people": Measure("count_users"),
    "count": Measure("count"),
    "sum": Measure("sum", "x", BOUNDS),
    "mean": Measure("mean", "x", BOUNDS),
    "std": Measure("std", "x", BOUNDS),
    "median": Measure("median", "x", BOUNDS, shares=(0.5,)),
    "quartiles": Measure("quantiles", "x", BOUNDS, shares=(0.1, 0.75)),
    "histogram": Measure("histogram", "x", edges=(0.0, 10.0, 50.0)),
}
LOSSES = {"laplace": (Fraction(1), None), "gaussian": (None, Fraction(1, 2))}


def least_hits():
    """Give the number of hits that 0.95 stays above, but for a chance of ALARM."""
    below = Fraction(0)
    for hits in range(RELEASES + 1):
        below += comb(RELEASES, hits) * Fraction(19, 20) ** hits * Fraction(1, 20) ** (RELEASES - hits)
        if below > ALARM:
            return hits
    raise AssertionError


LEAST = least_hits()


def amounts(rows):
    return np.round(np.random.default_rng(rows).gamma(2, 15, rows), 2).clip(*BOUNDS)


def truths(name, x):
    """Give the exact statistics; of a quantile, the lowest and highest place that cuts the rows so, to one bin."""
    if name in ("people", "count"):
        return [(len(x), len(x))]
    if name == "histogram":
        return [(count, count) for count in (int((x < 10).sum()), int((x >= 10).sum()))]
    if name in ("median", "quartiles"):
        bin_width = (BOUNDS[1] - BOUNDS[0]) / 4096
        cuts = [np.quantile(x, share) for share in MEASURES[name].shares]
        return [(cut - bin_width, cut + bin_width) for cut in cuts]
    exact = {"sum": x.sum(), "mean": x.mean(), "std": x.std()}[name]
    return [(exact - 1e-6 * abs(exact), exact + 1e-6 * abs(exact))]


def hits(name, losses, rows, tmp_path):
    """Count, for each number of a statistic, the releases whose interval holds it."""
    x = amounts(rows)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"who": np.arange(rows), "x": x}), path)
    epsilon, rho = losses
    asked = Question("q", "d", "who", 1, 1, (), None, (("n", MEASURES[name]),), epsilon, rho, Fraction(0))
    keys, totals = exact_totals(asked, find_inputs([str(path)]), DatasetPolicy(), tmp_path)
    calibrated = calibrate(asked)
    found = np.zeros(len(truths(name, x)), int)
    for _ in range(RELEASES):
        released = release(asked, totals, keys, calibrated)
        (row,) = released["rows"]
        for place, (label, (low, high)) in enumerate(zip(released["names"], truths(name, x), strict=True)):
            found[place] += row[f"{label}_low"] <= high and low <= row[f"{label}_high"]
    return found


@pytest.mark.parametrize("rows", [150, 20_000])
@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("name", MEASURES)
def test_an_interval_holds_the_exact_number_as_often_as_it_says(name, losses, rows, tmp_path):
    assert hits(name, losses, rows, tmp_path).min() >= LEAST


def test_an_interval_that_is_a_third_as_wide_is_noticed(tmp_path, monkeypatch):
    half = releasing.Drawn.half
    monkeypatch.setattr(releasing.Drawn, "half", lambda noisy, kind, *rest: half(noisy, kind, *rest) // 3)
    assert hits("count", LOSSES["gaussian"], 150, tmp_path).min() < LEAST
