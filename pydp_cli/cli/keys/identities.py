"""`pydp keys identity`: the key pair of a person or machine, to whose public half a keyring or a file is sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.keys.group import app

identity = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Make an identity file, show its recipient.",
)
app.add_typer(identity, name="identity")


@identity.command(
    epilog="""\b
Example:
  pydp keys identity new ../secrets/alice.identity > alice.pub
"""
)
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The identity file to make; it is secret.")],
    *,
    kind: Annotated[
        str,
        typer.Option(
            "--kind", metavar="KIND", help="mlkem768x25519 (also against quantum computers), or x25519 (short)."
        ),
    ] = "mlkem768x25519",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make an identity (0600, never over another file), and print its recipient, which is public."""
    from pydp_cli.cli.render import note
    from pydp_cli.keys.identities import create_identity_file

    recipient = create_identity_file(file, kind)
    _print(str(recipient), kind, json=json)
    if not quiet:
        note(f"made the identity {file}: keep it secret, and keep a copy; the line on stdout is for others")


@identity.command(
    epilog="""\b
Example:
  pydp keys identity show ../secrets/alice.identity > alice.pub
"""
)
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The identity file.")], *, json: opt.Json = False
) -> None:
    """Print the recipient of an identity."""
    from pydp_cli.keys.identities import read_identity_file

    found = read_identity_file(file)
    _print(str(found.recipient()), found.kind, json=json)


def _print(recipient: str, kind: str, *, json: bool) -> None:
    from pydp_cli.cli.render import print_json

    if json:
        print_json({"recipient": recipient, "kind": kind})
    else:
        typer.echo(recipient)
