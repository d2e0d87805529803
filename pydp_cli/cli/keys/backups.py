"""`pydp keys backup` and `verify-backup`: a copy of the keyring, and the proof that it opens today's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.cli.keys.group import subcommand, tell


@subcommand("backup", "pydp keys backup /media/safe/pydp.keyring --key-file ../secrets/pydp.key")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; never over another file.")],
    *,
    access: Access,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Copy the keyring, and read the copy back. What unlocks the keyring unlocks the copy.

    Keep the copy where the data is not, and keep a copy of what unlocks it somewhere else again.
    """
    from pydp_cli.keys.backup import backup_keyring

    ring = access.open()
    backup_keyring(ring, target)
    tell(
        ring,
        f"copied generation {ring.generation:,} of the keyring to {target}",
        json=json,
        quiet=quiet,
        backup=str(target),
    )


@subcommand("verify-backup", "pydp keys verify-backup /media/safe/pydp.keyring --key-file ../secrets/pydp.key")
def verify(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The copy.")],
    *,
    access: Access,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Prove that a backup opens today's data.

    It is not restored. Ends with 3 where it lacks a key, is of another generation, or has a key that was destroyed.
    """
    from pydp_cli.keys.backup import usable, verify_backup
    from pydp_cli.keys.keyring import open_keyring

    unlock = access.unlock()
    ring = open_keyring(access.path(), unlock, seen=opt.seen_folder())
    verify_backup(ring, target, unlock)
    keys = len(usable(ring))
    tell(
        ring,
        f"the backup opens all {keys} keys, generation {ring.generation:,}",
        json=json,
        quiet=quiet,
        backup=str(target),
        keys=keys,
    )
