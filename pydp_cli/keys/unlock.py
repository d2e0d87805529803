"""What a user brings to unlock a keyring: a key file, a passphrase, an identity. Never from argv or the environment."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes

from pydp_cli.errors import KeyringError, OutputError
from pydp_cli.keys.secret import Secret

KEY_FILE_HEADER = "# pydp key file. Whoever has it can unlock the keyring: keep it apart from the data."
KEY_BYTES = 32
MOST_PASSPHRASE_BYTES = 65536


@dataclass(frozen=True)
class Unlock:
    """The ways that are at hand, each asked for only when a protector needs it.

    `passphrase` gives the passphrase (prompt, file or descriptor), `shares` the texts of some shares of the root key.
    `identities` are more files like `identity`. `approve` is asked before a command that a keyring names is run,
    because whoever can write the keyring file could name any command.
    """

    key_file: Path | None = None
    passphrase: Callable[[], str] | None = field(default=None, repr=False)
    identity: Path | None = None
    identities: tuple[Path, ...] = ()
    shares: Callable[[], Sequence[str]] | None = field(default=None, repr=False)
    approve: Callable[[tuple[str, ...]], bool] | None = field(default=None, repr=False)


def create_key_file(path: Path) -> Secret:
    """Write a new key file (mode 0600, never over another file), and give its key."""
    key = Secret(token_bytes(KEY_BYTES))
    write_private_file(path, f"{KEY_FILE_HEADER}\n{b64encode(key).decode()}\n", "key file")
    return key


def read_key_file(path: Path) -> Secret:
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
    return Secret(key)


def passphrase_from_file(path: Path) -> str:
    """Give the passphrase in a file, without its last newline; refuses one that others may read."""
    raw = read_private_file(path, "passphrase file", most=MOST_PASSPHRASE_BYTES)
    return _passphrase(raw, str(path))


def passphrase_from_fd(descriptor: int) -> str:
    """Give the passphrase that an open file descriptor holds, without its last newline; closes the descriptor."""
    try:
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(MOST_PASSPHRASE_BYTES + 1)
    except OSError as error:
        raise KeyringError(
            f"the passphrase cannot be read ({error.strerror})", place=f"file descriptor {descriptor}"
        ) from error
    return _passphrase(raw, f"file descriptor {descriptor}")


def _passphrase(raw: bytes, place: str) -> str:
    if len(raw) > MOST_PASSPHRASE_BYTES:
        raise KeyringError("the passphrase is too long", place=place)
    try:
        text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # Without the cause: its message quotes the bytes.
        raise KeyringError("the passphrase is not UTF-8", place=place) from None
    if not text:
        raise KeyringError("the passphrase is empty", place=place)
    return text


def read_private_file(path: Path, what: str, *, most: int, regular: bool = False) -> bytes:
    """Read a small secret file; refuses what group or others may read or write.

    Links are followed: the permissions of the file itself count. A pipe is fine (`--passphrase-file <(pass show x)`)
    unless a `regular` file is asked for.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if regular else 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if regular and not stat.S_ISREG(status.st_mode):
                raise KeyringError(f"the {what} is not a plain file", place=str(path))
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                raise KeyringError(f"the {what} can be read by others", place=str(path), hint=f"chmod 600 {path}")
            data = file.read(most + 1)
    except OSError as error:
        raise KeyringError(f"the {what} cannot be read ({error.strerror})", place=str(path)) from error
    if len(data) > most:
        raise KeyringError(f"the {what} is too large", place=str(path), hint=f"at most {most:,} bytes")
    return data


def write_private_file(path: Path, text: str, what: str) -> None:
    """Write a new secret file, 0600, durable, never over another one.

    Where the system can, it gets its name when it is complete: a run that is killed leaves no half of it.
    """
    try:
        if not _placed_whole(path, text):
            _write_by_name(path, text)
    except FileExistsError as error:
        raise OutputError(f"the {what} exists already", place=str(path), hint="choose another name") from error
    except OSError as error:
        raise OutputError(f"the {what} cannot be written ({error.strerror})", place=str(path)) from error


def _placed_whole(path: Path, text: str) -> bool:
    """Write a file without a name and link it; False where that cannot be done, for whatever reason."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    try:
        handle = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
            # with a directory's descriptor, which an absolute path ignores, Python follows the link in /proc
            os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle)
    except FileExistsError:
        raise
    except OSError:
        return False
    sync_folder(path.resolve().parent)
    return True


def _write_by_name(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        sync_folder(path.resolve().parent)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
