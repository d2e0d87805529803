"""`pydp keys`: make and look after the keyring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.errors import UsageError

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Make and look after the keyring: the one file that holds all keys, each wrapped.",
)


@app.command(
    epilog="""\b
Example:
  pydp keys init --keyring pydp.keyring --key-file ../secrets/pydp.key
"""
)
def init(
    *,
    policy: opt.PolicyFile = None,
    keyring: opt.KeyringFile = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="Make this key file too, as what unlocks the keyring.")
    ] = None,
    passphrase_file: opt.PassphraseFile = None,
    quiet: opt.Quiet = False,
) -> None:
    """Make a keyring, unlocked by a new key file or by a passphrase.

    Without --key-file or --passphrase-file the passphrase is asked for on the terminal.
    """
    from pydp_cli.cli.render import note
    from pydp_cli.errors import OutputError
    from pydp_cli.keys.keyring import create_keyring
    from pydp_cli.keys.protectors import KeyFileProtector, PassphraseProtector
    from pydp_cli.keys.unlock import create_key_file, passphrase_from_file

    path = opt.keyring_path(policy, keyring)
    if path.exists():
        raise OutputError("the keyring exists already", place=str(path), hint="choose another name")
    if key_file is not None and passphrase_file is not None:
        raise UsageError(
            "choose one of --key-file and --passphrase-file", hint="add the other with `keys add-protector`"
        )
    if key_file is not None:
        key = create_key_file(key_file)
        ring = create_keyring(path, lambda root: KeyFileProtector().wrap(root, key))
    else:
        passphrase = passphrase_from_file(passphrase_file) if passphrase_file else opt.prompt_new_passphrase()
        ring = create_keyring(path, lambda root: PassphraseProtector().wrap(root, passphrase))
    if not quiet:
        note(f"made the keyring {path} with the keys {', '.join(ring.keys)}")
        if key_file is not None:
            note(f"made the key file {key_file}: keep it, and a copy of both, away from the data")


@app.command(
    "list",
    epilog="""\b
Example:
  pydp keys list --keyring pydp.keyring --key-file ../secrets/pydp.key
""",
)
def list_keys(
    *,
    policy: opt.PolicyFile = None,
    keyring: opt.KeyringFile = None,
    key_file: opt.KeyFile = None,
    passphrase_file: opt.PassphraseFile = None,
    json: opt.Json = False,
) -> None:
    """List the keys: name, version, key id, state and since when. Never a secret."""
    from pydp_cli.cli.render import print_json, print_table
    from pydp_cli.keys.keyring import open_keyring

    path = opt.keyring_path(policy, keyring)
    ring = open_keyring(path, opt.unlock_with(key_file, passphrase_file), seen=opt.seen_folder())
    rows = [
        {
            "key": version.name,
            "version": version.version,
            "id": version.key_id.hex(),
            "state": version.state,
            "since": version.changed,
        }
        for versions in ring.keys.values()
        for version in versions
    ]
    if json:
        print_json(rows)
    else:
        print_table(rows)
