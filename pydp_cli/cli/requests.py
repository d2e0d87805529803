"""`pydp requests`: what people asked for, and when it is due."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.rights import Subjects
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.policy.model import Policy
    from pydp_cli.subjects.requests import RightsRequest

ALERT = 7

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Keep track of what people asked for, with the deadlines that the law sets (GDPR, CCPA).",
)

Number = Annotated[str, typer.Argument(help="The number that `open` gave.")]
Because = Annotated[str | None, typer.Option("--because", metavar="TEXT", help="The reason, without personal data.")]


@app.command(
    "open",
    epilog="""\b
Example:
  pydp requests open erasure -p fixtures/pydp.yml --received 2026-11-02
  pydp requests open access --subject email=anna@example.com --regime us-ca-ccpa --key-file pydp.key
""",
)
@with_access
def open_(
    kind: Annotated[str, typer.Argument(help="access, rectification, erasure, restriction, portability, objection…")],
    *,
    access: Access,
    subject: Subjects = None,
    received: Annotated[
        str | None, typer.Option("--received", metavar="DATE", help="When it arrived. Default: today.")
    ] = None,
    regime: Annotated[
        str | None,
        typer.Option(
            "--regime", metavar="NAME", help="The law: eu-gdpr or us-ca-ccpa. Default: the controller's first."
        ),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="A remark, without personal data.")] = None,
    json: opt.Json = False,
) -> None:
    """Record a request, and say when it is due. The person is kept as a keyed hash only."""
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import print_json
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.requests import RightsRequest, open_request

    policy = opt.find_and_load_policy(access.policy)
    law = regime or (policy.controller.regimes[0] if policy.controller and policy.controller.regimes else None)
    if law is None:
        raise UsageError("say which law it is under", hint="--regime eu-gdpr, or `controller: {regimes: …}`")
    keyring = rights.required_keyring(policy, access, "naming a person") if subject else None
    reference = None
    if subject and keyring is not None:
        from pydp_cli.pipeline.references import reference_key
        from pydp_cli.subjects.catalogue import catalogue_of
        from pydp_cli.subjects.subject import parse_subjects

        space, value = parse_subjects(subject, catalogue_of(policy)).given[0]
        reference = reference_key(keyring, space).reference(value)
    asked = RightsRequest("", kind, law, _received(received), reference, note)
    opened = open_request(policy.state_dir, asked, clock=utc_now, signer=rights.signer_if_any(keyring))
    if json:
        print_json(opened.as_json())
    else:
        deadlines = opened.deadlines
        told = f", acknowledge by {deadlines.acknowledge}" if deadlines.acknowledge else ""
        print(f"{opened.number}: {kind} ({deadlines.article}), due {opened.due}{told}")


@app.command(
    "list",
    epilog="""\b
Example:
  pydp requests list -p fixtures/pydp.yml
""",
)
def list_(
    *,
    policy: opt.PolicyFile = None,
    closed: Annotated[bool, typer.Option("--closed", help="Show those that are closed, too.")] = False,
    as_of: opt.AsOf = None,
    json: opt.Json = False,
) -> None:
    """Show the requests, the oldest first."""
    from pydp_cli.subjects.requests import all_requests

    found = all_requests(opt.find_and_load_policy(policy).state_dir)
    _show([one for one in found if closed or one.outcome is None], opt.day_of(as_of), json=json)


@app.command(
    epilog="""\b
Example:
  pydp requests due -p fixtures/pydp.yml --within 7
"""
)
def due(
    *,
    policy: opt.PolicyFile = None,
    within: Annotated[int, typer.Option("--within", min=0, help="The days that count as due.")] = 7,
    as_of: opt.AsOf = None,
    json: opt.Json = False,
) -> None:
    """Show what is due soon or overdue: silent with 0 where nothing is, 7 where something is. For cron."""
    from pydp_cli.subjects.requests import due_requests

    today = opt.day_of(as_of)
    found = list(due_requests(opt.find_and_load_policy(policy).state_dir, today, within))
    _show(found, today, json=json)
    if found:
        raise typer.Exit(ALERT)


@app.command(
    epilog="""\b
Example:
  pydp requests extend R0001 --because "the search spans three archives"
"""
)
def extend(number: Number, *, policy: opt.PolicyFile = None, because: Because = None) -> None:
    """Take the extension that the law allows. The person must be told within the first deadline."""
    from pydp_cli.cli.render import note, warn
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.requests import all_requests, extend_request

    if not because:
        raise UsageError("an extension needs a reason, which the person is told", hint="add --because TEXT")
    loaded = opt.find_and_load_policy(policy)
    extend_request(loaded.state_dir, number, because, clock=utc_now)
    extended = next(one for one in all_requests(loaded.state_dir) if one.number == number)
    if opt.day_of(None) > extended.deadlines.respond:
        warn(f"the first deadline was {extended.deadlines.respond}: the law wants the person told of it by then")
    note(f"{number}: due {extended.due}")


@app.command(
    epilog="""\b
Example:
  pydp requests close R0001 --outcome done
"""
)
def close(
    number: Number,
    *,
    policy: opt.PolicyFile = None,
    outcome: Annotated[str, typer.Option("--outcome", metavar="HOW", help="done, refused or withdrawn.")] = "done",
    because: Because = None,
) -> None:
    """Record what came of a request."""
    from pydp_cli.cli.render import note
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.requests import close_request

    loaded: Policy = opt.find_and_load_policy(policy)
    close_request(loaded.state_dir, number, outcome, because, clock=utc_now)
    note(f"{number}: {outcome}")


@app.command(
    epilog="""\b
Example:
  pydp requests verify --key-file pydp.key
"""
)
@with_access
def verify(*, access: Access) -> None:
    """Check that no event was altered, and none is missing, as `pydp audit verify` does for the audit log."""
    from pydp_cli.cli.rights import verify_events
    from pydp_cli.subjects.requests import requests_folder

    policy = opt.find_and_load_policy(access.policy)
    verify_events(policy, access, requests_folder(policy.state_dir), "the requests")


def _received(text: str | None) -> date:
    """Read the day on which a request arrived, as it is written: in UTC it may be the next, and the answer late."""
    if text is None:
        return opt.day_of(None)
    opt.moment(text, "--received")
    day = datetime.fromisoformat(text.replace("Z", "+00:00")).date()
    if day > opt.day_of(None):
        from pydp_cli.cli.render import warn

        warn("the request is said to have arrived after today", "its deadlines are counted from that day")
    return day


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count:,} days"


def _show(found: list[RightsRequest], today: date, *, json: bool) -> None:
    from pydp_cli.cli.render import print_json, print_table

    if json:
        print_json([one.as_json() for one in found])
    else:
        print_table([_row(one, today) for one in found])


def _row(one: RightsRequest, today: date) -> dict[str, Any]:
    left = one.days_left(today)
    state = one.outcome or (
        f"overdue by {_days(-left)}" if left < 0 else f"{_days(left)} left" if left else "due today"
    )
    return {
        "number": one.number,
        "kind": one.kind,
        "law": one.regime,
        "received": one.received.isoformat(),
        "due": one.due.isoformat(),
        "state": state,
    }
