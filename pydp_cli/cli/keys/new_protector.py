"""What `init`, `add-protector` and `combine` share: making a protector from what the command line says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import passphrase_source
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.keys.protectors import Slot

Kind = Annotated[
    str | None,
    typer.Argument(
        metavar="[KIND]",
        help="key-file, passphrase, recipient, command, aws-kms, vault, or one that an installed package offers.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]...", help="What the protector needs to know, as in recipient=alice.pub."),
]
Label = Annotated[str, typer.Option("--label", metavar="TEXT", help="Whom or what the protector is for.")]
NewKeyFile = Annotated[
    Path | None,
    typer.Option("--new-key-file", metavar="FILE", help="Make this key file, or use it if it is one already."),
]
NewPassphraseFile = Annotated[
    Path | None, typer.Option("--new-passphrase-file", metavar="FILE", help="A file that holds the new passphrase.")
]
NewPassphraseFd = Annotated[
    int | None,
    typer.Option("--new-passphrase-fd", min=0, metavar="N", help="An open file descriptor that gives the new one."),
]


@dataclass(frozen=True)
class NewProtector:
    """A protector as the command line describes it."""

    kind: str | None = None
    settings: tuple[str, ...] = ()
    label: str = ""
    key_file: Path | None = None
    passphrase_file: Path | None = None
    passphrase_fd: int | None = None

    def chosen(self) -> str:
        """Give the kind: the one that is named, else the one whose secret is."""
        named = self.passphrase_file is not None or self.passphrase_fd is not None
        if self.key_file is not None and named:
            raise UsageError(
                "choose one of a key file and a passphrase", hint="add the other with `pydp keys add-protector`"
            )
        meant = "key-file" if self.key_file is not None else "passphrase" if named else None
        if meant is not None and self.kind not in {None, meant}:
            raise UsageError(f"a {self.kind} protector takes no {meant.replace('-', ' ')}")
        return self.kind or meant or "passphrase"

    def make(self) -> Callable[[bytes], Slot]:
        """Ask for, or make, what the protector needs; give what makes its slot."""
        from pydp_cli.keys.protectors import protect
        from pydp_cli.keys.unlock import Unlock, create_key_file

        kind = self.chosen()
        options = _options(self.settings)
        if kind == "key-file":
            if self.key_file is None:
                raise UsageError("no key file is named", hint="name the key file to make")
            if not self.key_file.exists():
                create_key_file(self.key_file)
            return protect(kind, Unlock(key_file=self.key_file), options, label=self.label)
        if kind == "passphrase":
            source = passphrase_source(self.passphrase_file, self.passphrase_fd) or prompt_new_passphrase
            return protect(kind, Unlock(passphrase=source), options, label=self.label)
        return protect(kind, Unlock(), options, label=self.label)


def prompt_new_passphrase() -> str:
    """Ask twice for a new passphrase."""
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask for a passphrase on",
            hint="name a key file or a passphrase file (`pydp keys init --help`)",
        )
    return opt.prompt_new_passphrase()


def _options(settings: tuple[str, ...]) -> dict[str, str]:
    """Read NAME=VALUE. A message names no value: somebody may have typed a secret where none belongs."""
    options = {}
    for position, setting in enumerate(settings, 1):
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"setting {position} is not NAME=VALUE", hint="as in recipient=alice.pub")
        options[name] = value
    return options
