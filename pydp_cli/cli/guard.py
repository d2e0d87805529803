"""`pydp guard`: data in, the same data out without the rows of people who were erased before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.policy.model import Policy

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="""\b
Example:
  pydp guard import.csv --dataset customers -o clean.csv --key-file pydp.key
  pg_restore backup | pydp guard - --dataset orders --input-format csv --key-file pydp.key | psql …
  pydp guard --dataset customers --refuse -o /dev/null --force --key-file pydp.key
  pydp guard --readmit customer_id=001822 --key-file pydp.key
"""
)
@with_access
def guard(
    inputs: opt.Inputs = None,
    *,
    access: Access,
    output: opt.Output = None,
    dataset: opt.Dataset = None,
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Write nothing where somebody was erased before (exit code 3).")
    ] = False,
    readmit: Annotated[
        list[str] | None,
        typer.Option("--readmit", metavar="ID=VALUE", help="Take a person off the list: a customer again."),
    ] = None,
    input_format: opt.InputFormat = None,
    output_format: opt.OutputFormat = None,
    force: opt.Force = False,
    report: opt.Report = None,
    json: opt.Json = False,
    bad_rows: opt.BadRows = None,
    workers: opt.Workers = None,
    verbose: opt.Verbose = False,
    quiet: opt.Quiet = False,
) -> None:
    """Leave out the rows of people who were erased before, and come back by a restore or a new import.

    `erase-user` keeps a list of keyed hashes of whom it erased. Rows with one of these identifiers are left out and
    counted; everything else stays as it is. Columns about other people do not count. To erase people again from the
    datasets themselves, use `pydp erase-user --reapply`.
    """
    load_arrow()
    policy = opt.find_and_load_policy(access.policy)
    if readmit:
        if inputs or output is not None:
            raise UsageError("--readmit goes without data")
        _readmit(policy, access, readmit, quiet=quiet)
        return
    from pydp_cli.cli.transformation import Showing, run_transformation
    from pydp_cli.pipeline.transform_files import Request
    from pydp_cli.subjects.guard import Guard

    run_transformation(
        Request(
            command="guard",
            refine=Guard(policy, asked="refuse" if refuse else "drop"),
            policy=policy,
            inputs=tuple(inputs or ()),
            output=output,
            dataset=dataset,
            input_format=input_format,
            output_format=output_format,
            force=force,
            bad_rows=bad_rows,
            workers=opt.workers_or_cores(workers),
        ),
        access.keyring,
        access.unlock(),
        Showing(report=report, json=json, quiet=quiet, verbose=verbose),
    )


def _readmit(policy: Policy, access: Access, named: list[str], *, quiet: bool) -> None:
    """Take a person off the list, and note that it was done."""
    from pydp_cli.cli import rights
    from pydp_cli.cli.render import note
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.subjects.catalogue import catalogue_of
    from pydp_cli.subjects.erase import known_of
    from pydp_cli.subjects.suppression import every_spelling, readmit

    keyring = rights.required_keyring(policy, access, "the list of erased people")
    catalogue = catalogue_of(policy)
    people = [every_spelling(catalogue, keyring, [known_of(rights.subjects_of(catalogue, named, None))])]
    signer = rights.signer_if_any(keyring)
    count = readmit(policy.state_dir, keyring, people, clock=utc_now, signer=signer)
    rights.record(policy, "guard.readmitted", {"identifiers": count}, keyring)
    if not quiet:
        note(f"{count:,} identifiers and pseudonyms taken off the list of erased people")
