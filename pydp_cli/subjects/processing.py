"""What is done with a dataset, as the policy says it: purposes, legal bases, categories, recipients, retention."""

from __future__ import annotations

from typing import Any

from pydp_cli.policy.model import Policy
from pydp_cli.policy.rights import Retention

RIGHTS = (
    "You may ask for correction or erasure of your data, for the restriction of its processing, and for your data in a "
    "form that machines can read; you may object to its processing and withdraw consent at any time; and you may "
    "complain to a supervisory authority."
)


def controller_of(policy: Policy) -> dict[str, Any]:
    """Give who answers for the data."""
    said = policy.controller
    if said is None:
        return {"name": None}
    return {"name": said.name, "dpo": said.dpo, "address": said.address, "regimes": list(said.regimes)}


def processing_of(policy: Policy, dataset: str) -> dict[str, Any]:
    """Give what GDPR Art. 15(1) and Art. 30(1) ask for, of one dataset."""
    said = policy.datasets[dataset]
    columns = said.columns
    names = list(dict.fromkeys([*said.purposes, *(name for column in columns.values() for name in column.purposes)]))
    purposes = [_purpose(policy, name) for name in names]
    retention = said.retention
    return {
        "dataset": dataset,
        "about": said.subject,
        "purposes": purposes,
        "categories": sorted({column.category for column in columns.values() if column.category}),
        "recipients": sorted({recipient for purpose in purposes for recipient in purpose["recipients"]}),
        "retention": None if retention is None else _kept(retention),
        "retention_of_columns": {
            name: _kept(column.retention) for name, column in columns.items() if column.retention is not None
        },
        "derived_from": list(said.derived_from),
        "models": list(said.models),
        "security": _security(policy, dataset),
    }


def _kept(said: Retention) -> dict[str, Any]:
    return {"keep": said.keep, "clock": list(said.clock), "then": said.then}


def _purpose(policy: Policy, name: str) -> dict[str, Any]:
    said = policy.purposes.get(name)
    if said is None:
        return {"name": name, "basis": None, "description": None, "reference": None, "recipients": [], "keep": None}
    return {
        "name": name,
        "basis": said.basis,
        "description": said.description,
        "reference": said.reference,
        "recipients": list(said.recipients),
        "keep": said.keep,
    }


def _security(policy: Policy, dataset: str) -> list[str]:
    """Name the safeguards that the policy sets for columns (Art. 32)."""
    columns = policy.datasets[dataset].columns
    encrypted = sum(column.encrypt is not None for column in columns.values())
    treated = sum(
        any(step.name != "keep" for step in column.anonymize) for column in columns.values() if column.anonymize
    )
    told = [f"{encrypted} of {len(columns)} columns encrypted"] if encrypted else []
    return [*told, *([f"{treated} of {len(columns)} columns anonymized before use elsewhere"] if treated else [])]
