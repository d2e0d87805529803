"""The keyring's file: canonical JSON, read strictly, and written so that a crash leaves the old ring or the new one."""

from __future__ import annotations

import fcntl
import glob
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

from pydp_cli.errors import KeyringError, Locked, OutputError, Refused
from pydp_cli.keys.unlock import read_private_file, sync_folder

FORMAT, VERSION = "pydp-keyring", 1
MOST_BYTES = 1 << 20
RESTORE = "restore it from a backup, or from the generation before it (NAME~)"

Document = dict[str, Any]


def canonical(document: Document) -> bytes:
    """Give the one byte form of a document: sorted keys, UTF-8, one newline at the end."""
    return (json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()


def read_document(path: Path) -> Document:
    """Read a keyring's JSON without unlocking it. Nothing in it is authenticated before its MAC is checked."""
    return parse_document(read_private_file(path, "keyring", most=MOST_BYTES, regular=True), path)


def parse_document(raw: bytes, path: Path) -> Document:
    """Give the document that `raw` holds; refuses any but the canonical form, so that every byte counts."""
    try:
        document = json.loads(raw)
        same = isinstance(document, dict) and canonical(document) == raw
    except (ValueError, RecursionError) as error:
        raise KeyringError("the keyring is not valid JSON", place=str(path), hint=RESTORE) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise KeyringError("this is not a pydp keyring", place=str(path))
    if document.get("version") != VERSION:
        raise KeyringError("the keyring is of an unknown format version", place=str(path), hint="use a newer pydp")
    if not same:
        raise Refused("the keyring was altered: it is not as pydp writes it", place=str(path), hint=RESTORE)
    return document


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other writers of this keyring out; raises `Locked` if one is at work.

    The lock is on the keyring itself. Since a writer renames a new file over it, a lock counts only if the file that
    is locked is still the one that has the name.
    """
    while True:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise KeyringError(f"the keyring cannot be read ({error.strerror})", place=str(path)) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Locked("another process is changing the keyring", place=str(path), hint="try again") from error
            if not _is_still(handle, path):
                continue
            _remove_strays(path)
            yield
            return
        finally:
            os.close(handle)


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def create_file(path: Path, data: bytes, verify: Callable[[bytes], object]) -> None:
    """Put a new keyring in place, never over another file. `verify` is given what was read back from the disk."""
    try:
        _remove_strays(path)  # of a writer that was killed; of two at once, the later one wins
        temp = _written(path, data, verify)
        try:
            _link_new(temp, path)
        finally:
            temp.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise OutputError("the keyring exists already", place=str(path), hint="choose another name") from error
    except OSError as error:
        raise OutputError(f"the keyring cannot be written ({error.strerror})", place=str(path)) from error


def replace_file(path: Path, data: bytes, verify: Callable[[bytes], object], *, keep_previous: bool = True) -> None:
    """Put a new generation in place; the one before stays as `NAME~`. The caller holds the lock.

    Without `keep_previous` no `NAME~` stays either: the one before holds what the new generation is there to remove.
    """
    previous = path.with_name(f"{path.name}~")
    try:
        temp = _written(path, data, verify)
        try:
            if keep_previous:
                _keep(path, previous)
            else:
                previous.unlink(missing_ok=True)
            temp.replace(path)
        finally:
            temp.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"the keyring cannot be written ({error.strerror})", place=str(path)) from error


def _keep(path: Path, previous: Path) -> None:
    copy = _written(path, path.read_bytes(), lambda _: None)
    try:
        copy.replace(previous)
    finally:
        copy.unlink(missing_ok=True)


def _written(path: Path, data: bytes, verify: Callable[[bytes], object]) -> Path:
    """Write a durable temp file beside a keyring, 0600, and read it back."""
    temp = path.with_name(f".{path.name}.{token_hex(8)}.tmp")
    handle = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "r+b") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            verify(file.read())
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    return temp


def _link_new(temp: Path, path: Path) -> None:
    """Give a file its name if nothing has it; file systems without links get the second-best check."""
    try:
        os.link(temp, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists() or path.is_symlink():
            raise FileExistsError(path) from None
        temp.replace(path)


def _remove_strays(path: Path) -> None:
    """Remove the temp files of writers that were killed; nobody else is writing, because we hold the lock."""
    for stray in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        stray.unlink(missing_ok=True)
