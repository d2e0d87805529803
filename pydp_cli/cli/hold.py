"""`pydp hold`: legal holds, which keep rows from being deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.rights import Subjects

if TYPE_CHECKING:
    from pydp_cli.subjects.holds import LegalHold

HELD = 5

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Keep rows from being deleted while a legal matter is open. Every command that deletes honours it.",
)

Number = Annotated[str, typer.Argument(help="The number that `add` gave.")]


@app.command(
    epilog="""\b
Example:
  pydp hold add -p fixtures/pydp.yml --subject customer_id=001822 --matter "Doe v. Fixture" --key-file pydp.key
  pydp hold add -p fixtures/pydp.yml --dataset orders --matter "Tax audit 2026"
"""
)
@with_access
def add(
    *,
    access: Access,
    matter: Annotated[str, typer.Option("--matter", metavar="TEXT", help="What it is about, without personal data.")],
    subject: Subjects = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", metavar="NAME", help="Hold rows of this dataset only; may be repeated."),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="The last day. Default: none.")] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who ordered it, as a role.")] = None,
    json: opt.Json = False,
) -> None:
    """Hold a person's rows, or whole datasets.

    Whom it is about is kept encrypted under the keyring until the hold is lifted; the log has keyed hashes only.
    """
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import print_json, warn
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.rewrite.lock import is_locked
    from pydp_cli.subjects.catalogue import catalogue_of
    from pydp_cli.subjects.holds import LegalHold, add_hold
    from pydp_cli.subjects.subject import parse_subjects

    policy = opt.find_and_load_policy(access.policy)
    keyring = rights.required_keyring(policy, access, "naming a person") if subject else None
    whom = parse_subjects(subject, catalogue_of(policy)) if subject else None
    last = opt.day_of(until, "--until") if until is not None else None
    asked = LegalHold("", matter, tuple(dataset or ()), until=last, by=by)
    signer = rights.signer_if_any(keyring)
    added = add_hold(policy, asked, whom, keyring=keyring, clock=utc_now, signer=signer)
    rights.record(policy, "hold.added", {"hold": added.id, "datasets": list(added.datasets)}, keyring)
    if json:
        print_json(added.as_json())
    else:
        print(f"{added.id}: held from now on{f', until {last}' if last else ''}")
    if is_locked(policy.state_dir):
        warn("a run is under way: it heeds the hold unless it has committed its changes already, so see what it did")


@app.command(
    epilog="""\b
Example:
  pydp hold lift H0001 --because "settled" -p fixtures/pydp.yml
"""
)
@with_access
def lift(
    number: Number,
    *,
    access: Access,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="The reason, without personal data.")],
) -> None:
    """End a hold. Whom it was about is forgotten; the log keeps that there was one."""
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import note
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.holds import lift_hold

    policy = opt.find_and_load_policy(access.policy)
    keyring = rights.keyring_if_any(policy, access)
    lift_hold(policy, number, because, clock=utc_now, signer=rights.signer_if_any(keyring))
    rights.record(policy, "hold.lifted", {"hold": number}, keyring)
    note(f"{number} is lifted")


@app.command(
    "list",
    epilog="""\b
Example:
  pydp hold list -p fixtures/pydp.yml
""",
)
def list_(
    *,
    policy: opt.PolicyFile = None,
    lifted: Annotated[bool, typer.Option("--lifted", help="Show those that are over, too.")] = False,
    as_of: opt.AsOf = None,
    json: opt.Json = False,
) -> None:
    """Show the holds of the policy and those that were recorded."""
    load_arrow()
    from pydp_cli.cli.render import note, print_json, print_table
    from pydp_cli.subjects.holds import all_holds

    today = opt.day_of(as_of)
    found = [one for one in all_holds(opt.find_and_load_policy(policy)) if lifted or one.is_live(today)]
    if json:
        print_json([one.as_json() for one in found])
    elif found:
        print_table([_row(one) for one in found])
    else:
        note("nothing is held")


@app.command(
    "test",
    epilog="""\b
Example:
  pydp hold test -p fixtures/pydp.yml --subject customer_id=001822
""",
)
@with_access
def tell(
    *,
    access: Access,
    subject: Subjects = None,
    as_of: opt.AsOf = None,
    json: opt.Json = False,
) -> None:
    """Tell which of a person's rows are held, and by what; exit code 5 where any is."""
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import note, print_json, print_table
    from pydp_cli.subjects.catalogue import catalogue_of
    from pydp_cli.subjects.holds import held_rows, holds_on
    from pydp_cli.subjects.resolve import resolve

    policy = opt.find_and_load_policy(access.policy)
    catalogue = catalogue_of(policy)
    keyring = rights.keyring_if_any(policy, access)
    found = resolve(catalogue, rights.subjects_of(catalogue, subject, None), keyring=keyring)
    found.require_unambiguous()
    held = held_rows(catalogue, "erase", keyring=keyring, today=opt.day_of(as_of))
    kept = holds_on(held, found.files, 0)
    if json:
        print_json(kept)
    elif kept:
        print_table([{"hold": h, "dataset": d, "rows": n} for h, sets in kept.items() for d, n in sets.items()])
    else:
        note("nothing of this person is held")
    if kept:
        raise typer.Exit(HELD)


def _row(hold: LegalHold) -> dict[str, Any]:
    state = f"lifted {hold.lifted}" if hold.lifted else f"until {hold.until}" if hold.until else "open"
    return {
        "hold": hold.id,
        "matter": hold.matter,
        "of": "people" if hold.of_people else "everybody",
        "datasets": ", ".join(hold.datasets) or "all",
        "stops": ", ".join(hold.blocks),
        "state": state,
        "from": "policy" if hold.in_policy else str(hold.since),
    }
