"""Find and load a policy file, and report everything that is wrong with it at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from pydp_cli.errors import InputError, PolicyError, Problem
from pydp_cli.policy.document import MAX_BYTES, Document, read_document
from pydp_cli.policy.model import Policy
from pydp_cli.policy.names import name_findings
from pydp_cli.transforms.findings import Finding, validation_findings

POLICY_NAME = "pydp.yml"
MOST_PROBLEMS = 100


def find_policy(start: Path) -> Path | None:
    """Give the policy file of a folder, or of the nearest folder above it that has one."""
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / POLICY_NAME).is_file():
            return folder / POLICY_NAME
    return None


def load_policy(path: Path | str) -> Policy:
    """Load a policy file; raises `PolicyError` with every problem, `InputError` where it cannot be read."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError("there is no such policy", place=str(path), hint="`pydp init FILE` writes one") from None
    except OSError as error:
        raise InputError(f"the policy cannot be read: {error.strerror}", place=str(path)) from None
    return parse_policy(raw, name=_shown(path), base_dir=path.parent)


def parse_policy(raw: bytes, *, name: str = POLICY_NAME, base_dir: Path | None = None) -> Policy:
    """Read a policy from its bytes; `name` is what messages call it."""
    document = read_document(raw, name)
    data = document.data()
    if not isinstance(data, dict):
        raise PolicyError([Problem("a policy is a mapping, which begins with `version: 1`", place=f"{name}:1:1")])
    datasets = data.get("datasets")
    findings = name_findings(datasets) if isinstance(datasets, dict) else []
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        findings += validation_findings(error, Policy, data, "the policy")
    if findings:
        raise PolicyError(located(findings, document))
    return policy.located(base_dir if base_dir is not None else Path(), document)


def located(findings: Iterable[Finding], document: Document) -> list[Problem]:
    """Give findings their places in the file, in the order of the file."""
    placed = sorted(
        ((document.mark_of(finding.path, at_key=finding.at_key), finding) for finding in findings),
        key=lambda found: (found[0].line, found[0].column),
    )
    problems = [
        Problem(finding.message, place=f"{document.name}:{mark.line}:{mark.column}", hint=finding.hint)
        for mark, finding in placed
    ]
    if len(problems) > MOST_PROBLEMS:
        rest = len(problems) - MOST_PROBLEMS
        problems[MOST_PROBLEMS:] = [Problem(f"{rest} more problems", place=document.name)]
    return problems


def _shown(path: Path) -> str:
    """Name a file as short as it can be: relative to the working directory where it is below it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
