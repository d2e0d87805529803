"""`pydp consent`: record, withdraw, check, import and count what people agreed to."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.rights import Subjects
from pydp_cli.errors import InputError, Refused, UsageError

if TYPE_CHECKING:
    from pydp_cli.policy.model import Policy
    from pydp_cli.subjects.consent import Status

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Record what people agree to, and look it up. Events name nobody: they hold keyed hashes.",
)

Purpose = Annotated[str, typer.Option("--purpose", metavar="NAME", help="A purpose of the policy.")]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="When it was said. Default: now.")]
Method = Annotated[str | None, typer.Option("--method", metavar="NAME", help="How it was said: form, letter, phone.")]


@app.command(
    epilog="""\b
Example:
  pydp consent record --subject email=anna@example.com --purpose marketing --notice v3 --key-file pydp.key
"""
)
@with_access
def record(
    *,
    access: Access,
    purpose: Purpose,
    subject: Subjects = None,
    at: At = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="When it ends by itself.")] = None,
    notice: Annotated[
        str | None, typer.Option("--notice", metavar="VERSION", help="The version of the text that they saw.")
    ] = None,
    method: Method = None,
    refused: Annotated[bool, typer.Option("--refused", help="They said no.")] = False,
) -> None:
    """Record that a person agrees to a purpose, or refuses."""
    status: Status = "refused" if refused else "given"
    _record(access, subject, purpose, status, at=at, until=until, notice=notice, method=method)


@app.command(
    epilog="""\b
Example:
  pydp consent withdraw --subject email=anna@example.com --purpose marketing --key-file pydp.key
"""
)
@with_access
def withdraw(
    *, access: Access, purpose: Purpose, subject: Subjects = None, at: At = None, method: Method = None
) -> None:
    """Record that a person takes their consent back. What was recorded before stays, as evidence."""
    _record(access, subject, purpose, "withdrawn", at=at, method=method)


@app.command(
    epilog="""\b
Example:
  pydp consent check --subject email=anna@example.com --purpose marketing --key-file pydp.key
"""
)
@with_access
def check(
    *, access: Access, purpose: Purpose, subject: Subjects = None, as_of: opt.AsOf = None, json: opt.Json = False
) -> None:
    """Tell whether a person agrees to a purpose: ends with 0 if so, and with 3 if not."""
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import note, print_json
    from pydp_cli.subjects.consent import check_consent

    policy = _policy(access, purpose)
    keyring = rights.required_keyring(policy, access, "consent")
    given: dict[str, list[str]] = {}
    for space, value in _given(policy, subject):
        given.setdefault(space, []).append(value)
    answer = check_consent(policy.state_dir, keyring, given, purpose, rights.moment_of(as_of))
    if json:
        print_json(vars(answer))
    if not answer.allowed:
        raise Refused(f'no consent to "{purpose}": {answer.reason}')
    if not json:
        note(f'consent to "{purpose}" since {answer.since}')


@app.command(
    "import",
    epilog="""\b
Example:
  pydp consent import consents.csv --key-file pydp.key
  pydp consent import do-not-sell.csv --purpose marketing --status opted-out --key-file pydp.key
""",
)
@with_access
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV file; its heading names identities and what is below.")],
    *,
    access: Access,
    purpose: Annotated[
        str | None, typer.Option("--purpose", metavar="NAME", help="The purpose, where no column names it.")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", metavar="STATUS", help="given, refused, withdrawn or opted-out, where no column says it."
        ),
    ] = None,
) -> None:
    """Record a file of events; where a line cannot be read, none of it.

    Its columns are identities of the policy, purpose, status, at, until, notice, method.
    """
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import note
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.consent import record_events
    from pydp_cli.subjects.consent_import import import_events

    policy = _policy(access, purpose)
    keyring = rights.required_keyring(policy, access, "consent")
    events = import_events(
        file, policy, keyring, read_time=_read_time, purpose=purpose, status=status, now=rights.moment_of(None)
    )
    if events:
        record_events(policy.state_dir, events, clock=utc_now, signer=rights.signer_if_any(keyring))
    rights.record(policy, "consent.import", {"events": len(events)}, keyring)
    note(f"{len(events):,} events recorded")


@app.command(
    epilog="""\b
Example:
  pydp consent stats -p fixtures/pydp.yml
"""
)
def stats(*, policy: opt.PolicyFile = None, as_of: opt.AsOf = None, json: opt.Json = False) -> None:
    """Count for each purpose who agrees now, and who said no: identifiers, of which a person may have several."""
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import print_json, print_table
    from pydp_cli.subjects.consent import statistics

    rows = list(statistics(opt.find_and_load_policy(policy).state_dir, rights.moment_of(as_of)))
    if json:
        print_json(rows)
    else:
        print_table(rows)


@app.command(
    epilog="""\b
Example:
  pydp consent verify --key-file pydp.key
"""
)
@with_access
def verify(*, access: Access) -> None:
    """Check that no event was altered, and none is missing, as `pydp audit verify` does for the audit log."""
    from pydp_cli.cli.rights import verify_events
    from pydp_cli.subjects.consent import consent_folder

    policy = opt.find_and_load_policy(access.policy)
    verify_events(policy, access, consent_folder(policy.state_dir), "the consent events")


def _record(
    access: Access,
    subject: list[str] | None,
    purpose: str,
    status: Status,
    *,
    at: str | None = None,
    until: str | None = None,
    notice: str | None = None,
    method: str | None = None,
) -> None:
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import note
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.pipeline.references import reference_key
    from pydp_cli.subjects.consent import Event, record_events, utc_text

    policy = _policy(access, purpose)
    pairs = _given(policy, subject)
    keyring = rights.required_keyring(policy, access, "consent")
    said = utc_text(rights.moment_of(at, "--at"))
    end = None if until is None else utc_text(opt.moment(until, "--until"))
    if end is not None and end <= said:
        raise UsageError("consent ends before it begins", place="--until")
    events = [
        Event(reference_key(keyring, space).reference(value), space, purpose, status, said, end, notice, method)
        for space, value in pairs
    ]
    record_events(policy.state_dir, events, clock=utc_now, signer=rights.signer_if_any(keyring))
    rights.record(policy, f"consent.{status}", {"purpose": purpose, "subjects": [e.subject for e in events]}, keyring)
    note(f'{status}: "{purpose}"')


def _policy(access: Access, purpose: str | None) -> Policy:
    policy = opt.find_and_load_policy(access.policy)
    if purpose is not None and purpose not in policy.purposes:
        hint = f"one of: {', '.join(policy.purposes)}" if policy.purposes else "declare `purposes:` in the policy"
        raise UsageError(f'the policy has no purpose "{purpose}"', place="--purpose", hint=hint)
    return policy


def _given(policy: Policy, subject: list[str] | None) -> tuple[tuple[str, str], ...]:
    """Read whom it is about; only identities count, because consent outlives datasets."""
    from pydp_cli.subjects.catalogue import catalogue_of
    from pydp_cli.subjects.subject import parse_subjects

    given = parse_subjects(subject or (), catalogue_of(policy)).given
    for space, _ in given:
        if space not in policy.identities:
            raise UsageError(f'"{space}" is not an identity of the policy', place="--subject")
    return given


def _read_time(text: str) -> datetime:
    try:
        return opt.moment(text)
    except UsageError:
        raise InputError("not a date or a time") from None
