"""Which groups may be named, where the set of groups is itself private.

Each group's number of people gets noise, and only groups above a threshold are released. The threshold is so high that
a group of one single person passes with probability of at most delta, over all groups that the person is in.

Source: Korolova, Kenthapadi, Mishra, Ntoulas, "Releasing Search Queries and Clicks Privately" (2009), with discrete
noise; delta is split over the person's groups as in Desfontaines, Voss, Gipson, Mandayam (2022).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from math import expm1, log1p
from typing import TypeVar

from pydp_cli.dp.mechanisms import Mechanism

Key = TypeVar("Key", bound=Hashable)


def threshold(mechanism: Mechanism, delta: Fraction, groups_per_person: int) -> int:
    """Give the smallest noisy number of people at which a group may be named.

    A group of one person has 1 + noise; it must reach the threshold with probability at most
    1 - (1 - delta)^(1 / groups_per_person).
    """
    per_group = -expm1(log1p(-float(delta)) / groups_per_person)
    return 1 + mechanism.tail(per_group)


def select_groups(
    people: Mapping[Key, int], mechanism: Mechanism, delta: Fraction, groups_per_person: int
) -> dict[Key, int]:
    """Give the groups that pass, each with its noisy number of people (which may be released as it is).

    `people` holds the exact number of distinct people of each group; groups of none must not be in it, because no noise
    is drawn for groups that nobody is in.
    """
    least = threshold(mechanism, delta, groups_per_person)
    noisy = {key: mechanism.add_noise(count) for key, count in people.items() if count > 0}
    return {key: count for key, count in noisy.items() if count >= least}
