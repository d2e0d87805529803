"""`pydp encrypt`: a dataset in, the same dataset with encrypted columns."""

from __future__ import annotations

from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.whole_file import WholeFile, run_whole_file_encrypt
from pydp_cli.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLE = """\b
Example:
  pydp keys init --keyring pydp.keyring --key-file ../secrets/pydp.key
  pydp encrypt fixtures/data/orders.csv -o out.csv --set email=random \\
      --keyring pydp.keyring --key-file ../secrets/pydp.key
  pydp encrypt --whole-file fixtures/pydp.yml -o notes.pydp --keyring pydp.keyring --key-file ../secrets/pydp.key
"""


@app.command(epilog=EXAMPLE)
@with_access
def encrypt(
    inputs: opt.Inputs = None,
    *,
    access: Access,
    output: opt.Output = None,
    dataset: opt.Dataset = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="COLUMN=…", help="COLUMN=random|deterministic|fpe[:OPTION=VALUE,…] without a policy."
        ),
    ] = None,
    print_policy: Annotated[
        bool, typer.Option("--print-policy", help="Print the policy that --set stands for, and end.")
    ] = False,
    whole_file: opt.WholeFile = False,
    parquet_modular: opt.ParquetModular = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="With --parquet-modular: only these, under keys of their own. Default: all.",
        ),
    ] = None,
    recipient: Annotated[
        list[str] | None,
        typer.Option(
            "--recipient", metavar="AGE1…|FILE", help="With --whole-file: a recipient's text or file; may be repeated."
        ),
    ] = None,
    file_format: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="With --whole-file: pydp, or age for other people's tools."),
    ] = "pydp",
    name: opt.Name = None,
    context: opt.Context = None,
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
    verbose: opt.Verbose = False,
    quiet: opt.Quiet = False,
) -> None:
    """Encrypt columns as the policy (or --set) says.

    Every cell names the key that it is under and belongs to its dataset and column; `pydp decrypt` brings it back.
    `random` (the default of `encrypt: true`) tells nothing but lengths; `deterministic` tells which values are equal;
    `fpe` keeps the format. Other columns stay as they are. The output appears complete or not at all.
    """
    if whole_file and (parquet_modular or columns):
        raise UsageError("--whole-file does not go with --parquet-modular or --columns")
    if whole_file or parquet_modular:
        run_whole_file_encrypt(
            WholeFile(
                inputs=tuple(inputs or ()),
                output=output,
                recipients=tuple(recipient or ()),
                format=file_format,
                parquet_modular=parquet_modular,
                columns=tuple(name for some in columns or () for name in some.split(",")),
                name=name,
                context=context,
                force=force,
                quiet=quiet,
                keyring=access.keyring,
                policy=access.policy,
                passphrase_file=access.passphrase_file,
                unlock=access.unlock(),
            ),
            others={
                "--set": settings,
                "--print-policy": print_policy,
                "--dataset": dataset,
                "--input-format": input_format,
                "--output-format": output_format,
                "--in-place": in_place,
                "--dry-run": dry_run,
                "--reveal": reveal,
                "--report": report,
                "--json": json,
                "--bad-rows": bad_rows,
                "--workers": workers,
            },
        )
        return
    if columns:
        raise UsageError(
            "--columns goes with --parquet-modular", hint="--set or the policy says which cells to encrypt"
        )
    if recipient or file_format != "pydp" or name is not None or context is not None:
        raise UsageError("--recipient, --format, --name and --context go with --whole-file")
    load_arrow()
    from pydp_cli.cli.transformation import Showing, run_transformation
    from pydp_cli.pipeline.transform_files import Request
    from pydp_cli.policy.settings import policy_from_settings, policy_to_yaml

    if settings and (access.policy is not None or dataset is not None):
        raise UsageError(
            "--set stands for a policy of its own", hint="write it into the policy, or leave out -p and --dataset"
        )
    if settings:
        loaded = policy_from_settings(settings, paths=inputs or ["-"], purpose="encrypt")
        if print_policy:
            typer.echo(policy_to_yaml(loaded), nl=False)
            return
    elif print_policy:
        raise UsageError("--print-policy goes with --set")
    else:
        loaded = opt.find_and_load_policy(access.policy)
    from pydp_cli.subjects.guard import Guard

    run_transformation(
        Request(
            command="encrypt",
            refine=None if settings else Guard(loaded, by_default=False, in_place=in_place),
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
        ),
        access.keyring,
        access.unlock(),
        Showing(dry_run=dry_run, reveal=reveal, report=report, json=json, quiet=quiet, verbose=verbose),
    )
