"""Crypto-shredding: destroy the keys of people who are erased, so that no copy of their cells can be read any more.

    done = shred_people(fresh, keyring, people, today=today, clock=utc_now)

A key stays where rows with cells under it stay, for a hold or for a reason of the policy's. The keys of all others go
together, and one new epoch makes older copies of the store useless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydp_cli.keys.keyring import Clock, Keyring
from pydp_cli.keys.subject_keys import open_subject_keys, shred
from pydp_cli.pipeline.people_keys import digests_of
from pydp_cli.policy.model import Policy
from pydp_cli.subjects.erase import ErasurePlan
from pydp_cli.subjects.holds import live_holds
from pydp_cli.subjects.suppression import every_spelling

People = Sequence[Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Shredding:
    """How many keys were destroyed, and of how many people they were kept, by which holds if by holds alone."""

    keys: int
    people_kept: int
    holds: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {"keys": self.keys, "people_kept": self.people_kept, "holds": list(self.holds)}


def check_store(policy: Policy, keyring: Keyring) -> None:
    """Refuse a store that does not open, before anything is erased: its keys could not be destroyed afterwards."""
    if policy.subject_keys_path.exists():
        open_subject_keys(policy.subject_keys_path, keyring)


def shred_people(
    fresh: ErasurePlan, keyring: Keyring, people: People, *, today: date, clock: Clock
) -> Shredding | None:
    """Destroy the keys of people, each given by identifiers of each kind; None where no store of keys is.

    `fresh` is the plan for the same people of after their rows were erased: who is still in it stays. The same once
    more destroys nothing, and finishes what a killed run left.
    """
    policy = fresh.catalogue.policy
    path = policy.subject_keys_path
    if not path.exists():
        return None
    staying = _staying(fresh)
    going = [one for one in people if not _among(one, staying)]
    holds = _holds_on_keys(policy, today)
    if holds:
        going = []
    keys = open_subject_keys(path, keyring)
    spelled = every_spelling(fresh.catalogue, keyring, going)
    _, done = shred(path, keyring, digests_of(keys, keyring, [spelled]), clock=clock)
    return Shredding(done.keys, len(people) - len(going), holds)


def _holds_on_keys(policy: Policy, today: date) -> tuple[str, ...]:
    """Name the holds that let rows be erased but no key be destroyed: whose it is, nobody can tell without the rows."""
    return tuple(hold.id for hold in live_holds(policy, "shred", today) if "erase" not in hold.blocks)


def _staying(fresh: ErasurePlan) -> set[tuple[str, str]]:
    """Give the identifiers of people of whom rows stay in datasets with columns under their keys."""
    policy = fresh.catalogue.policy
    found: set[int] = set()
    for one in fresh.files:
        if policy.datasets[one.dataset].has_people_keys and (one.kept or one.review or one.held):
            found.update(one.matches.people.to_pylist())
    return {
        (space, value)
        for person in found
        for space, values in fresh.found.people[person].identities.items()
        for value in values
    }


def _among(identities: Mapping[str, Sequence[str]], staying: set[tuple[str, str]]) -> bool:
    return any((space, value) in staying for space, values in identities.items() for value in values)
