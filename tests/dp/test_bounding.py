"""Contribution bounding: no person counts for more than declared, whatever the data."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.dp.aggregates import exact_sums, reduce_shard
from pydp_cli.dp.bounding import GROUP, PERSON, _in_random_order, _order_of, bound
from pydp_cli.dp.features import MISSING, Amount, Bins

AMOUNT, BINS = Amount("x", 1.0, -3, 10, None), Bins("x", (0.0, 1.0, 2.0), 2, None)
VALUES = st.integers(-AMOUNT.reach, AMOUNT.reach) | st.just(int(MISSING))
ROWS = st.lists(
    st.tuples(
        st.integers(-3, 3) | st.just(2**63 - 1), st.integers(0, 5), VALUES, st.sampled_from([0, 1, int(MISSING)])
    ),
    max_size=60,
)
LIMITS = st.tuples(st.integers(1, 4), st.integers(1, 4))


def matrix(rows):
    return np.array(rows, np.int64).reshape(-1, 4)


@given(ROWS, LIMITS)
def test_nobody_is_in_more_groups_or_rows_than_declared(rows, limits):
    groups, per_group = limits
    kept, first = bound(matrix(rows), groups, per_group)
    pairs = [(person, group) for person, group in kept[:, :2].tolist()]
    for person in {person for person, _ in pairs}:
        own = [group for one, group in pairs if one == person]
        assert len(set(own)) <= groups
        assert all(own.count(group) <= per_group for group in own)
    assert first.sum() == len(set(pairs))


@given(ROWS, LIMITS)
def test_limits_that_are_not_reached_leave_nothing_out(rows, limits):
    kept, _ = bound(matrix(rows), 1 << 20, 1 << 20)
    assert sorted(kept.tolist()) == sorted(matrix(rows).tolist())


@given(ROWS, LIMITS, st.integers(0, 5))
def test_one_person_moves_every_total_by_at_most_the_sensitivity(rows, limits, person):
    """What a person adds is what their rows alone give: bounding never looks at other people."""
    groups, per_group = limits
    own = reduce_shard(matrix([row for row in rows if row[PERSON] == person]), 6, (AMOUNT, BINS), limits)
    assert own.people.max() <= 1
    assert own.people.sum() <= groups
    assert own.rows.max() <= per_group
    assert own.rows.sum() <= groups * per_group
    if AMOUNT in own.sums:
        assert max(map(abs, own.sums[AMOUNT])) <= per_group * AMOUNT.reach
        assert sum(map(abs, own.sums[AMOUNT])) <= groups * per_group * AMOUNT.reach
        assert max(own.squares[AMOUNT]) <= per_group * AMOUNT.reach**2
    for group in range(6):
        assert own.bins_of(BINS, group, 2).sum() <= per_group


@given(ROWS, st.integers(1, 2))
def test_who_else_is_there_changes_nothing_of_what_a_person_gives(rows, per_group):
    """With as many groups as there are, the counts of one person are the same alone and among others."""
    limits = (6, per_group)
    whole = reduce_shard(matrix(rows), 6, (), limits)
    parts = [reduce_shard(matrix([r for r in rows if r[PERSON] == p]), 6, (), limits) for p in {r[0] for r in rows}]
    assert whole.rows.tolist() == sum((part.rows for part in parts), np.zeros(6, np.int64)).tolist()
    assert whole.people.tolist() == sum((part.people for part in parts), np.zeros(6, np.int64)).tolist()


def test_the_choice_of_groups_and_rows_is_even():
    """Each of four groups is chosen about a quarter of the time; the bound is 7 standard deviations."""
    people = 40_000
    rows = np.zeros((people * 4, 3), np.int64)
    rows[:, PERSON] = np.repeat(np.random.default_rng(1).integers(-(2**62), 2**62, people), 4)
    rows[:, GROUP] = np.tile([0, 1, 2, 5], people)
    kept, _ = bound(rows, 1, 1)
    counts = np.bincount(kept[:, GROUP], minlength=6)[[0, 1, 2, 5]]
    assert counts.sum() == people
    assert np.abs(counts - people / 4).max() < 7 * (people * 0.1875) ** 0.5


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-(2**62), 2**62)), max_size=30))
def test_sums_are_exact_however_large(pairs):
    groups, values = np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64)
    expected = [sum(value for group, value in pairs if group == one) for one in range(3)]
    assert exact_sums(groups, values, 3) == expected


@given(st.lists(st.sampled_from([0, 1, 2, 3, 2**63, 2**63 + 1, 2**64 - 1]), min_size=1, max_size=50))
def test_equal_hashes_come_together_and_close_ones_stay_apart(hashes):
    hashed = np.array(hashes, np.uint64)
    order = _order_of(hashed)
    assert sorted(order.tolist()) == list(range(len(hashes)))
    assert (np.diff(hashed[order].astype(object)) != 0).sum() == len(set(hashes)) - 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50), st.sampled_from([1, 2**40, 2**60]))
def test_the_order_is_by_key_also_where_keys_are_large(keys, scale):
    key = np.array(keys, np.uint64) * np.uint64(scale)
    order, ordered = _in_random_order(key, np.random.default_rng(1))
    assert sorted(order.tolist()) == list(range(len(keys)))
    assert ordered.tolist() == key[order].tolist() == sorted(key.tolist())


def test_equal_keys_are_in_any_order():
    for key in (np.zeros(4, np.uint64), np.full(4, 2**63, np.uint64)):
        first = [int(_in_random_order(key, np.random.default_rng(seed))[0][0]) for seed in range(400)]
        assert min(np.bincount(first, minlength=4)) > 40  # of 100; less by chance in one of 1e13
