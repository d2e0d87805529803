"""Check a policy by itself: what can be known without its data. `check_schema` checks it against the data."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import combinations
from typing import Any

from pydp_cli.datasets.locations import find_inputs
from pydp_cli.errors import Problem, PydpError
from pydp_cli.policy.model import Policy, keyed_steps
from pydp_cli.policy.rights_checks import check_rights
from pydp_cli.policy.schema_checks import check_schema, undecided
from pydp_cli.transforms.findings import did_you_mean
from pydp_cli.transforms.treatment import StepSpec, plain

__all__ = ["check_policy", "check_schema", "contradictions"]

ACCEPTED, TOLERATED = 1e-6, 1e-2
"""The probability of a collision that nothing is said of, and the one above which the policy is wrong."""


def check_policy(policy: Policy) -> list[Problem]:
    """Give every problem that the policy shows by itself; those of severity `warning` do not stop a run."""
    checks = (_undecided, _references, _domains, _linked_domains, _collisions, _overlaps, check_rights)
    return [problem for check in checks for problem in check(policy)]


def contradictions(policy: Policy) -> list[Problem]:
    """Give the errors by which a policy contradicts itself, and which a run must refuse as the check does.

    What is left to decide, and files that two datasets claim, stop a run only where it meets them.
    """
    checks = (_references, _domains, _linked_domains, _collisions)
    return [problem for check in checks for problem in check(policy) if problem.severity == "error"]


def _undecided(policy: Policy) -> Iterator[Problem]:
    for name, dataset in policy.datasets.items():
        for column, treated in dataset.columns.items():
            if treated.decide:
                yield undecided(column, policy.place_of("datasets", name, "columns", column))


def _references(policy: Policy) -> Iterator[Problem]:
    """Names that must be declared elsewhere in the policy."""
    for name, dataset in policy.datasets.items():
        at = ("datasets", name)
        for column, identity in dataset.identifiers.items():
            yield from _known(policy, identity, policy.identities, "identity", (*at, "identifiers", column))
        for key, columns in (("identifiers", dataset.identifiers), ("links", dataset.links)):
            if dataset.columns and dataset.other_columns != "keep":
                for column in columns:
                    yield from _known(policy, column, dataset.columns, "column", (*at, key, column))
        for column in dataset.links:
            yield from _link(policy, name, column)
        yield from _purposes(policy, name)
        for origin in dataset.derived_from:
            yield from _known(policy, origin, policy.datasets, "dataset", (*at, "derived_from"))
    yield from _statistics_and_domains(policy)


def _purposes(policy: Policy, name: str) -> Iterator[Problem]:
    dataset = policy.datasets[name]
    named: list[tuple[str, tuple[str, ...]]] = [(purpose, ("purposes",)) for purpose in dataset.purposes]
    named += [(purpose, ("opt_out", column)) for column, barred in dataset.opt_out.items() for purpose in barred]
    for column, treated in dataset.columns.items():
        named += [(purpose, ("columns", column, "purposes")) for purpose in treated.purposes]
    for purpose, path in named:
        yield from _known(policy, purpose, policy.purposes, "purpose", ("datasets", name, *path))


def _statistics_and_domains(policy: Policy) -> Iterator[Problem]:
    for query, said in (policy.statistics.queries if policy.statistics else {}).items():
        yield from _known(policy, said.dataset, policy.datasets, "dataset", ("statistics", "queries", query, "dataset"))
    used = {domain for domain, _ in _keyed(policy)}
    for domain in policy.domains:
        if domain not in used:
            hint = did_you_mean(domain, used)
            place = policy.place_of("domains", domain)
            yield Problem(f'no column is in domain "{domain}"', place=place, hint=hint, severity="warning")


def _known(policy: Policy, name: str, known: Any, kind: str, path: tuple[str, ...]) -> Iterator[Problem]:
    if name not in known:
        hint = did_you_mean(name, known) or f"the policy names no {kind} like it"
        yield Problem(f'there is no {kind} "{name}"', place=policy.place_of(*path), hint=hint)


def _link(policy: Policy, name: str, column: str) -> Iterator[Problem]:
    path = ("datasets", name, "links", column)
    target = policy.datasets[name].link_of(column)
    assert target is not None
    dataset, linked = target
    if dataset not in policy.datasets:
        yield from _known(policy, dataset, policy.datasets, "dataset", path)
    elif linked not in policy.datasets[dataset].columns and policy.datasets[dataset].other_columns != "keep":
        hint = did_you_mean(linked, policy.datasets[dataset].columns)
        yield Problem(f'dataset "{dataset}" has no column "{linked}"', place=policy.place_of(*path), hint=hint)


@dataclass(frozen=True)
class Use:
    """A column in a domain."""

    dataset: str
    column: str
    step: StepSpec
    place: str | None

    @property
    def label(self) -> str:
        """Name the column for a message."""
        return f"{self.dataset}.{self.column}"


def _keyed(policy: Policy) -> Iterator[tuple[str, Use]]:
    for name, dataset in policy.datasets.items():
        for column, treated in dataset.columns.items():
            for domain, step in keyed_steps(column, treated):
                place = policy.place_of("datasets", name, "columns", column)
                yield domain, Use(name, column, step, place)


def _domains(policy: Policy) -> Iterator[Problem]:
    """In one domain and kind, every column must be treated alike, or equal values get different pseudonyms."""
    groups: dict[tuple[str, str], list[Use]] = {}
    for domain, use in _keyed(policy):
        groups.setdefault((use.step.name, domain), []).append(use)
    for (_, domain), uses in groups.items():
        first = uses[0]
        for other in uses[1:]:
            yield from _same_options(domain, first, other)
            rules = [policy.normalization(use.dataset, use.column, domain) for use in (first, other)]
            if rules[0] != rules[1]:
                yield Problem(
                    f'{other.label} and {first.label} are in domain "{domain}" and are normalised differently',
                    place=other.place,
                    hint="give both columns the same identity, or link one to the other",
                )


def _same_options(domain: str, first: Use, other: Use) -> Iterator[Problem]:
    sides = [
        {key: value for key, value in plain(use.step.options.model_dump()).items() if key not in ("domain", "per")}
        for use in (first, other)
    ]
    differing = [key for key in sides[0] if sides[0][key] != sides[1].get(key)]
    if differing:
        named = any(getattr(use.step.options, "domain", None) for use in (first, other))
        yield Problem(
            f'{other.label} and {first.label} are in domain "{domain}" and differ in: {", ".join(differing)}',
            place=other.place,
            hint="make them equal, or give one of them another `domain`",
            severity="error" if named else "warning",
        )


def _linked_domains(policy: Policy) -> Iterator[Problem]:
    """A link must still join after treatment."""
    for name, dataset in policy.datasets.items():
        for column in dataset.links:
            target = dataset.link_of(column)
            assert target is not None
            other, linked = target
            sides = [_joined_by(policy, name, column), _joined_by(policy, other, linked)]
            if None in sides or sides[0] == sides[1]:
                continue
            yield Problem(
                f"{name}.{column} and {other}.{linked} are linked, and will not join: {sides[0]} and {sides[1]}",
                place=policy.place_of("datasets", name, "columns", column),
                hint="treat both alike, in one `domain`",
                severity="warning" if "kept" in sides else "error",
            )


def _joined_by(policy: Policy, dataset: str, column: str) -> str | None:
    """Say what a treated column's values can be joined by; None where that is not plain."""
    chosen = policy.datasets.get(dataset)
    treated = None if chosen is None else chosen.columns.get(column)
    if chosen is None or treated is None or treated.anonymize is None:
        return None
    keyed = [(domain, step) for domain, step in keyed_steps(column, treated) if not hasattr(step.options, "per")]
    if keyed:
        domain, step = keyed[-1]
        release = getattr(step.options, "release", None) or chosen.release or policy.release
        return f'{step.name} in domain "{domain}"' + (f' of release "{release}"' if release else "")
    return "kept" if all(step.name == "keep" for step in treated.anonymize) else None


def _collisions(policy: Policy) -> Iterator[Problem]:
    """Two people who share a pseudonym are silently merged: bound the probability for the declared population."""
    seen: set[tuple[str, str]] = set()
    for domain, use in _keyed(policy):
        bits = _space_bits(use.step)
        if bits is None or (domain, use.step.name) in seen:
            continue
        seen.add((domain, use.step.name))
        declared = policy.domains[domain].population if domain in policy.domains else None
        if declared is not None:
            yield from _collision(use, domain, declared, bits)
        elif collision_probability(10_000, bits) > TOLERATED:
            yield Problem(
                f'pseudonyms of domain "{domain}" have {bits:.0f} bits: among 10,000 people some will share one',
                place=use.place,
                hint="do not join on them, or choose a longer format; declare the population under `domains:`",
                severity="warning",
            )


def _collision(use: Use, domain: str, population: int, bits: float) -> Iterator[Problem]:
    probability = collision_probability(population, bits)
    if probability > ACCEPTED:
        yield Problem(
            f'domain "{domain}": among {population:,} values two share a pseudonym with probability {probability:.2g}',
            place=use.place,
            hint=f"use at least {bits_needed(population)} bits",
            severity="error" if probability > TOLERATED else "warning",
        )


def _space_bits(step: StepSpec) -> float | None:
    """Ask a transform for log2 of the number of different results; None where it has no say in it."""
    measure = getattr(step.options, "space_bits", None)
    return None if measure is None else measure()


def collision_probability(population: int, bits: float) -> float:
    """Bound the probability that two of `population` values share one of 2^bits pseudonyms (the birthday bound)."""
    return float(-math.expm1(-population * (population - 1) / 2 / 2**bits))


def bits_needed(population: int) -> int:
    """Give the bits at which the probability is one that nothing is said of."""
    return math.ceil(math.log2(max(population, 2)) * 2 - 1 - math.log2(ACCEPTED))


def _overlaps(policy: Policy) -> Iterator[Problem]:
    """No file may be of two datasets."""
    files = {name: _files(policy, name) for name in policy.datasets}
    for first, second in combinations(policy.datasets, 2):
        shared = sorted(files[first] & files[second])
        patterns = policy.datasets[first].path, policy.datasets[second].path
        if shared or (patterns[0] and patterns[1] and _match_alike(patterns[0], patterns[1])):
            example = f": {os.path.relpath(shared[0], os.path.realpath(policy.base_dir))}" if shared else ""
            place = policy.place_of("datasets", second, "path")
            yield Problem(f'datasets "{first}" and "{second}" have files in common{example}', place=place)


def _match_alike(first: str, second: str) -> bool:
    one, two = os.path.normpath(first), os.path.normpath(second)
    return "-" not in (first, second) and (one == two or fnmatch(one, two) or fnmatch(two, one))


def _files(policy: Policy, name: str) -> set[str]:
    """List a dataset's local files, as far as they exist now."""
    path = policy.datasets[name].path
    if path is None or path == "-" or "://" in path:
        return set()
    try:
        found = find_inputs([str(policy.base_dir.absolute() / path)])
    except PydpError:  # nothing there yet, or nothing that a run could read
        return set()
    return {os.path.realpath(file.path) for file in found}
