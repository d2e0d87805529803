"""The keyring's file: canonical JSON under a MAC, written so that a crash leaves the old or the new one."""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import KeyringError, Locked, OutputError, Refused
from pydp_cli.keys.unlock import read_private_file

FORMAT, VERSION = "pydp-keyring", 1
MOST_BYTES = 1 << 20

Document = dict[str, Any]


def read_document(path: Path) -> Document:
    """Read a keyring's JSON without unlocking it. Nothing in it is authenticated before `check_mac`."""
    try:
        document = json.loads(read_private_file(path, "keyring", most=MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise KeyringError("the keyring is not valid JSON", place=str(path), hint="restore it from a backup") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise KeyringError("this is not a pydp keyring", place=str(path))
    if document.get("version") != VERSION:
        raise KeyringError("the keyring is of a newer format", place=str(path), hint="use a newer pydp")
    return document


def check_mac(document: Document, root: bytes, path: Path) -> None:
    """Refuse a keyring that was altered: its MAC covers protectors, states, tombstones and the generation."""
    try:
        given = b64decode(document["mac"], validate=True)
    except (KeyError, TypeError, ValueError):
        given = b""
    if not hmac.compare_digest(given, _mac(document, root)):
        raise Refused("the keyring was altered: its MAC is wrong", place=str(path), hint="restore it from a backup")


def sealed(document: Document, root: bytes) -> Document:
    """Give the document with its MAC."""
    return {**document, "mac": b64encode(_mac(document, root)).decode()}


def _mac(document: Document, root: bytes) -> bytes:
    body = {name: value for name, value in document.items() if name != "mac"}
    return hmac.digest(derive_key(root, "keyring mac", length=32), canonical(body), "sha256")


def canonical(document: Document) -> bytes:
    """Give the one byte form of a document: sorted keys, UTF-8, one newline at the end."""
    return (json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other writers of this keyring out; raises `Locked` if one is at work."""
    handle = os.open(path.parent / f".{path.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked("another process is changing the keyring", place=str(path), hint="try again") from error
        yield
    finally:
        os.close(handle)


def write_document(path: Path, document: Document, *, new: bool) -> None:
    """Put a keyring in place: temp file, fsync, rename, fsync of the folder. The one before stays as `NAME~`."""
    path = path.resolve()
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(canonical(document))
                file.flush()
                os.fsync(file.fileno())
            if new:
                os.link(temp, path)
                temp.unlink()
            else:
                _keep_previous(path)
                temp.replace(path)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise OutputError("the keyring exists already", place=str(path), hint="choose another name") from error
    except OSError as error:
        raise OutputError(f"the keyring cannot be written ({error.strerror})", place=str(path)) from error


def _keep_previous(path: Path) -> None:
    previous = path.with_name(f"{path.name}~")
    spare = path.with_name(f".{path.name}.{os.getpid()}~")
    os.link(path, spare)
    spare.replace(previous)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_private(path: Path) -> bool:
    """Tell whether nobody but the owner may read a file."""
    return not stat.S_IMODE(path.stat().st_mode) & 0o077
