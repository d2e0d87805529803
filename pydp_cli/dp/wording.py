"""What a release promises, in words that need no statistics; the same under every kind of output."""

from __future__ import annotations

from typing import Any


def promises(release: dict[str, Any]) -> list[str]:
    """State epsilon, delta, the unit, the neighbouring relation, limits, bounds, mechanism and what is left out."""
    delta = f", delta {release['delta']:.3g}" if release["delta"] else ""
    names = sorted({str(mechanism["mechanism"]) for mechanism in release["mechanisms"]})
    said = [
        (
            f"Epsilon {release['epsilon']:.4g}{delta}: differential privacy for {release['unit']}. "
            f"Compared are {release['neighbours']}."
        ),
        (
            f"Of each unit, at most {release['groups_per_unit']} group(s) count, and of each group at most "
            f"{release['rows_per_group']} row(s); a random choice leaves out the rest, so true totals may be higher."
        ),
        (
            f"Every number has random noise ({', '.join(names)}). An interval holds the number without noise in at "
            "least 95 of 100 releases; it says nothing of what the limits leave out."
        ),
    ]
    if release.get("randomized"):
        column, epsilon = release["randomized"]["column"], release["randomized"]["epsilon"]
        said.append(
            f'The answers in "{column}" were randomized before, with epsilon {epsilon:g} a row: counts are estimates '
            "of the true answers, and intervals cover that chance, too."
        )
    if release.get("totals"):
        said.append(
            "Totals add up the noisy numbers of the groups that are shown, and the groups were moved to add up to them "
            "without going below zero."
        )
    if release["bounds"]:
        listed = "; ".join(f"{name} {values[0]:g} to {values[-1]:g}" for name, values in release["bounds"].items())
        said.append(f"Values beyond the bounds count as the bound: {listed}.")
    if release["selected_groups"]:
        said.append("Groups with too few people are left out by design, and how many these are is not told.")
    if release["where"]:
        said.append(f"Only rows that meet this condition count: {release['where']}.")
    return said
