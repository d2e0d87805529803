"""`pydp keys usage`: what is still under each version of each key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.keys.group import subcommand

if TYPE_CHECKING:
    from pydp_cli.policy.model import Policy
    from pydp_cli.rotation.usage import Usage


@subcommand(
    "usage",
    "pydp keys usage -p fixtures/pydp.yml --key-file ../secrets/pydp.key",
    "pydp keys usage fixtures/data --keyring pydp.keyring --key-file ../secrets/pydp.key",
)
def usage(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Files and folders. Default: every dataset of the policy."),
    ] = None,
    *,
    access: Access,
    json: opt.Json = False,
) -> None:
    """Count what is under each version of each key.

    Files, columns and cells, by what each cell says of its key; nothing is decrypted. Ends with 3 where a file could
    not be looked through. What pseudonyms, tokens and whole files need does not show in cells.
    """
    load_arrow()
    from pydp_cli.cli.render import print_json, print_table
    from pydp_cli.rotation.usage import usage as count

    ring = access.open()
    used = count(ring, paths=paths or [], policy=None if paths else _policy(access))
    if json:
        print_json(used.as_json())
    else:
        print_table([key.as_json() for key in used.keys])
        _warn(used)
    if used.unreadable:
        raise typer.Exit(3)


def _policy(access: Access) -> Policy:
    return opt.find_and_load_policy(access.policy)


def _warn(used: Usage) -> None:
    """Tell what the table does not."""
    from pydp_cli.cli.render import warn

    for key_id, cells in used.unknown.items():
        warn(f"{cells:,} cells are under key {key_id}, which the keyring does not have")
    for place, reason in used.unreadable:
        warn(f"{Path(place)}: could not be looked through: {reason}")
    for column in used.unscannable:
        warn(f"{column}: its values do not tell which key they are under")
