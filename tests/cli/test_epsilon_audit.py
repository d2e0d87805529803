"""The installed command attacked from outside: what it prints for two neighbouring files bounds epsilon from below.

A run releases many groups, each with noise of its own, and in each group one person is there or not: as many samples as
groups, from two runs of the command in processes of their own. By Clopper-Pearson with a false-alarm rate of 1e-9, the
true epsilon is at least `log(low(p) / high(q))`. For the command as it is that must stay below what was declared; with
one thing broken on purpose it must exceed it, so that the audit can see.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dp.test_audit import binomial_bound, log

GROUPS = 3000
EPSILON, DELTA = 1.0, 1e-3
RUN = "\nimport sys\nfrom pydp_cli.cli.app import run\nsys.exit(run(sys.argv[1:]))"
BROKEN = {
    "nothing": "",
    "noise halved": """
from pydp_cli.dp import mechanisms
real = mechanisms.Laplace.scale
mechanisms.Laplace.scale = property(lambda self: real.fget(self) / 2)
""",
    "bounding off": """
from pydp_cli.dp import engine
real = engine.bound
engine.bound = lambda rows, groups, per_group, **more: real(rows, 1 << 40, 1 << 40, **more)
""",
    "sensitivity from the data": """
from pydp_cli.dp import calibration
calibration.Sensitivity.of = staticmethod(lambda groups, per_group: calibration.Sensitivity(1, 1))
""",
    "selection off": """
from pydp_cli.dp import release
release.select_groups = lambda counts, *more: counts
""",
}
POLICY = """version: 1
datasets: {{visits: {{path: visits.csv, other_columns: keep}}}}
statistics:
  user: who
  queries:
    n:
      dataset: visits
      group_by: [{{place: {groups}}}]
      release: {{n: {measure}}}
      epsilon: {epsilon}
      delta: {delta}
"""


def others(place):
    return "".join(f"o{place}_{number},P{place},1\n" for number in range(20))


def outputs(folder, rows, groups, measure, broken):
    """Run the command over some rows; give what it released of each group."""
    folder.mkdir()
    (folder / "visits.csv").write_text("who,place,x\n" + rows)
    policy = POLICY.format(groups=groups, measure=measure, epsilon=EPSILON, delta=DELTA)
    (folder / "pydp.yml").write_text(policy)
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", BROKEN[broken] + RUN, "dp-stats", "--query", "n", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return {row["place"]: row["n"] for row in json.loads(done.stdout)["rows"]}


def shown_epsilon(first, second, delta=0.0):
    """Give the epsilon that hits of two neighbours among as many samples as groups show to be exceeded, at most."""
    shown = []
    for a, b in (
        (first, second),
        (second, first),
        (GROUPS - first, GROUPS - second),
        (GROUPS - second, GROUPS - first),
    ):
        low, high = binomial_bound(a, GROUPS, upper=False) - delta, binomial_bound(b, GROUPS, upper=True)
        shown.append(log(low / high) if low > 0 else 0.0)
    return max(shown)


def audited(folder, measure, mine, limit, broken):
    """Audit a number of public groups: in one file each has a person more, with rows that should hardly count."""
    keys = json.dumps([f"P{place}" for place in range(GROUPS)])
    there = "".join(others(place) for place in range(GROUPS))
    with_me = there + "".join(f"me{place},P{place},{mine[0]}\n" * mine[1] for place in range(GROUPS))
    hits = [
        sum(value >= limit for value in outputs(folder / name, rows, f"{{keys: {keys}}}", measure, broken).values())
        for name, rows in (("with", with_me), ("without", there))
    ]
    return shown_epsilon(*hits)


COUNT = ("count", ("1", 5), 21)
SUM = ("{sum: x, bounds: [0, 10]}", ("99", 1), 26)


@pytest.mark.parametrize(("measure", "mine", "limit"), [COUNT, SUM])
def test_the_command_keeps_its_epsilon(tmp_path, measure, mine, limit):
    assert 0 < audited(tmp_path, measure, mine, limit, "nothing") <= EPSILON


@pytest.mark.parametrize(
    ("case", "broken"), [(COUNT, "noise halved"), (COUNT, "bounding off"), (SUM, "sensitivity from the data")]
)
def test_what_is_broken_is_seen(tmp_path, case, broken):
    assert audited(tmp_path, *case, broken) > EPSILON


@pytest.mark.parametrize("broken", ["nothing", "selection off"])
def test_groups_of_one_person_stay_unnamed_but_for_delta(tmp_path, broken):
    mine = "".join(f"me{place},Q{place},1\n" for place in range(GROUPS))
    hits = [
        sum(name.startswith("Q") for name in outputs(tmp_path / name, rows, "{unknown: true}", "count_users", broken))
        for name, rows in (("with", others(0) + mine), ("without", others(0)))
    ]
    shown = shown_epsilon(*hits, delta=DELTA)
    assert shown > EPSILON if broken == "selection off" else shown <= EPSILON
