"""`pydp keys split` and `combine`: shares of which some people together unlock the keyring, for an emergency."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.cli.keys.group import subcommand, tell
from pydp_cli.cli.keys.new_protector import Label, NewKeyFile, NewPassphraseFd, NewPassphraseFile, NewProtector
from pydp_cli.errors import UsageError


@subcommand("split", "pydp keys split --threshold 2 --shares 3 -o shares --label board --key-file ../secrets/pydp.key")
def split(
    *,
    access: Access,
    threshold: Annotated[int, typer.Option("--threshold", min=2, help="How many shares it takes.")],
    shares: Annotated[int, typer.Option("--shares", min=2, help="How many shares are made.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="PATH", help="A folder, one file for each share; or - (stdout).")
    ],
    label: Label = "",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make shares that unlock the keyring together.

    Any THRESHOLD of them do, and fewer do not. The shares exist nowhere else: give each to another person, and
    delete the files.
    """
    from pydp_cli.keys.changes import add_protector
    from pydp_cli.keys.shares import make_shares

    if str(output) == "-" and json:
        raise UsageError("--json would mix with the shares on stdout", hint="name a folder with -o")
    ring = access.open()
    protector, texts = make_shares(threshold=threshold, shares=shares, label=label)
    if str(output) == "-":
        ring = add_protector(ring, protector)
        typer.echo("\n".join(texts))
        files = []
    else:
        # The files first: a protector whose shares were lost would look like a way to recover.
        files = _write(texts, output)
        try:
            ring = add_protector(ring, protector)
        except BaseException:
            for file in files:
                file.unlink(missing_ok=True)
            raise
    tell(
        ring,
        f"made {shares} shares, of which any {threshold} unlock the keyring"
        + (f": {output}; hand them out and delete the files" if files else ""),
        json=json,
        quiet=quiet,
        files=[str(file) for file in files],
        protector=ring.slots[-1]["id"],
    )


@subcommand("combine", "pydp keys combine --share-file anna.txt --share-file ben.txt --new-key-file recovered.key")
def combine(
    *,
    access: Access,
    new_key_file: NewKeyFile = None,
    new_passphrase_file: NewPassphraseFile = None,
    new_passphrase_fd: NewPassphraseFd = None,
    label: Label = "recovered",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Unlock with shares, and add a way to unlock.

    That is a new key file or a new passphrase. Without --share-file the shares are asked for on the terminal, one
    after the other, until an empty line.
    """
    from pydp_cli.keys.changes import add_protector
    from pydp_cli.keys.keyring import open_keyring
    from pydp_cli.keys.unlock import Unlock

    new = NewProtector(None, (), label, new_key_file, new_passphrase_file, new_passphrase_fd)
    new.chosen()
    shares = Access(share_files=access.share_files).unlock() if access.share_files else Unlock(shares=_asked)
    ring = open_keyring(access.path(), replace(shares, passphrase=None), seen=opt.seen_folder())
    ring = add_protector(ring, new.make())
    added = ring.slots[-1]
    tell(ring, f"added: the {added['type']} protector {added['id']}", json=json, quiet=quiet, protector=added["id"])


def _write(texts: tuple[str, ...], folder: Path) -> list[Path]:
    """Write each share to a file of its own, 0600; all or none."""
    from pydp_cli.errors import OutputError
    from pydp_cli.keys.unlock import write_private_file

    written: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number, text in enumerate(texts, 1):
            file = folder / f"share-{number}-of-{len(texts)}.txt"
            write_private_file(file, f"{text}\n", "share")
            written.append(file)
    except OSError as error:
        raise OutputError(f"the shares cannot be written ({error.strerror})", place=str(folder)) from error
    except OutputError:
        for file in written:
            file.unlink(missing_ok=True)
        raise
    return written


def _asked() -> list[str]:
    from getpass import getpass

    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the shares on", hint="name their files with --share-file")
    shares: list[str] = []
    while share := getpass(f"Share {len(shares) + 1} (an empty line ends): "):
        shares.append(share)
    return shares
