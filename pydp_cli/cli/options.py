"""The options that several commands share, declared once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import date, datetime, timezone
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.keys.unlock import Unlock
    from pydp_cli.policy.model import Policy

PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "-p",
        "--policy",
        metavar="FILE",
        help="The policy file. Default: pydp.yml here or in the nearest parent folder.",
    ),
]
KeyringFile = Annotated[
    Path | None, typer.Option("--keyring", metavar="FILE", help="The keyring, where no policy names one.")
]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="A key file that unlocks the keyring.")
]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", metavar="FILE", help="A file that holds the keyring's passphrase.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT]...",
        help="File, glob, directory, object-store URL or - (stdin). Default: the dataset's path in the policy.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="PATH", help="File, directory (for several inputs) or - (stdout)."),
]
Dataset = Annotated[
    str | None, typer.Option("--dataset", metavar="NAME", help="Which dataset of the policy the input is.")
]
InputFormat = Annotated[
    str | None,
    typer.Option("--input-format", metavar="FORMAT", help="csv, tsv or parquet, where the name does not tell."),
]
OutputFormat = Annotated[
    str | None,
    typer.Option("--output-format", metavar="FORMAT", help="csv, tsv or parquet, where the name does not tell."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
InPlace = Annotated[bool, typer.Option("--in-place", help="Replace the input safely, all files or none.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show a sample before and after, column by column, and write nothing.")
]
Reveal = Annotated[bool, typer.Option("--reveal", help="With --dry-run: show the values as they are, not masked.")]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write the run's report to this file as JSON.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes. Default: the cores.")]
BadRows = Annotated[
    Path | None,
    typer.Option(
        "--bad-rows", metavar="FILE", help="Set malformed CSV rows aside in this file (mode 0600) and count them."
    ),
]
AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="TIME", help="The date (or time) that counts as now. Default: now.")
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Tell each file, and what became of its rows.")]
WholeFile = Annotated[
    bool, typer.Option("--whole-file", help="Treat each input as one file of any kind, not its columns.")
]
ParquetModular = Annotated[
    bool, typer.Option("--parquet-modular", help="Encrypt the pages of Parquet files (Parquet Modular Encryption).")
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", help="With --whole-file: the file's original name, where it is called otherwise now."
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="TEXT",
        help="With --whole-file: a text that the file belongs to, to be said again to decrypt.",
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing unless something is wrong.")]


def day_of(text: str | None, option: str = "--as-of") -> date:
    """Read the day that an option names, in UTC; today where it was left out."""
    if text is None:
        return datetime.now(timezone.utc).date()
    return moment(text, option).date()


def moment(text: str, option: str = "--as-of") -> datetime:
    """Read a date or a time that an option names, as ISO 8601 has it; without a zone it is UTC."""
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return read.replace(tzinfo=timezone.utc) if read.tzinfo is None else read.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise UsageError(
            "not a date or a time", place=option, hint="write 2026-01-31 or 2026-01-31T12:00:00+01:00"
        ) from None


def workers_or_cores(workers: int | None) -> int:
    """Give the number of workers: what was asked for, else the cores that this process may use."""
    if workers is not None:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_and_load_policy(path: Path | None) -> Policy:
    """Load the policy that was named, or the nearest pydp.yml."""
    from pydp_cli.policy.loader import find_policy, load_policy

    found = path or find_policy(Path.cwd())
    if found is None:
        raise UsageError(
            "no policy: there is no pydp.yml here or in a parent folder",
            hint="name one with -p, write one with `pydp init FILE`, or use --set COLUMN=TRANSFORM",
        )
    return load_policy(found)


def unlock_with(key_file: Path | None, passphrase_file: Path | None) -> Unlock:
    """Gather the ways to unlock a keyring that the command line offers; the prompt is the last of them."""
    from pydp_cli.cli.access import approve
    from pydp_cli.keys.unlock import Unlock, passphrase_from_file

    ask: Callable[[], str] | None = None
    if passphrase_file is not None:
        ask = partial(passphrase_from_file, passphrase_file)
    elif key_file is None and sys.stdin.isatty():
        ask = prompt_passphrase
    return Unlock(key_file=key_file, passphrase=None if ask is None else cache(ask), approve=approve)


def open_if_unlocked(path: Path | None, unlock: Unlock | None) -> Keyring | None:
    """Open the keyring where there is something to unlock it with."""
    if path is None or unlock is None:
        return None
    from pydp_cli.keys.keyring import open_keyring

    return open_keyring(path, unlock, seen=seen_folder())


def prompt_passphrase() -> str:
    """Ask for the keyring's passphrase on the terminal, without showing it."""
    from getpass import getpass

    return getpass("Passphrase of the keyring: ")


def prompt_new_passphrase() -> str:
    """Ask twice for the passphrase of a new keyring."""
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask for a passphrase on",
            hint="use --key-file FILE to make a key file, or --passphrase-file FILE",
        )
    from getpass import getpass

    first = getpass("New passphrase: ")
    if not first or first != getpass("The same again: "):
        raise UsageError("the passphrase is empty, or was not typed the same twice")
    return first


def keyring_path(policy: Path | None, named: Path | None) -> Path:
    """Give the keyring's path: what the command line names, else what the policy does."""
    from pydp_cli.errors import KeyringError

    if named is not None:
        return named
    from pydp_cli.policy.loader import find_policy, load_policy

    found = policy or find_policy(Path.cwd())
    if found is not None:
        loaded = load_policy(found)
        if loaded.keyring is not None:
            return loaded.base_dir / loaded.keyring
    raise KeyringError("no keyring is named", hint="name one with --keyring, or with `keyring:` in the policy")


def seen_folder() -> Path:
    """Give the folder in which this user's newest keyring generations are remembered."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "pydp"
