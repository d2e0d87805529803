"""`pydp lookup`: what a value looks like in an encrypted column or its blind index."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLE = """\b
Example:
  pydp lookup --dataset customers --column email --value - --key-file ../secrets/pydp.key
"""


@app.command(epilog=EXAMPLE)
@with_access
def lookup(
    *,
    access: Access,
    column: Annotated[str, typer.Option("--column", metavar="COLUMN", help="The encrypted column.")],
    value: Annotated[
        str | None, typer.Option("--value", metavar="-", help="- reads the value from stdin; without, it is asked for.")
    ] = None,
    dataset: opt.Dataset = None,
    json: opt.Json = False,
) -> None:
    """Print what to search an encrypted column for: its blind index, or its deterministic or format-preserving cells.

    One line for each version of the key that can be used, the newest first. Rows with the same blind index are
    candidates: decrypt them to know. The value is never taken from the command line, where others could read it.
    """
    load_arrow()
    from pydp_cli.cli.render import print_json
    from pydp_cli.pipeline.lookup import probes

    if value not in (None, "-"):
        raise UsageError(
            "a value on the command line can be read by everyone on this machine",
            hint="use --value - and give it on stdin, or leave --value out to be asked",
        )
    loaded = opt.find_and_load_policy(access.policy)
    if dataset is None and len(loaded.datasets) == 1:
        dataset = next(iter(loaded.datasets))
    if dataset is None or dataset not in loaded.datasets:
        raise UsageError("choose a dataset of the policy", hint=f"--dataset one of: {', '.join(loaded.datasets)}")
    sought = _asked() if value is None else _read()
    found = probes(loaded, dataset, column, sought, access.open())
    if json:
        print_json([vars(probe) for probe in found])
        return
    for probe in found:
        typer.echo(probe.text)


def _read() -> str:
    """Read the value from stdin, without the end of its line."""
    text = sys.stdin.read()
    return text.removesuffix("\n").removesuffix("\r")


def _asked() -> str:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the value on", hint="use --value - and give it on stdin")
    from getpass import getpass

    return getpass("Value: ")
