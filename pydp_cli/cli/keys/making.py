"""`pydp keys init`: make a keyring and its first protector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.keys.group import subcommand, tell
from pydp_cli.cli.keys.new_protector import Kind, Label, NewProtector, Settings


@subcommand(
    "init",
    "pydp keys init --keyring pydp.keyring --key-file ../secrets/pydp.key",
    "pydp keys init recipient recipient=alice.pub --label Alice --keyring team.keyring",
    access=False,
)
def init(
    kind: Kind = None,
    settings: Settings = None,
    *,
    policy: opt.PolicyFile = None,
    keyring: opt.KeyringFile = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file", metavar="FILE", help="Make this key file too (or use it), as what unlocks the keyring."
        ),
    ] = None,
    passphrase_file: opt.PassphraseFile = None,
    passphrase_fd: Annotated[
        int | None,
        typer.Option("--passphrase-fd", min=0, metavar="N", help="An open file descriptor that gives the passphrase."),
    ] = None,
    label: Label = "",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make a keyring, and what unlocks it.

    That is a new key file, a passphrase, or a protector of another KIND. Where nothing is named, a passphrase is
    asked for on the terminal. More protectors are added by add-protector.
    """
    from pydp_cli.cli.render import note
    from pydp_cli.errors import OutputError
    from pydp_cli.keys.keyring import create_keyring

    path = opt.keyring_path(policy, keyring)
    if path.exists() or path.is_symlink():
        raise OutputError("the keyring exists already", place=str(path), hint="choose another name")
    new = NewProtector(kind, tuple(settings or ()), label, key_file, passphrase_file, passphrase_fd)
    ring = create_keyring(path, new.make(), seen=opt.seen_folder())
    tell(
        ring,
        f"made the keyring {path} with the keys {', '.join(ring.keys)}",
        json=json,
        quiet=quiet,
        id=ring.ring_id,
        keys=list(ring.keys),
        protector=ring.opened_by,
    )
    if key_file is not None and not quiet and not json:
        note(f"the key file {key_file} unlocks it: keep it, and a copy of both, away from the data")
