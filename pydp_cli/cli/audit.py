"""`pydp audit`: verify, search, prove and look after the tamper-evident log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.errors import InputError, Refused, UsageError

if TYPE_CHECKING:
    from pydp_cli.audit.lines import Entry

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Verify, search and prove the audit log: what every command did, in a form that shows tampering.",
)

Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="NAME", help="Only events of this name, or that begin with it: erase-user."),
]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only entries from this time on.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only entries before this time.")]


@app.command(
    epilog="""\b
Example:
  pydp audit verify -p fixtures/pydp.yml
  pydp audit verify --key-file pydp.key --against /mnt/elsewhere/checkpoint.txt
"""
)
@with_access
def verify(
    *,
    access: Access,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against", metavar="FILE", help="A checkpoint kept elsewhere, to notice an end that was cut off."
        ),
    ] = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Check every line, seal and signature of the log.

    Tells altered, missing, re-ordered and cut-off lines apart, and ends with 3 where anything is wrong. With the
    keyring unlocked, signatures count only if they are by its keys. Without, the keys beside the log are believed.
    """
    from pydp_cli.audit.verify import verify as verify_log
    from pydp_cli.cli.render import note, print_json, warn

    policy = opt.find_and_load_policy(access.policy)
    verdict = verify_log(policy.state_dir, public_keys=_trusted_keys(access), against=against or ())
    if json:
        findings = [vars(finding) for finding in verdict.findings]
        print_json({**vars(verdict), "findings": findings, "sound": verdict.sound})
    else:
        for finding in verdict.findings:
            print(f"{finding.kind}: {finding.place}: {finding.message}")
        for warning in [] if quiet else verdict.warnings:
            warn(warning)
    if not verdict.sound:
        raise Refused("the audit log was tampered with", place=str(policy.state_dir / "audit"))
    if not json and not quiet:
        dropped = f", {verdict.dropped_segments} segments dropped with their seals kept" * bool(
            verdict.dropped_segments
        )
        note(f"{verdict.lines:,} lines are as they were written, {verdict.signed_lines:,} of them signed{dropped}")


@app.command(
    epilog="""\b
Example:
  pydp audit query -p fixtures/pydp.yml --event export-user --since 2026-11-01
"""
)
def query(
    *,
    policy: opt.PolicyFile = None,
    event: Events = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most entries; the newest of them.")] = 50,
    json: opt.Json = False,
) -> None:
    """Show entries of the log, the newest last."""
    from collections import deque

    from pydp_cli.cli.render import print_json, print_table

    found = deque(_entries(policy, event, since, until), maxlen=limit)
    if json:
        print_json([vars(entry) for entry in found])
        return
    print_table([_row(entry) for entry in found])


@app.command(
    epilog="""\b
Example:
  pydp audit export -p fixtures/pydp.yml --format csv > log.csv
"""
)
def export(
    *,
    policy: opt.PolicyFile = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="jsonl: the lines as they are; csv; or ocsf.")
    ] = "jsonl",
    event: Events = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write entries to stdout, for other programs.

    `ocsf` are events of the Open Cybersecurity Schema Framework (API Activity), one a line, as a SIEM takes them.
    """
    if format_ not in {"jsonl", "csv", "ocsf"}:
        raise UsageError("--format is one of: jsonl, csv, ocsf")
    if format_ == "jsonl":
        for entry in _entries(policy, event, since, until):
            print(entry.to_line().decode())
        return
    import csv
    import json as json_

    if format_ == "ocsf":
        from importlib.metadata import version

        from pydp_cli.audit.ocsf import ocsf_event

        for entry in _entries(policy, event, since, until):
            print(json_.dumps(ocsf_event(entry, version("pydp-cli")), sort_keys=True, ensure_ascii=False))
        return

    writer = csv.writer(sys.stdout)
    writer.writerow(["seq", "time", "event", "user", "host", "details"])
    for entry in _entries(policy, event, since, until):
        details = json_.dumps(dict(entry.details), sort_keys=True, ensure_ascii=False)
        writer.writerow([entry.seq, entry.time, entry.event, entry.user, entry.host, details])


@app.command(
    epilog="""\b
Example:
  pydp audit prove 17 > proof.txt
  pydp audit prove --check proof.txt --key-file pydp.key
"""
)
@with_access
def prove(
    seq: Annotated[int | None, typer.Argument(help="The number of the entry.", min=0)] = None,
    *,
    access: Access,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", help="Check a proof instead of making one.")
    ] = None,
    vkey: Annotated[
        list[str] | None,
        typer.Option("--vkey", metavar="KEY", help="A public key that is trusted, where there is no keyring."),
    ] = None,
) -> None:
    """Prove that an entry is in the log, to somebody who has only the public key.

    The proof is a C2SP tlog-proof: the entry, its path in the Merkle tree, and the signed checkpoint.
    """
    from pydp_cli.audit.prove import check_proof
    from pydp_cli.audit.prove import prove as make_proof
    from pydp_cli.cli.render import note

    if check is None:
        if seq is None:
            raise UsageError("say which entry is to be proven", hint="`pydp audit query` shows their numbers")
        print(make_proof(opt.find_and_load_policy(access.policy).state_dir, seq), end="")
        return
    from pydp_cli.audit.notes import read_verifier

    keys = [read_verifier(text).public for text in vkey or ()] or _trusted_keys(access)
    if keys is None:
        raise UsageError("a proof is checked with a key", hint="--vkey, or unlock the keyring with --key-file")
    try:
        text = check.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError("the proof cannot be read", place=str(check)) from None
    proven = check_proof(text, keys, str(check))
    note(f"entry {proven.entry.seq} is in log {proven.origin}, of {proven.size:,} lines")
    print(proven.entry.to_line().decode())


@app.command(
    epilog="""\b
Example:
  pydp audit anchor --key-file pydp.key > /mnt/elsewhere/checkpoint.txt
"""
)
@with_access
def anchor(
    *,
    access: Access,
    vkey: Annotated[bool, typer.Option("--vkey", help="Print the public key.")] = False,
) -> None:
    """Sign the log as it is now, and print the checkpoint, to be kept where the log's writers cannot change it.

    It is a C2SP tlog-checkpoint. `pydp audit verify --against` then notices a log that was cut off or made anew.
    """
    from pydp_cli.audit.notes import Verifier
    from pydp_cli.audit.segments import folder_of
    from pydp_cli.audit.signing import signer_of
    from pydp_cli.cli import rights

    policy = opt.find_and_load_policy(access.policy)
    keyring = rights.required_keyring(policy, access, "signing the log")
    rights.record(policy, "audit.anchor", {}, keyring)
    folder = folder_of(policy.state_dir)
    found = folder.checkpoint(folder.signed)
    assert found is not None
    if vkey:
        print(Verifier(found.checkpoint.origin, signer_of(keyring).public).to_text())
    else:
        print(found.raw, end="")


@app.command(
    epilog="""\b
Example:
  pydp audit drop --before 2023-01-01 --key-file pydp.key
"""
)
@with_access
def drop(
    *, access: Access, before: Annotated[str, typer.Option("--before", metavar="TIME", help="Older segments go.")]
) -> None:
    """Drop full segments of the log that are older than a time; their seals stay, and the rest still verifies."""
    from pydp_cli.audit.drop import drop_before
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import note
    from pydp_cli.keys.keyring import utc_now

    policy = opt.find_and_load_policy(access.policy)
    keyring = rights.keyring_if_any(policy, access)
    dropped = drop_before(
        policy.state_dir, opt.moment(before, "--before"), clock=utc_now, signer=rights.signer_if_any(keyring)
    )
    note(f"{len(dropped)} segments dropped")


def _trusted_keys(access: Access) -> list[bytes] | None:
    """Give the public keys of the keyring where the command line unlocks it."""
    if not access.brings_something():
        return None
    from pydp_cli.audit.signing import public_keys_of
    from pydp_cli.cli.rights import open_keyring_of

    policy = opt.find_and_load_policy(access.policy)
    if access.keyring is None and policy.keyring_path is None:
        raise UsageError("no keyring is named", hint="name one with --keyring, or with `keyring:` in the policy")
    return public_keys_of(open_keyring_of(policy, access))


def _entries(path: Path | None, events: list[str] | None, since: str | None, until: str | None) -> list[Entry]:
    from pydp_cli.audit.lines import stamp
    from pydp_cli.audit.verify import entries

    first = stamp(opt.moment(since, "--since")) if since else ""
    end = stamp(opt.moment(until, "--until")) if until else "~"
    names = tuple(events or ("",))
    return [
        entry
        for entry in entries(opt.find_and_load_policy(path).state_dir)
        if first <= entry.time < end and entry.event.startswith(names)
    ]


def _row(entry: Entry) -> dict[str, object]:
    short = {
        key: value for key, value in entry.details.items() if isinstance(value, (int, float, str)) and key != "policy"
    }
    told = ", ".join(f"{key} {value}" for key, value in sorted(short.items()))
    return {"seq": str(entry.seq), "time": entry.time[:19], "event": entry.event, "user": entry.user, "details": told}
