"""`pydp decrypt`: a dataset with encrypted columns in, the same dataset in clear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.whole_file import WholeFile, run_whole_file_decrypt
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.policy.model import Policy

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLE = """\b
Example:
  pydp decrypt out.csv -o clear.csv --keyring pydp.keyring --key-file ../secrets/pydp.key
  pydp decrypt out.csv -o clear.csv --columns email --keyring pydp.keyring --key-file ../secrets/pydp.key
  pydp decrypt --whole-file notes.pydp -o notes.yml --keyring pydp.keyring --key-file ../secrets/pydp.key
"""

ON_ERROR = ("stop", "keep", "null")


@app.command(epilog=EXAMPLE)
@with_access
def decrypt(
    inputs: opt.Inputs = None,
    *,
    access: Access,
    output: opt.Output = None,
    dataset: opt.Dataset = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="COLUMN=…", help="What --set was for `encrypt`, where neither policy nor file can tell."
        ),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--columns", metavar="NAMES", help="Only these columns, separated by commas.")
    ] = None,
    on_error: Annotated[
        str,
        typer.Option(
            "--on-error", metavar="HOW", help="What becomes of a cell that fails: stop, keep or null. Counted."
        ),
    ] = "stop",
    key_version: Annotated[
        str | None,
        typer.Option(
            "--key-version", metavar="ID", help="The key version of tokens and fpe values whose file does not tell it."
        ),
    ] = None,
    subject_keys: Annotated[
        Path | None,
        typer.Option(
            "--subject-keys", metavar="FILE", help="The store of people's own keys, where no policy tells it."
        ),
    ] = None,
    whole_file: opt.WholeFile = False,
    parquet_modular: opt.ParquetModular = False,
    file_format: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="With --whole-file: pydp, age, or fernet (keys by --identity)."
        ),
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
    """Decrypt the encrypted columns of a dataset, each cell with the key that it names.

    Parquet files say which columns are encrypted; in CSV the cells say it, and the policy tells their types. A cell
    that was altered, moved or made for another dataset ends the run with exit 3 and no output. With --keyring, and
    neither -p nor --dataset, no policy is looked for.
    """
    if whole_file and parquet_modular:
        raise UsageError("--whole-file and --parquet-modular exclude each other")
    if whole_file or parquet_modular:
        run_whole_file_decrypt(
            WholeFile(
                inputs=tuple(inputs or ()),
                output=output,
                identities=tuple(access.identities or ()),
                format=file_format,
                parquet_modular=parquet_modular,
                name=name,
                context=context,
                force=force,
                quiet=quiet,
                keyring=access.keyring,
                policy=access.policy,
                passphrase_file=access.passphrase_file,
                unlock=(access if file_format == "pydp" else replace(access, identities=None)).unlock(),
            ),
            others={
                "--set": settings,
                "--columns": columns,
                "--on-error": on_error != "stop",
                "--key-version": key_version,
                "--subject-keys": subject_keys,
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
    if file_format != "pydp" or name is not None or context is not None:
        raise UsageError("--format, --name and --context go with --whole-file")
    load_arrow()
    from typing import cast

    from pydp_cli.cli.keys.group import key_id_from
    from pydp_cli.cli.transformation import Showing, run_transformation
    from pydp_cli.pipeline.compilation import Decryption
    from pydp_cli.pipeline.transform_files import Request
    from pydp_cli.transforms.cells import OnError

    if on_error not in ON_ERROR:
        raise UsageError(f"--on-error is one of: {', '.join(ON_ERROR)}")
    loaded, adhoc = _policy(access.policy, dataset, settings, access.keyring, inputs)
    names = [name for some in columns or () for name in some.split(",")]
    run_transformation(
        Request(
            command="decrypt",
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
            decryption=Decryption(
                columns=frozenset(names) if names else None,
                on_error=cast("OnError", on_error),
                adhoc=adhoc,
                version=None if key_version is None else key_id_from(key_version),
                subject_keys=_existing(subject_keys),
            ),
        ),
        access.keyring,
        access.unlock(),
        Showing(dry_run=dry_run, reveal=reveal, report=report, json=json, quiet=quiet, verbose=verbose),
    )


def _existing(store: Path | None) -> Path | None:
    if store is not None and not store.is_file():
        raise UsageError("there is no such file", place=str(store))
    return store


def _policy(
    policy: Path | None, dataset: str | None, settings: list[str] | None, keyring: Path | None, inputs: list[str] | None
) -> tuple[Policy, bool]:
    """Give the policy, and whether it is none but what --set says."""
    from pydp_cli.policy.settings import policy_from_settings

    named = policy is not None or dataset is not None
    if settings and named:
        raise UsageError(
            "--set stands for a policy of its own", hint="write it into the policy, or leave out -p and --dataset"
        )
    if settings or (keyring is not None and not named and inputs):
        return policy_from_settings(settings or [], paths=inputs or ["-"], purpose="encrypt"), True
    return opt.find_and_load_policy(policy), False
