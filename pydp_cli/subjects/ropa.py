"""The record of processing activities (GDPR Art. 30), written from the policy."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from pydp_cli.policy.model import Policy
from pydp_cli.subjects.processing import controller_of, processing_of

HEADINGS = (
    "dataset",
    "controller",
    "contact",
    "purpose",
    "legal basis",
    "reference",
    "people",
    "categories of data",
    "recipients",
    "kept for",
    "security",
)
NOT_SAID = "(not said)"


def activities(policy: Policy) -> Iterator[tuple[str, ...]]:
    """Give one line for each dataset and purpose; what the policy does not say is shown as not said."""
    controller = controller_of(policy)
    for name in policy.datasets:
        said = processing_of(policy, name)
        rules = {"": said["retention"], **said["retention_of_columns"]}
        kept = "; ".join(_kept(name, rule) for name, rule in rules.items() if rule is not None)
        for purpose in said["purposes"] or [{}]:
            yield tuple(
                text or NOT_SAID
                for text in (
                    name,
                    controller["name"],
                    controller.get("dpo") or controller.get("address"),
                    purpose.get("description") or purpose.get("name"),
                    purpose.get("basis"),
                    purpose.get("reference") or "-",
                    said["about"],
                    ", ".join(said["categories"]),
                    ", ".join(purpose.get("recipients", ())) or "none",
                    kept if said["retention"] is not None else "; ".join(filter(None, [purpose.get("keep"), kept])),
                    ", ".join(said["security"]),
                )
            )


def _kept(column: str, rule: dict[str, Any]) -> str:
    return f"{column}{': ' if column else ''}{rule['keep']} from {', '.join(rule['clock'])}"


def ropa_csv(policy: Policy) -> str:
    """Write the record as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows(activities(policy))
    return out.getvalue()


def ropa_markdown(policy: Policy) -> str:
    """Write the record as a Markdown page, a section for each activity."""
    lines = ["# Record of processing activities (GDPR Art. 30)", ""]
    controller = controller_of(policy)
    if controller["name"]:
        lines += [f"Controller: {_plain(controller['name'])}", ""]
    for row in activities(policy):
        lines += [f"## {_plain(row[0])}: {_plain(row[3])}", ""]
        lines += ["| | |", "|---|---|"]
        lines += [f"| {heading} | {_plain(value)} |" for heading, value in zip(HEADINGS[1:], row[1:], strict=True)]
        lines.append("")
    return "\n".join(lines)


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
