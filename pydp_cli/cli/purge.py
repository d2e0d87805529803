"""`pydp purge`: what is past its time goes, as the policy's retention rules say."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.errors import Refused, UsageError

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.policy.model import Policy
    from pydp_cli.subjects.purge import PurgePlan

HELD = 5
COUNTED = ("deleted", "quarantined")

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="""\b
Example:
  pydp purge -p pydp.yml
  pydp purge -p pydp.yml --apply --confirm 1f2e3d4c5b6a
  pydp purge -p pydp.yml --apply --quiet
"""
)
@with_access
def purge(
    *,
    access: Access,
    apply: Annotated[bool, typer.Option("--apply", help="Delete; else it is only shown what would happen.")] = False,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", metavar="NAME", help="Only this dataset; may be repeated.")
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="DIGEST", help="Confirm new or changed rules, by the preview."),
    ] = None,
    max_delete_fraction: Annotated[
        float,
        typer.Option("--max-delete-fraction", min=0, max=1, help="The most of a dataset to delete at once."),
    ] = 0.2,
    resume: Annotated[bool, typer.Option("--resume", help="Finish what was interrupted, first.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Undo what was interrupted, and end.")] = False,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait for another run to end.")] = 0,
    as_of: opt.AsOf = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Delete rows, or null values, that are past the time that the policy keeps them for.

    Shows what is due; with --apply it is done, all files together or none. Says nothing where nothing is due. Rules
    that are new or changed, a clock that jumped, and more than a fifth of a dataset at once are refused until somebody
    has looked. Rows under a legal hold stay (exit code 5).
    """
    load_arrow()
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import print_json
    from pydp_cli.rewrite.lock import run_lock
    from pydp_cli.subjects.purge import COMMAND, carry_out, plan_purge

    policy = opt.find_and_load_policy(access.policy)
    keyring = rights.keyring_if_any(policy, access)
    today, only = opt.day_of(as_of), dataset or ()
    if apply and today > datetime.now(timezone.utc).date():
        raise UsageError("this day is still to come", place="--as-of", hint="leave --apply out to see what will be due")
    with run_lock(policy.state_dir, COMMAND, wait_seconds=wait):
        if abort:
            _abort(policy)
            return
        if resume:
            _resume(policy, keyring)
        plan = plan_purge(policy, today, keyring=keyring, only=only)
        done: list[dict[str, Any]] = []
        if apply and plan.changing:
            _refuse_unsafe(policy, plan, confirm, keyring, guarded=as_of is None)
            try:
                plan = carry_out(plan, done, most=max_delete_fraction, keyring=keyring, only=only)
            finally:
                _record(policy, plan, done, keyring)
        if apply:
            _remember(policy, plan, keyring, guarded=as_of is None)
    if json:
        changes = done if apply else [one.as_json() for one in plan.changing]
        counts = {"files": len(done), **{name: _sum(done, name) for name in COUNTED}} if apply else {}
        print_json({**plan.totals(), **counts, "applied": apply, "day": today.isoformat(), "changes": changes})
    elif not quiet:
        _show(plan, done if apply else None)
    if plan.held:
        raise typer.Exit(HELD)


def _refuse_unsafe(
    policy: Policy, plan: PurgePlan, confirmed: str | None, keyring: Keyring | None, *, guarded: bool
) -> None:
    """Refuse rules that nobody confirmed, and a clock that jumped."""
    from pydp_cli.cli import rights
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.purge import confirm, is_confirmed, refuse_jumped_clock, rules_digest

    if guarded:
        refuse_jumped_clock(policy.state_dir, utc_now())
    digest = rules_digest(plan)
    if is_confirmed(policy.state_dir, digest):
        return
    if confirmed is None and sys.stdin.isatty():
        _show(plan, None)
        typer.confirm("These rules are new or changed. Delete what they say?", abort=True, err=True)
    elif confirmed is None or not digest.startswith(confirmed) or len(confirmed) < len(digest):
        raise Refused(
            "the retention rules are new or changed, and nobody has confirmed what they delete",
            hint=f"look at the preview, then run once with --confirm {digest}",
        )
    confirm(policy.state_dir, digest, clock=utc_now, signer=rights.signer_if_any(keyring))


def _resume(policy: Policy, keyring: Keyring | None) -> None:
    """Finish what was committed, undo what was not, and tell the audit log of what it has missed."""
    from pydp_cli.cli import rights
    from pydp_cli.rewrite import recovery
    from pydp_cli.subjects.purge import drop_quarantine_unless_committed, runs_not_told

    for found, _ in recovery.resume(policy.state_dir):
        drop_quarantine_unless_committed(policy.state_dir, found.journal)
    for run in runs_not_told(policy.state_dir):
        files = [file for note in run.notes for file in note["files"]]
        counts = {name: sum(file[name] for file in files) for name in ("deleted", "quarantined")}
        told = {"runs": [run.details.get("run")], "day": run.details["day"], "files": len(files) - len(run.left)}
        rights.record(policy, "purge.resumed", {**told, **counts}, keyring)
    _tidy(policy)


def _abort(policy: Policy) -> None:
    """Undo what was not committed."""
    from pydp_cli.cli.render import note
    from pydp_cli.rewrite import recovery
    from pydp_cli.subjects.purge import drop_quarantine_unless_committed

    undone = recovery.abort(policy.state_dir)
    for found in undone:
        drop_quarantine_unless_committed(policy.state_dir, found.journal)
    _tidy(policy)
    note("undone: nothing was changed" if undone else "nothing was interrupted")


def _tidy(policy: Policy) -> None:
    """Remove what a run that ended half-way had not put in place in the logs."""
    from pydp_cli.audit.log import tidy
    from pydp_cli.subjects.purge import purge_folder

    for log in (policy.state_dir, purge_folder(policy.state_dir)):
        tidy(log)


def _sum(done: list[dict[str, Any]], name: str) -> int:
    return sum(int(one[name]) for one in done)


def _record(policy: Policy, plan: PurgePlan, done: list[dict[str, Any]], keyring: Keyring | None) -> None:
    """Note in the audit log what was changed."""
    from pydp_cli.cli import rights

    if done:
        counts = {name: _sum(done, name) for name in COUNTED}
        runs = sorted({str(one["run"]) for one in done})
        details = {"runs": runs, "day": plan.today.isoformat(), "files": len(done), **counts, "held": plan.held}
        rights.record(policy, "purge.done", details, keyring)


def _remember(policy: Policy, plan: PurgePlan, keyring: Keyring | None, *, guarded: bool) -> None:
    """Note the run, by which a later one tells whether the clock jumped; a clock that did is no measure itself."""
    from pydp_cli.audit.log import append
    from pydp_cli.cli import rights
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.purge import purge_folder, refuse_jumped_clock

    if guarded and not plan.changing:
        try:
            refuse_jumped_clock(policy.state_dir, utc_now())
        except Refused:
            return
    totals = {**plan.totals(), "day": plan.today.isoformat()}
    signer = rights.signer_if_any(keyring)
    append(purge_folder(policy.state_dir), "purge.done", totals, clock=utc_now, signer=signer)


def _show(plan: PurgePlan, done: list[dict[str, Any]] | None) -> None:
    """Show what happens to each file, or what was done and what stays; nothing where nothing is due."""
    from pydp_cli.cli.render import note, print_grid
    from pydp_cli.subjects.purge import is_confirmed, rules_digest

    apply = done is not None
    shown = list(done or ())
    told = {str(one["path"]) for one in shown}
    others = [one.as_json() for one in plan.files if one.edits or one.held or one.review]
    shown += [one for one in others if one["path"] not in told]
    unreadable = plan.totals()["unreadable"]
    if shown:
        title = "Past its time, and gone" if apply else "Past its time"
        print_grid(title, ("dataset", "file", "rows", "what happens"), [_row(one) for one in shown])
    undated = plan.totals()["undated"]
    if undated and shown:
        note(f"{undated:,} rows have no date, and count as the rules say under `on_null_clock`")
    if unreadable and not apply:
        note(f"{unreadable:,} rows have text for a date that is none, and so they stay")
    digest = rules_digest(plan)
    if plan.changing and not apply and not is_confirmed(plan.policy.state_dir, digest):
        note(f"these rules were never applied: confirm them with --apply --confirm {digest}")


def _row(told: dict[str, object]) -> list[str]:
    held, nulled = told["held"], told["nulled"]
    assert isinstance(held, dict)
    assert isinstance(nulled, dict)
    happens = [
        *(
            [f"delete {told['deleted']:,} rows{' and the file' if told['file_deleted'] else ''}"]
            if told["deleted"]
            else []
        ),
        *([f"set aside {told['quarantined']:,} rows without a date"] if told["quarantined"] else []),
        *(f"null {count:,} {name}" for name, count in nulled.items()),
        *([f"leave {told['review']:,} rows to be looked at"] if told["review"] else []),
        *(f"keep {count:,} rows under hold {hold}" for hold, count in held.items()),
    ]
    return [str(told["dataset"]), str(told["path"]), f"{told['rows']:,}", "\n".join(happens)]
