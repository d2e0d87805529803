"""One run at a time: a lock on a policy's state folder, which the system lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydp_cli.datasets.staging_files import output_error
from pydp_cli.errors import Locked, OutputError

LOCK_NAME = "run.lock"
_POLL_SECONDS = 0.2


@contextmanager
def run_lock(state_dir: Path, command: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a state folder, made 0700 where it is missing.

    Raises `Locked` where another run still holds it after `wait_seconds`, and `OutputError` where there can be no such
    folder.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise OutputError("the state folder is no folder", place=str(state_dir), hint="see `state:`") from None
    except OSError as error:
        raise output_error(error, str(state_dir)) from error
    try:
        _acquire(descriptor, state_dir, time.monotonic() + wait_seconds)
        holder = {"command": command, "host": socket.gethostname(), "pid": os.getpid()}
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
        os.truncate(descriptor, 0)
    finally:
        os.close(descriptor)


def is_locked(state_dir: Path) -> bool:
    """Tell whether a run holds the lock of a state folder just now."""
    try:
        descriptor = os.open(state_dir / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _acquire(descriptor: int, state_dir: Path, deadline: float) -> None:
    while not _try(descriptor):
        if time.monotonic() >= deadline:
            raise Locked(
                f"another run holds the lock{_holder(descriptor)}",
                place=str(state_dir),
                hint="wait for it to end, or wait here with --wait SECONDS",
            )
        time.sleep(_POLL_SECONDS)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    """Say who holds the lock, as far as they have said so."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f": {holder['command']} (process {int(holder['pid'])} on {holder['host']})"
    except (ValueError, KeyError, TypeError):
        return ""
