"""What `anonymize`, `encrypt` and `decrypt` share: run or sample the request, and show what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import typer

from pydp_cli.cli.options import seen_folder
from pydp_cli.cli.progress import progress_line
from pydp_cli.cli.render import note, print_grid, print_json, warn
from pydp_cli.datasets.publish import staged
from pydp_cli.datasets.signals import Terminated, terminate_as_exception
from pydp_cli.errors import KeyringError, OutputError, UsageError
from pydp_cli.keys.keyring import Keyring, open_keyring
from pydp_cli.pipeline.report import RunReport, warnings_of
from pydp_cli.pipeline.survey import sample_files
from pydp_cli.pipeline.transform_files import Request, Sample, transform_files
from pydp_cli.wording import counted

if TYPE_CHECKING:
    from pydp_cli.keys.unlock import Unlock
    from pydp_cli.policy.model import Policy


@dataclass(frozen=True)
class Showing:
    """How the result is shown, and where its report goes."""

    dry_run: bool = False
    reveal: bool = False
    report: Path | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False


def run_transformation(request: Request, keyring: Path | None, unlock: Unlock, showing: Showing) -> None:
    """Run a request, or with `dry_run` show a sample of it."""
    if showing.json and request.output in {None, "-"} and not request.in_place and not showing.dry_run:
        raise UsageError("--json would mix with the data on stdout", hint="write the data to a file with -o")

    @cache
    def unlocked() -> Keyring:
        return open_keyring(keyring_path(request.policy, keyring), unlock, seen=seen_folder())

    if showing.dry_run:
        _show_samples(sample_files(request, unlocked), showing)
        return
    request = replace(request, measure=showing.report is not None or showing.json)
    try:
        with terminate_as_exception(), progress_line(showing.quiet) as progress:
            report = transform_files(request, unlocked, progress)
    except Terminated as ending:
        raise typer.Exit(128 + ending.signum) from ending
    _log(request, report, unlocked() if unlocked.cache_info().currsize else None)
    for message, hint in warnings_of(report):
        warn(message, hint)
    if showing.report is not None:
        _write_report(report, showing.report)
    if showing.json:
        print_json(report.as_json())
    elif not showing.quiet:
        _summarise(report, verbose=showing.verbose)


def _log(request: Request, report: RunReport, keyring: Keyring | None) -> None:
    """Note in the audit log what was done by a policy's file; that it cannot be noted undoes nothing."""
    if request.policy.place_of("version") is None:
        return
    from pydp_cli.cli.rights import record

    dropped = sum((file.counts.dropped for file in report.files), Counter[str]())
    details = {
        "datasets": sorted({file.pipeline.dataset for file in report.files}),
        "files": len(report.files),
        "rows_in": report.rows_in,
        "rows_out": report.rows_out,
        "rows_dropped": dict(sorted(dropped.items())),
    }
    try:
        record(request.policy, f"{request.command}.done", details, keyring)
    except OutputError as error:
        warn(f"this run is not in the audit log: {error}")


def keyring_path(policy: Policy | None, named: Path | None) -> Path:
    """Give the keyring's path: what the command line names, else the policy."""
    if named is not None:
        return named
    if policy is not None and policy.keyring is not None:
        return policy.base_dir / policy.keyring
    raise KeyringError(
        "this treatment needs a key, and no keyring is named",
        hint="`pydp keys init --keyring FILE` makes one; name it with --keyring or `keyring:` in the policy",
    )


def _write_report(report: RunReport, path: Path) -> None:
    import json

    with staged(str(path), force=True) as stream:
        stream.write((json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n").encode())


def _summarise(report: RunReport, *, verbose: bool) -> None:
    for file in report.files if verbose else ():
        counts, keys = file.counts, {use.key_id for plan in file.pipeline.plans for use in plan.keys}
        under = f", keys {', '.join(sorted(keys))}" if keys else ""
        rows = f"{counted(counts.rows_in, 'row')} in, {counts.rows_out:,} out"
        note(f"{file.input} → {file.output}: dataset {file.pipeline.dataset}, {rows}{under}")
    rows = f"{counted(report.rows_in, 'row')} in, {report.rows_out:,} out"
    aside = f", {report.rejected_rows:,} malformed set aside" if report.rejected_rows else ""
    reasons = sum((file.counts.dropped for file in report.files), Counter[str]())
    aside += "".join(f", {count:,} left out ({reason})" for reason, count in sorted(reasons.items()) if count)
    files = f"{len(report.files)} files, " if len(report.files) > 1 else ""
    failed = f", {counted(report.failed_cells, 'cell')} failed" if report.failed_cells else ""
    note(f"{files}{rows}{aside}{failed}, {report.seconds:.1f} s")


def _show_samples(samples: list[Sample], showing: Showing) -> None:
    if showing.json:
        columns = {sample.name: _columns(sample, reveal=showing.reveal) for sample in samples}
        print_json({name: [vars(shown) for shown in told] for name, told in columns.items()})
        return
    for sample in samples:
        shown = _columns(sample, reveal=showing.reveal)
        rows = [(one.column, "\n".join(one.before), "\n".join(one.after or ["(dropped)"])) for one in shown]
        print_grid(sample.name, ("column", "before", "after"), rows)


@dataclass(frozen=True)
class ShownColumn:
    """A few values of one column before and after; `after` is None where it is dropped."""

    column: str
    before: list[str]
    after: list[str] | None


def _columns(sample: Sample, *, reveal: bool) -> Iterator[ShownColumn]:
    """Show each column; unless revealed, every value of the input by its shape, also where it comes out unchanged."""
    for plan in sample.pipeline.plans:
        before = _texts(sample.before.column(plan.made_from or plan.name))
        hidden = set() if reveal else set(before)
        after = None if plan.output is None else _texts(sample.after.column(plan.name))
        yield ShownColumn(
            plan.name,
            [masked(text) if text in hidden else text for text in before],
            None if after is None else [masked(text) if text in hidden else text for text in after],
        )


def _texts(column: pa.Array) -> list[str]:
    return ["(null)" if value is None else str(value) for value in column.to_pylist()]


def masked(text: str) -> str:
    """Show the shape of a value: letters as x or X, digits as 9, the rest as it is."""
    if text == "(null)":
        return text
    return "".join(
        "9" if character.isdigit() else "X" if character.isupper() else "x" if character.isalpha() else character
        for character in text
    )
