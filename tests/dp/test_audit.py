"""The whole engine attacked from outside: epsilon is bounded from below on two neighbouring files.

Each case runs the engine a fixed number of times on a file with and without one person, and looks at one event. By
Clopper-Pearson with a false-alarm rate of 1e-9, the true epsilon is at least `log(low(p) / high(q))`. For ours it must
stay below what was declared; for a copy that is broken on purpose it must exceed it, so the audit can see.
"""

from fractions import Fraction
from math import log

import numpy as np
import pytest

from pydp_cli.datasets.locations import find_inputs
from pydp_cli.dp import calibration as calibrating
from pydp_cli.dp.aggregates import reduce_shard
from pydp_cli.dp.calibration import calibrate, features_of
from pydp_cli.dp.engine import Seams, exact_totals
from pydp_cli.dp.mechanisms import Laplace, Sensitivity
from pydp_cli.dp.queries import GroupColumn, Question
from pydp_cli.dp.release import release
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.policy.statistics import Measure

RUNS = 3000
ALARM = 1e-9
SUM = Measure("sum", "x", (0.0, 10.0))


def question(measure, *, unknown=False, rows=1):
    group_by = (GroupColumn("g", None if unknown else ("A",)),)
    delta = Fraction(1, 1000) if unknown else Fraction(0)
    return Question("q", "d", "who", 1, rows, group_by, None, (("n", measure),), Fraction(1), None, delta)


def binomial_bound(hits, runs, *, upper):
    """Give the Clopper-Pearson bound by halving the exact tail."""
    from math import lgamma

    def tail(p):  # P(X >= hits) for the lower bound, P(X <= hits) for the upper one
        k = np.arange(hits + 1) if upper else np.arange(hits, runs + 1)
        choose = lgamma(runs + 1) - np.array([lgamma(i + 1) + lgamma(runs - i + 1) for i in k.tolist()])
        return float(np.exp(choose + k * log(p) + (runs - k) * log(1 - p)).sum())

    if (hits == runs) if upper else (hits == 0):
        return 1.0 if upper else 0.0
    low, high = 1e-12, 1 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        beyond = (tail(middle) > ALARM) if upper else (tail(middle) < ALARM)
        low, high = (middle, high) if beyond else (low, middle)
    return high if upper else low


def shown_epsilon(asked, with_person, without, event, tmp_path, *, make=None, seams=None, select=None, delta=0.0):
    """Give the epsilon that is shown to be exceeded, at most: from both directions."""
    hits = []
    calibrated = calibrate(asked, make)
    for name, content in (("with", with_person), ("without", without)):
        path = tmp_path / f"{name}.csv"
        path.write_text("who,g,x\n" + content)
        keys, totals = exact_totals(asked, find_inputs([str(path)]), DatasetPolicy(), tmp_path, seams=seams)
        hits.append(sum(event(release(asked, totals, keys, calibrated, select)["rows"]) for _ in range(RUNS)))
    first, second = hits
    shown = []
    for a, b in ((first, second), (second, first), (RUNS - first, RUNS - second), (RUNS - second, RUNS - first)):
        low, high = binomial_bound(a, RUNS, upper=False) - delta, binomial_bound(b, RUNS, upper=True)
        shown.append(log(low / high) if low > 0 else 0.0)
    return max(shown)


OTHERS = "".join(f"{n},A,1\n" for n in range(20))
MANY_ROWS = "me,A,10\n" * 5


def half_the_noise(sensitivity, epsilon, rho):
    return Laplace(sensitivity, epsilon * 3)


def count_above(limit):
    return lambda rows: rows[0]["n"] >= limit


def test_counts_keep_their_epsilon(tmp_path):
    assert shown_epsilon(question(Measure("count")), OTHERS + MANY_ROWS, OTHERS, count_above(21), tmp_path) <= 1


def test_too_little_noise_is_seen(tmp_path):
    shown = shown_epsilon(
        question(Measure("count")), OTHERS + MANY_ROWS, OTHERS, count_above(21), tmp_path, make=half_the_noise
    )
    assert shown > 1


def test_missing_bounds_on_contribution_are_seen(tmp_path):
    unbounded = Seams(bounded=False)
    shown = shown_epsilon(
        question(Measure("count")), OTHERS + MANY_ROWS, OTHERS, count_above(24), tmp_path, seams=unbounded
    )
    assert shown > 1


def test_sums_keep_their_epsilon_and_a_sensitivity_from_the_data_does_not(tmp_path):
    above = count_above(26)
    assert shown_epsilon(question(SUM), OTHERS + "me,A,10\n", OTHERS, above, tmp_path) <= 1

    def from_the_data(sensitivity, epsilon, rho):  # max(x) of the others is 1
        return Laplace(Sensitivity(1, 1), epsilon)

    assert shown_epsilon(question(SUM), OTHERS + "me,A,10\n", OTHERS, above, tmp_path, make=from_the_data) > 1


def test_private_groups_keep_their_delta_and_no_selection_does_not(tmp_path):
    asked = question(Measure("count_users"), unknown=True)

    def is_named(rows):
        return any(row["g"] == "B" for row in rows)

    assert shown_epsilon(asked, OTHERS + "me,B,1\n", OTHERS, is_named, tmp_path, delta=1e-3) <= 1

    def everything(people):
        return people

    assert shown_epsilon(asked, OTHERS + "me,B,1\n", OTHERS, is_named, tmp_path, delta=1e-3, select=everything) > 1


@pytest.mark.parametrize("measure", [Measure("count"), SUM, Measure("mean", "x", (0.0, 10.0))])
def test_an_interval_holds_the_exact_number_as_often_as_it_says(measure, tmp_path):
    """95 % over 3000 runs; it may fall to 92.6 % by chance in one of 1e9."""
    path = tmp_path / "x.csv"
    path.write_text("who,g,x\n" + "".join(f"{n},A,{n % 10}\n" for n in range(200)))
    asked = question(measure)
    keys, totals = exact_totals(asked, find_inputs([str(path)]), DatasetPolicy(), tmp_path)
    truth = {"count": 200, "sum": 900, "mean": 4.5}[measure.kind]
    held = 0
    for _ in range(RUNS):
        (row,) = release(asked, totals, keys, calibrate(asked))["rows"]
        held += row["n_low"] <= truth <= row["n_high"]
    assert held / RUNS > 0.926


def test_the_reachable_outputs_do_not_depend_on_the_data():
    """Every released sum is a whole number of units, whatever the data was."""
    asked = question(Measure("sum", "x", (0.0, 1.0), 0.25))
    for values in ([1, 3], [-2, 0]):
        rows = np.array([[n, 0, v] for n, v in enumerate(values)], np.int64)
        totals = reduce_shard(rows, 1, features_of(asked), (1, 1))
        for _ in range(50):
            (row,) = release(asked, totals, [("A",)], calibrate(asked))["rows"]
            assert (row["n"] / 0.25).is_integer()


def test_components_are_shared_and_their_losses_add_up_to_the_epsilon():
    asked = question(SUM)
    both = calibrating.calibrate(asked)
    assert both.loss.epsilon == 1
