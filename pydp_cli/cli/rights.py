"""What the commands for people's rights share: the keyring where there is one, and the audit log."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.errors import Refused, UsageError

if TYPE_CHECKING:
    from pydp_cli.audit.signing import Signer
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.policy.model import Policy
    from pydp_cli.subjects.catalogue import Catalogue
    from pydp_cli.subjects.subject import Subject

Subjects = Annotated[
    list[str] | None,
    typer.Option("--subject", metavar="ID=VALUE", help="Whom it is about; several times for one person."),
]
SubjectsFile = Annotated[
    Path | None,
    typer.Option("--subjects", metavar="FILE", help="Many people: a CSV file whose heading names identifiers."),
]
Merge = Annotated[bool, typer.Option("--merge", help="Take several ids that hang together as one person's.")]


def moment_of(text: str | None, option: str = "--as-of") -> datetime:
    """Read the moment that an option names; now where it was left out."""
    return datetime.now(timezone.utc) if text is None else opt.moment(text, option)


def keyring_if_any(policy: Policy, access: Access) -> Keyring | None:
    """Unlock the keyring that is named and can be unlocked; None where there is none, or nothing that unlocks it."""
    if access.keyring is None and policy.keyring_path is None:
        return None
    if not access.brings_something() and not sys.stdin.isatty():
        return None
    return open_keyring_of(policy, access)


def required_keyring(policy: Policy, access: Access, what: str) -> Keyring:
    """Unlock the keyring, and refuse to go on without one."""
    if access.keyring is None and policy.keyring_path is None:
        raise UsageError(f"{what} needs a keyring", hint="make one with `pydp keys init`, and name it in the policy")
    return open_keyring_of(policy, access)


def open_keyring_of(policy: Policy, access: Access) -> Keyring:
    """Unlock the keyring that the command line or the policy names."""
    from pydp_cli.keys.keyring import open_keyring

    path = access.keyring or policy.keyring_path
    assert path is not None
    return open_keyring(path, access.unlock(), seen=opt.seen_folder())


def signer_if_any(keyring: Keyring | None, scope: str = "audit") -> Signer | None:
    """Give the key that signs, where the keyring is unlocked."""
    from pydp_cli.audit.signing import signer_of

    return None if keyring is None else signer_of(keyring, scope)


def record(policy: Policy, event: str, details: Mapping[str, Any], keyring: Keyring | None) -> None:
    """Append what was done to the audit log."""
    from pydp_cli.audit.log import append
    from pydp_cli.keys.keyring import utc_now

    append(
        policy.state_dir,
        event,
        {"policy": policy.digest, **details},
        clock=utc_now,
        signer=signer_if_any(keyring),
    )


def subjects_of(catalogue: Catalogue, named: list[str] | None, file: Path | None) -> list[Subject]:
    """Read whom a command is about: one person from options, or many from a file."""
    from pydp_cli.subjects.subject import parse_subjects, read_subjects

    if file is not None:
        if named:
            raise UsageError("--subject and --subjects exclude each other")
        return read_subjects(file, catalogue)
    return [parse_subjects(named or (), catalogue)]


def verify_events(policy: Policy, access: Access, folder: Path, what: str) -> None:
    """Verify a chained log of its own, print what is wrong, and raise `Refused` where anything is."""
    from pydp_cli.audit.signing import public_keys_of
    from pydp_cli.audit.verify import verify
    from pydp_cli.cli.render import note, warn

    keys = public_keys_of(open_keyring_of(policy, access)) if access.brings_something() else None
    verdict = verify(folder, public_keys=keys)
    for finding in verdict.findings:
        print(f"{finding.kind}: {finding.place}: {finding.message}")
    for warning in verdict.warnings:
        warn(warning)
    if not verdict.sound:
        raise Refused(f"{what} were tampered with", place=str(folder))
    note(f"{verdict.lines:,} lines are as they were written")
