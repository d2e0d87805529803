"""What a user brings to unlock a keyring: a key file, a passphrase, an identity. Never from argv or the environment."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes

from pydp_cli.errors import KeyringError, OutputError

KEY_FILE_HEADER = "# pydp key file. Whoever has it can unlock the keyring: keep it apart from the data."
KEY_BYTES = 32


@dataclass(frozen=True)
class Unlock:
    """The ways that are at hand. `passphrase` is called once, and only if a protector asks for it."""

    key_file: Path | None = None
    passphrase: Callable[[], str] | None = field(default=None, repr=False)
    identity: Path | None = None


def create_key_file(path: Path) -> bytes:
    """Write a new key file (mode 0600, never over another file), and give its key."""
    key = token_bytes(KEY_BYTES)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise OutputError("the key file exists already", place=str(path), hint="choose another name") from error
    except OSError as error:
        raise OutputError(f"the key file cannot be written ({error.strerror})", place=str(path)) from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{KEY_FILE_HEADER}\n{b64encode(key).decode()}\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def read_key_file(path: Path) -> bytes:
    """Give the key of a key file; refuses one that others may read."""
    text = read_private_file(path, "key file", most=4096).decode("ascii", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        key = b64decode(lines[0], validate=True) if len(lines) == 1 else b""
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyringError(
            "this is not a pydp key file", place=str(path), hint="make one with `pydp keys init --key-file`"
        )
    return key


def passphrase_from_file(path: Path) -> str:
    """Give the passphrase in a file, without its last newline; refuses one that others may read."""
    raw = read_private_file(path, "passphrase file", most=65536)
    try:
        return raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise KeyringError("the passphrase file is not UTF-8", place=str(path)) from error


def read_private_file(path: Path, what: str, *, most: int) -> bytes:
    """Read a small secret file; refuses what group or others may read or write, and what is not a plain file."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                raise KeyringError(
                    f"the {what} can be read by others",
                    place=str(path),
                    hint=f"chmod 600 {path}",
                )
            data = file.read(most + 1)
    except OSError as error:
        raise KeyringError(f"the {what} cannot be read ({error.strerror})", place=str(path)) from error
    if len(data) > most:
        raise KeyringError(f"the {what} is too large", place=str(path))
    return data
