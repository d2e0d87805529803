"""`pydp anonymize`: a dataset in, the same dataset transformed as the policy says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from pydp_cli.dp.local import LocalDebits
    from pydp_cli.policy.model import ColumnPolicy, Policy
    from pydp_cli.subjects.guard import Refine

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLE = """\b
Example:
  pydp anonymize -p fixtures/pydp.yml --dataset orders -o orders.csv --key-file ../secrets/pydp.key
  pydp anonymize -p fixtures/pydp.yml --dataset orders --purpose service -o out.csv --key-file ../secrets/pydp.key
  pydp anonymize people.csv -o out.csv --set email=email --set phone=mask:keep_last=4 --keep id
"""


@app.command(epilog=EXAMPLE)
@with_access
def anonymize(
    inputs: opt.Inputs = None,
    *,
    access: Access,
    output: opt.Output = None,
    dataset: opt.Dataset = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="COLUMN=…", help="COLUMN=TRANSFORM[:OPTION=VALUE,…] without a policy, as in zip=prefix:3."
        ),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="NAMES", help="Columns to drop, separated by commas.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="NAMES", help="Columns to keep, separated by commas.")
    ] = None,
    other_columns: Annotated[
        str | None,
        typer.Option("--other-columns", metavar="HOW", help="What happens to unnamed columns: error, keep or drop."),
    ] = None,
    print_policy: Annotated[
        bool, typer.Option("--print-policy", help="Print the policy that --set, --drop and --keep stand for, and end.")
    ] = False,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--purpose",
            metavar="NAME",
            help="What the output is for: other columns, and rows without consent, are left out.",
        ),
    ] = None,
    input_format: opt.InputFormat = None,
    output_format: opt.OutputFormat = None,
    in_place: opt.InPlace = False,
    force: opt.Force = False,
    dry_run: opt.DryRun = False,
    reveal: opt.Reveal = False,
    report: opt.Report = None,
    json: opt.Json = False,
    bad_rows: opt.BadRows = None,
    workers: opt.Workers = None,
    as_of: opt.AsOf = None,
    verbose: opt.Verbose = False,
    quiet: opt.Quiet = False,
) -> None:
    """Transform a dataset, column by column, as the policy (or --set) says.

    Every column must be named: one that is not stops the run. The output appears complete or not at all.
    """
    load_arrow()
    from pydp_cli.cli.transformation import Showing, run_transformation
    from pydp_cli.pipeline.transform_files import Request
    from pydp_cli.policy.settings import policy_from_settings, policy_to_yaml

    adhoc = [*(settings or ()), *(drop or ()), *(keep or ())]
    if adhoc and (access.policy is not None or dataset is not None):
        raise UsageError(
            "--set, --drop and --keep stand for a policy of their own",
            hint="write them into the policy, or leave out -p and --dataset",
        )
    if adhoc:
        loaded = policy_from_settings(
            settings or [], drop=_names(drop), keep=_names(keep), other_columns=other_columns, paths=inputs or ["-"]
        )
        if print_policy:
            typer.echo(policy_to_yaml(loaded), nl=False)
            return
        _refuse_held(inputs or [], input_format, in_place=in_place)
    elif print_policy:
        raise UsageError("--print-policy goes with --set, --drop or --keep")
    else:
        loaded = opt.find_and_load_policy(access.policy)
        if other_columns is not None:
            loaded = loaded.with_other_columns(dataset, other_columns)
    if purpose is not None and adhoc:
        raise UsageError("--purpose needs a policy that says what is allowed", hint="name one with -p")
    from pydp_cli.cli.rights import moment_of
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.guard import Guard, Refined, UnlessHeld
    from pydp_cli.subjects.purpose import ForPurpose

    steps: list[Refine] = [] if purpose is None else [ForPurpose(loaded, purpose, moment_of(as_of))]
    if in_place:
        steps.insert(0, UnlessHeld(loaded, utc_now().date()))
    refine = None if adhoc else Refined((*steps, Guard(loaded, in_place=in_place)))
    debits = None if adhoc else _debits(loaded, opt.day_of(as_of))
    run_transformation(
        Request(
            command="anonymize",
            refine=refine,
            before_rows=None if debits is None else debits.reserve,
            policy=loaded,
            inputs=tuple(inputs or ()),
            output=output,
            dataset=dataset,
            input_format=input_format,
            output_format=output_format,
            in_place=in_place,
            force=force,
            bad_rows=bad_rows,
            workers=opt.workers_or_cores(workers),
            as_of=opt.day_of(as_of),
        ),
        access.keyring,
        access.unlock(),
        Showing(dry_run=dry_run, reveal=reveal, report=report, json=json, quiet=quiet, verbose=verbose),
    )
    if debits is not None and not dry_run:
        _commit(debits, quiet=quiet)
    elif adhoc and not quiet:
        _tell_local(loaded)


def _refuse_held(inputs: list[str], input_format: str | None, *, in_place: bool) -> None:
    """Refuse to replace files that the policy of this folder claims, while a row of theirs may be held."""
    from pydp_cli.datasets.locations import find_inputs
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.policy.loader import find_policy, load_policy
    from pydp_cli.subjects.catalogue import catalogue_of
    from pydp_cli.subjects.holds import refuse_replacing

    found = find_policy(Path.cwd()) if in_place else None
    if found is None:
        return
    catalogue = catalogue_of(load_policy(found))
    replaced = {Path(file.path).resolve() for file in find_inputs(inputs, input_format=input_format)}
    for name in catalogue.policy.datasets:
        if any(Path(file.path).resolve() in replaced for file in catalogue.files(name)):
            refuse_replacing(catalogue.policy, name, utc_now().date())


def _debits(policy: Policy, today: date) -> LocalDebits | None:
    """Give what debits the columns that are differentially private by themselves; None where there are none."""
    if not any(_is_private(column) for dataset in policy.datasets.values() for column in dataset.columns.values()):
        return None
    from pydp_cli.cli.dp_stats import open_ledger_of
    from pydp_cli.dp.local import LocalDebits

    return LocalDebits(policy, lambda: open_ledger_of(policy), today)


def _is_private(column: ColumnPolicy) -> bool:
    return any(step.options.privacy_loss() is not None for step in column.anonymize or ())


def _commit(debits: LocalDebits, *, quiet: bool) -> None:
    """Note in the ledger and in the audit log what was published, and name its epsilon."""
    from pydp_cli.cli.render import note
    from pydp_cli.cli.rights import record

    try:
        identity = debits.commit()
    finally:
        debits.close()
    for name, losses in debits.made.items():
        epsilon = sum(one.epsilon for one in losses)
        told = {"dataset": name, "columns": [one.column for one in losses], "epsilon": float(epsilon), **identity}
        record(debits.policy, "budget.debited", told, None)
        if not quiet:
            columns = ", ".join(f"{one.column} {float(one.epsilon):g}" for one in losses)
            note(f"{name}: epsilon {float(epsilon):g} for each person was debited ({columns}); see `pydp budget show`")


def _tell_local(policy: Policy) -> None:
    """Name the epsilon of a run without a policy's file, which nothing is debited from."""
    from pydp_cli.cli.render import note

    for dataset in policy.datasets.values():
        for name, column in dataset.columns.items():
            for step in column.anonymize or ():
                loss = step.options.privacy_loss()
                if loss is not None:
                    note(f"{name}: epsilon {float(loss):g} for each person; without a policy nothing keeps count")


def _names(lists: list[str] | None) -> list[str]:
    return [name for names in lists or () for name in names.split(",")]
