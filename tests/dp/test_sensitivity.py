"""No person moves any exact number by more than its noise is made for: files with and without one person, whole engine.

Other people stay within the limits, so that what they give is the same in both files; the one person's rows are
anything at all.
"""

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.datasets.locations import find_inputs
from pydp_cli.dp.calibration import calibrate, components_of
from pydp_cli.dp.drawn import Drawn
from pydp_cli.dp.engine import Seams, exact_totals
from pydp_cli.dp.features import Amount
from pydp_cli.dp.queries import GroupColumn, Question
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.policy.statistics import Measure

MEASURES = (
    ("people", Measure("count_users")),
    ("count", Measure("count")),
    ("sum", Measure("sum", "x", (-3.0, 10.0))),
    ("mean", Measure("mean", "y", (0.0, 7.0), 0.5)),
    ("std", Measure("std", "x", (-5.0, 20.0), 0.1)),
    ("filled", Measure("sum", "x", (2.0, 9.0), nulls=4.0)),
    ("median", Measure("median", "y", (0.0, 100.0), shares=(0.5,))),
    ("bars", Measure("histogram", "x", edges=(-1.0, 0.0, 5.0))),
)
NUMBERS = st.none() | st.floats(width=64) | st.integers(-20, 20).map(float)
TEXTS = (
    st.none()
    | st.sampled_from(["1", " 2", "nan", "inf", "-1e400", "x", "", "7.5", "9" * 400, "-0"])
    | st.text(max_size=3)
)
ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), NUMBERS, TEXTS), max_size=40)
SCHEMA = pa.schema([("who", pa.string()), ("g", pa.string()), ("x", pa.float64()), ("y", pa.string())])


def exact(asked, rows, seams):
    """Give the exact numbers: of each group and component, one or a vector of bins."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        columns = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(SCHEMA)]
        pq.write_table(pa.table(columns, schema=SCHEMA), path, row_group_size=7)
        keys, totals = exact_totals(asked, find_inputs([str(path)]), DatasetPolicy(), Path(folder), seams=seams)
    calibrated, found = calibrate(asked), {}
    for group, key in enumerate(keys):
        noisy = Drawn(totals, group, calibrated, {})
        for component in components_of(asked):
            if component.kind in ("bins", "tree"):
                numbers = totals.bins_of(component.feature, group, component.feature.count)
            else:
                numbers = np.array([noisy._exact(component.kind, component.feature)], object)
            found[key, component] = numbers
    return found


def moved(asked, others, own, seams=None):
    """Give, for each component, by how much each group moves when the one person is added."""
    beside = [(str(n), *row) for n, row in enumerate(others)]
    with_person = exact(asked, beside + [("me", *row) for row in own], seams)
    without = exact(asked, beside, seams)
    found = {component: [] for component in components_of(asked)}
    for key, component in with_person:
        before = without.get((key, component), 0)  # a private group that only the person is in
        found[component].append(int(np.abs(with_person[key, component] - before).sum()))
    return found


def question(group, groups, rows):
    return Question("q", "d", "who", groups, rows, (group,), None, MEASURES, Fraction(1), None, Fraction(1, 10**6))


GROUPS = st.sampled_from([GroupColumn("g", ("a", "b", "c")), GroupColumn("g", None)])


@settings(max_examples=60)
@given(ROWS, ROWS, GROUPS, st.integers(1, 3), st.integers(1, 3))
def test_no_person_moves_a_number_by_more_than_its_noise_is_made_for(others, own, group, groups, rows):
    asked = question(group, groups, rows)
    assert {component.kind for component in components_of(asked)} > {"rows", "total", "sum", "squares", "bins", "tree"}
    for component, changes in moved(asked, others, own).items():
        assert max(changes, default=0) <= component.per_group
        assert sum(change > 0 for change in changes) <= groups


@pytest.mark.parametrize("value", [9.9, -5.0, 20.0, float("inf"), 1e300])
def test_a_person_without_limits_is_seen(value):
    """The same measurement finds the fault when the limits are not applied."""
    asked = question(GroupColumn("g", ("a", "b", "c")), 1, 1)
    own = [("a", value, "3")] * 30 + [("b", value, "4")]
    found = moved(asked, [], own, Seams(bounded=False))
    over = {component.kind for component, changes in found.items() if max(changes) > component.per_group}
    assert {"rows", "squares", "bins", "tree"} <= over
    assert all(max(changes) <= component.per_group for component, changes in moved(asked, [], own).items())


def test_the_bound_is_reached():
    """A sensitivity that nobody can reach would be noise for nothing."""
    asked = question(GroupColumn("g", ("a", "b", "c")), 2, 3)
    reached = {}
    for value, text in ((-5.0, "0"), (20.0, "7"), (-3.0, "7"), (10.0, "0"), (9.0, "7")):
        own = [(group, value, text) for group in "abc" for _ in range(5)]
        for component, changes in moved(asked, [], own).items():
            reached[component] = max(reached.get(component, 0), *changes)
    for component in components_of(asked):
        slack = 1 if isinstance(component.feature, Amount) else 0  # the middle of an odd number of units
        assert reached[component] >= component.per_group - slack * 3
