"""`pydp init`: a starter policy from the files' own schema, each column to be decided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.arrow import load_arrow

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="""\b
Example:
  pydp init fixtures/data/customers.parquet fixtures/data/orders.csv -o pydp.yml
"""
)
def init(
    files: Annotated[list[str], typer.Argument(metavar="FILES...", help="Files, globs or folders, one dataset each.")],
    *,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="PATH", help="Where the policy goes, or - for stdout.")
    ] = "-",
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write a starter policy: every column with its type, examples by their shape, and a suggestion or `decide`.

    `pydp policy check` tells what is left to decide. No value of the data gets into the policy.
    """
    load_arrow()
    from pydp_cli.cli.render import note
    from pydp_cli.datasets.publish import staged
    from pydp_cli.pipeline.survey import sample_for_starter
    from pydp_cli.policy.starter import starter_policy

    base = Path.cwd() if output == "-" else Path(output).resolve().parent
    text = starter_policy([sample_for_starter(path, base) for path in files])
    if output == "-":
        typer.echo(text, nl=False)
        return
    with staged(output, force=force, mode=0o644) as stream:
        stream.write(text.encode())
    if not quiet:
        undecided = text.count(": decide")
        note(f"wrote {output}: {undecided} columns to decide; then `pydp policy check -p {output}`")
