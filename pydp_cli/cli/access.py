"""How a command gets at the keyring: the options that name it and unlock it, added to a command as one argument."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.keys.unlock import Unlock

OPTIONS: dict[str, Any] = {
    "policy": opt.PolicyFile,
    "keyring": opt.KeyringFile,
    "key_file": opt.KeyFile,
    "passphrase_file": opt.PassphraseFile,
    "passphrase_fd": Annotated[
        int | None,
        typer.Option("--passphrase-fd", min=0, metavar="N", help="An open file descriptor that gives the passphrase."),
    ],
    "identities": Annotated[
        list[Path] | None,
        typer.Option(
            "--identity",
            metavar="FILE",
            help="An identity file that unlocks the keyring, or a whole file; may be repeated.",
        ),
    ],
    "share_files": Annotated[
        list[Path] | None,
        typer.Option(
            "--share-file", metavar="FILE", help="A file that holds a share of the keyring; once for each share."
        ),
    ],
    "command": Annotated[
        str | None,
        typer.Option(
            "--unlock-command",
            metavar="COMMAND",
            help="Let the keyring run this command, which it names as a protector.",
        ),
    ],
}


@dataclass(frozen=True)
class Access:
    """Which keyring, and what unlocks it."""

    policy: Path | None = None
    keyring: Path | None = None
    key_file: Path | None = None
    passphrase_file: Path | None = None
    passphrase_fd: int | None = None
    identities: list[Path] | None = None
    share_files: list[Path] | None = None
    command: str | None = None

    def path(self) -> Path:
        """Give the keyring's path: what the command line names, else what the policy does."""
        return opt.keyring_path(self.policy, self.keyring)

    def unlock(self) -> Unlock:
        """Gather what unlocks the keyring; a passphrase is asked for last, only on a terminal, and once."""
        return self._unlock

    @cached_property
    def _unlock(self) -> Unlock:
        from pydp_cli.keys.unlock import Unlock

        return Unlock(
            key_file=self.key_file,
            passphrase=self._passphrase(),
            identities=tuple(self.identities or ()),
            shares=partial(_shares, tuple(self.share_files)) if self.share_files else None,
            approve=partial(approve, expected=self.command),
        )

    def open(self) -> Keyring:
        """Unlock the keyring, and refuse one that is older than this machine has seen."""
        from pydp_cli.keys.keyring import open_keyring

        return open_keyring(self.path(), self.unlock(), seen=opt.seen_folder())

    def brings_something(self) -> bool:
        """Tell whether the command line names anything that unlocks."""
        return any((self.key_file, self.passphrase_file, self.identities, self.share_files, self.command)) or (
            self.passphrase_fd is not None
        )

    def _passphrase(self) -> Callable[[], str] | None:
        """Give what gives the passphrase. Read once: a pipe gives it only once."""
        given = passphrase_source(self.passphrase_file, self.passphrase_fd)
        if given is not None:
            return cache(given)
        return cache(opt.prompt_passphrase) if not self.brings_something() and sys.stdin.isatty() else None


def with_access(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that find and unlock a keyring; it takes them as one argument, `access`."""

    def wrapper(*arguments: Any, **given: Any) -> None:
        access = Access(**{name: given.pop(name) for name in OPTIONS})
        command(*arguments, access=access, **given)

    own = [parameter for name, parameter in signature(command, eval_str=True).parameters.items() if name != "access"]
    added = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=kind) for name, kind in OPTIONS.items()]
    parameters = [*own, *added]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    wrapper.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapper


def passphrase_source(file: Path | None, descriptor: int | None) -> Callable[[], str] | None:
    """Give what reads a passphrase from a file or from an open descriptor; None where neither is named."""
    from pydp_cli.keys.unlock import passphrase_from_fd, passphrase_from_file

    if file is not None and descriptor is not None:
        raise UsageError("choose one of a passphrase file and a passphrase descriptor")
    if file is not None:
        return partial(passphrase_from_file, file)
    return None if descriptor is None else partial(passphrase_from_fd, descriptor)


def approve(command: tuple[str, ...], expected: str | None = None) -> bool:
    """Ask before a command that the keyring names is run here for the first time.

    Whoever can write the keyring could name any command. Where nobody can be asked, the command line must name the
    same command.
    """
    if expected is not None:
        try:
            return tuple(shlex.split(expected)) == command
        except ValueError:
            raise UsageError("the command has an unclosed quote", place="--unlock-command") from None
    shown = shlex.join(command)
    if not shown.isprintable():
        return False
    if not sys.stdin.isatty():
        from pydp_cli.cli.render import warn

        warn(
            f"the keyring names a command that was never run for it here: {shown}",
            "if it is yours, say so once with --unlock-command, followed by the command in quotes",
        )
        return False
    return typer.confirm(f"The keyring names a command that was never run for it here: {shown}\nRun it?", err=True)


def _shares(files: tuple[Path, ...]) -> list[str]:
    from pydp_cli.keys.unlock import read_private_file

    return [read_private_file(file, "share", most=4096).decode("ascii", errors="replace") for file in files]
