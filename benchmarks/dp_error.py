"""Compare the errors of pydp and of OpenDP over Polars at the same epsilon, each statistic asked alone.

`python benchmarks/dp_error.py --runs 40`: mean absolute error over all releases and groups. The limits are three groups
and four rows in each. Nobody in the file has more, so the truth is that of the whole file, and what differs is noise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from contests import HERE
from dp import peers_python

from pydp_cli.datasets.locations import find_inputs
from pydp_cli.dp.calibration import calibrate
from pydp_cli.dp.engine import exact_totals
from pydp_cli.dp.queries import GroupColumn, Question
from pydp_cli.dp.release import release
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.policy.statistics import Measure

KEYS = tuple(f"c{n}" for n in range(10))
BOUNDS = (0.0, 500.0)
MEASURES = {
    "count": Measure("count"),
    "sum": Measure("sum", "amount", BOUNDS),
    "mean": Measure("mean", "amount", BOUNDS),
    "median": Measure("median", "amount", BOUNDS, shares=(0.5,)),
}


def generate(path: Path, people: int) -> dict[str, list[float]]:
    """Write a file in which everybody has one row, and give the truth.

    With more than one, OpenDP's choice of groups would drop some that are within the limits.
    """
    rng = np.random.default_rng(7)
    person = np.arange(people)
    group = rng.integers(0, 10, people)
    amount = np.round(rng.gamma(2, 40, people), 2).clip(*BOUNDS)
    names = pa.array(KEYS).take(pa.array(group))
    pq.write_table(pa.table({"person": person, "category": names, "amount": amount}), path)
    parts = [amount[group == number] for number in range(10)]
    return {
        "count": [float(len(part)) for part in parts],
        "sum": [float(part.sum()) for part in parts],
        "mean": [float(part.mean()) for part in parts],
        "median": [float(np.median(part)) for part in parts],
    }


def ours(path: Path, runs: int) -> dict[str, list[list[float]]]:
    """Release each statistic so many times, at epsilon 1 each."""
    released = {}
    for name, measure in MEASURES.items():
        groups = (GroupColumn("category", KEYS),)
        asked = Question("q", "d", "person", 3, 4, groups, None, (("value", measure),), Fraction(1), None, Fraction(0))
        keys, totals = exact_totals(asked, find_inputs([str(path)]), DatasetPolicy(), path.parent)
        calibrated = calibrate(asked)
        releases = [release(asked, totals, keys, calibrated, None)["rows"] for _ in range(runs)]
        released[name] = [[row["value"] for row in rows] for rows in releases]
    return released


def error(released: list[list[float]], truth: list[float]) -> float:
    """Give the mean absolute error over releases and groups."""
    return float(np.abs(np.array(released) - np.array(truth)).mean())


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--people", type=int, default=100_000)
    chosen = parser.parse_args()
    python = peers_python()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.parquet"
        truth = generate(path, chosen.people)
        own, other = ours(path, chosen.runs), {}
        if python is None:
            print("opendp is left out: no interpreter has it (see README.md)", file=sys.stderr)
        else:
            script = str(HERE / "peers" / "dp_opendp_error.py")
            command = [python, script, str(path), str(chosen.people), str(chosen.runs)]
            other = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    for name in MEASURES:
        mine = error(own[name], truth[name])
        print(f"{name:8} pydp {mine:12.3f}", end="")
        if name in other:
            theirs = error(other[name], truth[name])
            print(f"   opendp {theirs:12.3f}   {mine / theirs:6.2f} of its error", end="")
        print()


if __name__ == "__main__":
    main()
