"""`pydp keys subjects`: the store of people's own keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.cli.keys.group import subcommand, tell


@subcommand(
    "subjects",
    "pydp keys subjects --key-file ../secrets/pydp.key",
    "pydp keys subjects --backup /media/safe/subject-keys.db --key-file ../secrets/pydp.key",
    "pydp keys subjects --new-epoch --key-file ../secrets/pydp.key",
)
def subjects(
    *,
    access: Access,
    store: Annotated[
        Path | None, typer.Option("--store", metavar="FILE", help="The store, where no policy names one.")
    ] = None,
    backup: Annotated[
        Path | None, typer.Option("--backup", metavar="FILE", help="Copy the store; never over another file.")
    ] = None,
    new_epoch: Annotated[
        bool, typer.Option("--new-epoch", help="Wrap all keys anew, so that no older copy of the store opens any more.")
    ] = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Show the store of people's own keys, after checking that every one of them opens.

    Erasing a person begins a new epoch, with which copies of the store from before become useless: make a new backup
    after every erasure, and keep it apart from the keyring's.
    """
    from pydp_cli.cli.render import note, print_json
    from pydp_cli.keys.subject_keys import begin_epoch, check_store
    from pydp_cli.keys.subject_store import back_up, open_store

    path = store or opt.find_and_load_policy(access.policy).subject_keys_path
    ring = access.open()
    if new_epoch:
        ring, done = begin_epoch(path, ring)
        message = f"a new epoch: {done.kept:,} keys wrapped anew, and no copy of the store from before opens any more"
        tell(ring, message, json=json, quiet=quiet, people=done.kept, epochs_destroyed=done.epochs_destroyed)
    found = check_store(path, ring)
    if backup is not None:
        with open_store(path) as connection:
            back_up(connection, backup)
        message = f"copied the keys of {found.people:,} people to {backup}"
        tell(ring, message, json=json, quiet=quiet, people=found.people, backup=str(backup))
    if new_epoch or backup is not None:
        return
    epoch = ring.find(found.epoch)
    told = {"people": found.people, "destroyed": found.gone, "epoch": epoch.version, "since": epoch.created}
    if json:
        print_json({"store": str(path), "id": found.id.hex(), **told})
    elif not quiet:
        note(f"{path}: {found.people:,} people have a key, and {found.gone:,} keys were destroyed")
        note(f"all of them open; the epoch is number {epoch.version}, since {epoch.created[:10]}")
