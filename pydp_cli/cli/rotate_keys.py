"""`pydp rotate-keys`: new keys for old, so that nothing is lost at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.errors import PydpError, UsageError

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.policy.model import Policy

app = typer.Typer(rich_markup_mode=None, add_completion=False)

MODES = ("rewrap-root", "rewrap-files", "reencrypt", "retire")
EXAMPLE = """\b
Example:
  pydp rotate-keys data --mode reencrypt --keyring pydp.keyring --key-file ../secrets/pydp.key
  pydp rotate-keys -p pydp.yml --key-file ../secrets/pydp.key    # what is due, for cron
"""


@dataclass(frozen=True)
class _Run:
    """What the command was asked for."""

    access: Access
    policy: Policy | None
    paths: tuple[str, ...]
    state_dir: Path
    key: str
    workers: int
    new_version: bool
    from_version: bytes | None
    dry_run: bool
    quiet: bool


def rotate_keys(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Files, globs or folders. Default: every dataset of the policy."),
    ] = None,
    *,
    access: Access,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="MODE", help=f"One of: {', '.join(MODES)}. Default: what is due.")
    ] = None,
    key: Annotated[
        str, typer.Option("--key", metavar="NAME", help="With --mode reencrypt: the key of the keyring.")
    ] = "cell",
    new_version: Annotated[
        bool, typer.Option("--new-version/--no-new-version", help="Whether to make a new version of the key first.")
    ] = True,
    from_version: Annotated[
        str | None,
        typer.Option("--from-version", metavar="ID", help="The key version of CSV columns that do not tell theirs."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Write what would be done to this file.")
    ] = None,
    apply: Annotated[Path | None, typer.Option("--apply", help="Do what a plan says, and nothing else.")] = None,
    abort: Annotated[bool, typer.Option("--abort", help="Undo what an interrupted run had not decided.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for another run to end.")] = 0,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Files at a time; of a large one, parts. Default: the cores."),
    ] = None,
    as_of: opt.AsOf = None,
    report: opt.Report = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Rotate keys: files are replaced whole, after what was written was decrypted and compared.

    `rewrap-root` wraps the keyring under a new root key: people and protectors change, no data is touched.
    `rewrap-files` wraps the keys of encrypted whole files anew; it does not help where old copies and the old key
    leaked. `reencrypt` makes a new version of the key and moves every cell to it. `retire` destroys old versions that
    a scan over every dataset shows to be unused. Without --mode, what the policy's `rotation:` says is due.

    A run that was interrupted is finished by running it again. A file that does not decrypt is left as it is and
    named, the others are done, and the run ends with exit 3.
    """
    from pydp_cli.cli.arrow import load_arrow

    load_arrow()
    if mode is not None and mode not in MODES:
        raise UsageError(f'there is no mode "{mode}"', hint=f"one of: {', '.join(MODES)}")
    loaded = opt.find_and_load_policy(access.policy) if access.policy is not None or access.keyring is None else None
    state_dir = loaded.state_dir if loaded is not None else access.path().resolve().parent / ".pydp"
    run = _Run(
        access,
        loaded,
        tuple(paths or ()),
        state_dir,
        key,
        opt.workers_or_cores(jobs),
        new_version,
        _key_id(from_version),
        dry_run,
        quiet,
    )
    with _told(report, json=json, quiet=quiet) as results, _locked(run, wait):
        if abort:
            results.extend(_abort(run))
            return
        if not (dry_run or plan):
            results.extend(_resume(run))
        ring = access.open()
        if apply is not None:
            mode, run = _planned(apply, run, ring)
        if plan is not None:
            results.append(_write_plan(plan, mode, run, ring))
            return
        for one, name in [(mode, key)] if mode is not None else _due(run, ring, as_of, results):
            ring = _rotate(one, name, run, ring, results)
        _record(run, ring, results)
        failure = _failure(results)
        if failure is not None:
            raise failure


app.command(epilog=EXAMPLE)(with_access(rotate_keys))


def _key_id(text: str | None) -> bytes | None:
    try:
        found = bytes.fromhex(text) if text is not None else None
    except ValueError:
        found = b""
    if found is not None and len(found) != 4:
        raise UsageError("not the id of a key version", place="--from-version", hint="`pydp keys list` shows them")
    return found


def _rotate(mode: str, key: str, run: _Run, ring: Keyring, results: list[dict[str, Any]]) -> Keyring:
    """Do one mode, and note what came of it."""
    from pydp_cli.cli.progress import progress_line
    from pydp_cli.rotation.reencrypt import Rotation, reencrypt
    from pydp_cli.rotation.retire import retire
    from pydp_cli.rotation.rewrap_files import rewrap_files

    if mode == "rewrap-root":
        if not run.dry_run:
            from pydp_cli.keys.changes import new_root

            ring = new_root(ring, [run.access.unlock()])
        results.append({"mode": mode, "protectors": len(ring.slots), "dry_run": run.dry_run})
        return ring
    if mode == "retire":
        if run.policy is not None and not run.dry_run:
            from pydp_cli.keys.keyring import utc_now
            from pydp_cli.subjects.holds import refuse_destruction

            refuse_destruction(run.policy, utc_now().date(), "retiring a key")
        ring, retired = retire(ring, policy=run.policy, paths=run.paths, dry_run=run.dry_run)
        results.append({"mode": mode, **retired.as_json()})
        return ring
    with progress_line(run.quiet) as progress:
        rotation = Rotation(
            run.state_dir, key, run.paths, run.policy, run.workers, run.new_version, run.from_version, progress
        )
        step = reencrypt if mode == "reencrypt" else rewrap_files
        ring, done = step(ring, rotation, dry_run=run.dry_run)
    results.append({"mode": mode, **done.as_json()})
    return ring


_TOLD: tuple[str, ...] = ("mode", "key", "old", "new", "cells", "destroyed", "command")


def _record(run: _Run, ring: Keyring, results: list[dict[str, Any]]) -> None:
    """Append what was done to the audit log: counts and key ids."""
    from pydp_cli.audit.log import append
    from pydp_cli.audit.signing import signer_of
    from pydp_cli.keys.keyring import utc_now

    for one in results:
        if run.dry_run or one["mode"] is None:
            continue
        told: dict[str, Any] = {name: one[name] for name in _TOLD if name in one}
        told |= {f"{name}_count": len(one[name]) for name in ("files", "quarantined") if name in one}
        append(run.state_dir, "rotate-keys.done", told, clock=utc_now, signer=signer_of(ring))


def _failure(results: list[dict[str, Any]]) -> PydpError | None:
    """Give the error that the run ends with where files were left as they are; all the rest is done then."""
    from pydp_cli.errors import Refused

    left = [one for result in results for one in result.get("quarantined", ())]
    if not left:
        return None
    others = f", and {len(left) - 1:,} more files" if len(left) > 1 else ""
    hint = "the rest is done; both keys stay usable"
    return Refused(f"left as it is: {left[0]['reason']}{others}", place=left[0]["file"], hint=hint)


def _due(run: _Run, ring: Keyring, as_of: str | None, results: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Give what the policy says is due; what no mode rotates is told."""
    from pydp_cli.rotation.due import due

    if run.policy is None:
        raise UsageError("say what to do with --mode, or name a policy with -p", hint=f"one of: {', '.join(MODES)}")
    now = datetime.now(timezone.utc) if as_of is None else opt.moment(as_of)
    for one in due(ring, run.policy, now):
        if one.mode is None or (one.mode == "rewrap-files" and not run.paths):
            results.append({"mode": None, "key": one.key, "due_since": one.since.isoformat()})
        else:
            yield one.mode, one.key


@contextmanager
def _locked(run: _Run, wait: float) -> Iterator[None]:
    from pydp_cli.datasets.signals import Terminated, terminate_as_exception
    from pydp_cli.rewrite.lock import run_lock

    if run.dry_run:
        yield
        return
    try:
        with terminate_as_exception(), run_lock(run.state_dir, "rotate-keys", wait_seconds=wait):
            yield
    except Terminated as ending:
        raise typer.Exit(128 + ending.signum) from ending


def _resume(run: _Run) -> list[dict[str, Any]]:
    from pydp_cli.rewrite.recovery import resume

    return [
        {"mode": "resume", "command": found.command, "replaced": len(outcome.replaced), "left": list(outcome.left)}
        for found, outcome in resume(run.state_dir)
    ]


def _abort(run: _Run) -> list[dict[str, Any]]:
    from pydp_cli.rewrite.recovery import abort

    return [{"mode": "abort", "command": found.command} for found in abort(run.state_dir)]


def _write_plan(path: Path, mode: str | None, run: _Run, ring: Keyring) -> dict[str, Any]:
    """Write the files that a re-encryption would change, as they are now."""
    import json
    from dataclasses import replace

    from pydp_cli.datasets.publish import staged

    if mode != "reencrypt":
        raise UsageError("--plan goes with --mode reencrypt")
    results: list[dict[str, Any]] = []
    _rotate(mode, run.key, replace(run, dry_run=True), ring, results)
    files = [{"path": name, **_stamp(name)} for name in results[0]["files"]]
    found = {"format": "pydp-rotation-plan-1", "mode": mode, "key": run.key, "keyring": ring.ring_id}
    with staged(str(path), force=True) as stream:
        stream.write((json.dumps({**found, "generation": ring.generation, "files": files}, indent=1) + "\n").encode())
    return {**results[0], "plan": str(path)}


def _planned(path: Path, run: _Run, ring: Keyring) -> tuple[str, _Run]:
    """Read a plan; raises `Refused` where the keyring or a file is not what it was planned for."""
    import json
    from dataclasses import replace

    from pydp_cli.errors import InputError, Refused

    try:
        plan = json.loads(path.read_bytes())
        files = [(str(one["path"]), {"size": one["size"], "mtime_ns": one["mtime_ns"]}) for one in plan["files"]]
        key, mode, ring_id, generation = plan["key"], plan["mode"], plan["keyring"], plan["generation"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("this is not a plan of `pydp rotate-keys --plan`", place=str(path)) from error
    if (ring_id, generation) != (ring.ring_id, ring.generation):
        raise Refused("the keyring is not the one that was planned with, or has changed", hint="make a new plan")
    for name, stamp in files:
        if _stamp(name) != stamp:
            raise Refused("has changed since it was planned", place=name, hint="make a new plan")
    if not files:
        raise UsageError("the plan names no file", place=str(path))
    return str(mode), replace(run, paths=tuple(name for name, _ in files), key=str(key))


def _stamp(name: str) -> dict[str, int]:
    try:
        status = Path(name).stat()
    except OSError:
        return {}
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


@contextmanager
def _told(report: Path | None, *, json: bool, quiet: bool) -> Iterator[list[dict[str, Any]]]:
    """Tell what was done, also where it ends with an error."""
    results: list[dict[str, Any]] = []
    failure: PydpError | None = None
    try:
        yield results
    except PydpError as error:
        failure = error
    if report is not None and (results or failure is None):
        _write_report(report, results)
    if json and (results or failure is None):
        from pydp_cli.cli.render import print_json

        print_json({"done": results})
    elif not quiet:
        _summarise(results, nothing=failure is None)
    if failure is not None:
        raise failure


def _write_report(path: Path, results: list[dict[str, Any]]) -> None:
    import json

    from pydp_cli.datasets.publish import staged

    with staged(str(path), force=True) as stream:
        stream.write((json.dumps({"done": results}, indent=2, ensure_ascii=False) + "\n").encode())


def _summarise(results: list[dict[str, Any]], *, nothing: bool) -> None:
    from pydp_cli.cli.render import note, warn

    for one in results:
        for left in one.get("quarantined", ()):
            warn(f"{left['file']}: left as it is: {left['reason']}", "")
        note(_line(one))
    if not results and nothing:
        note("nothing is due")


def _line(one: dict[str, Any]) -> str:
    """Say in a line what one step did."""
    would = "would " if one.get("dry_run") else ""
    match one["mode"]:
        case None:
            told = f'key "{one["key"]}" is due since {one["due_since"][:10]}; it is rotated only when asked'
        case "resume":
            told = f"finished an interrupted run of {one['command']}: {one['replaced']:,} files"
        case "abort":
            told = f"undid an interrupted run of {one['command']}"
        case "rewrap-root":
            told = f"{would}wrap every key under a new root key, for {one['protectors']} protectors"
        case "retire":
            kept = f"; {len(one['kept'])} kept: {one['kept'][0]['reason']}" if one["kept"] else ""
            told = f"{would}destroy {len(one['destroyed'])} unused key versions{kept}"
        case mode:
            cells = f"{one['cells']:,} cells in " if mode == "reencrypt" else ""
            size = f" ({one['size']:,} bytes)" if one["size"] else ""
            under = f" under key {one['new']}"
            if would:
                about = f", about {one['seconds']:,} s" if one.get("seconds") is not None else ""
                under = f"{about}; not to be undone: a new version of the key is made"
            told = f"{would}{mode}: {cells}{len(one['files']):,} files{size}{under}"
    return told
