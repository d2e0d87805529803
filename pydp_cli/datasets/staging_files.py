"""Temp files beside their target: made for the owner alone, locked while in use, and cleared away when abandoned."""

# Paths are strings here, as users wrote them: pathlib would normalise `./` and trailing slashes away.
# ruff: noqa: PTH108, PTH118, PTH208

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import secrets
from typing import TYPE_CHECKING

from pydp_cli.errors import OutputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

BUFFER_BYTES = 1 << 18
NAME_BYTES = 200  # of the target's name; file systems allow 255 in all

_MESSAGES = {
    errno.ENOSPC: ("the disk is full", "free some space or write elsewhere with -o"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or write elsewhere with -o"),
    errno.EFBIG: ("the file is larger than the limit allows", "raise the limit (ulimit -f) or write elsewhere"),
    errno.EROFS: ("the file system is read-only", "write elsewhere with -o"),
    errno.EACCES: ("no permission to write here", None),
    errno.EPERM: ("no permission to write here", None),
    errno.ENOENT: ("the folder does not exist", "create it first"),
    errno.ENOTDIR: ("a part of the path is not a folder", None),
    errno.ENAMETOOLONG: ("the name is too long", None),
    errno.ELOOP: ("the symbolic links go in a circle", None),
}


def output_error(error: OSError, target: str) -> OutputError:
    """Say in the user's words why the output could not be written."""
    message, hint = _MESSAGES.get(
        error.errno or 0, (f"cannot be written ({(error.strerror or 'error').lower()})", None)
    )
    return OutputError(message, place=target, hint=hint)


class StagedFile(io.BufferedWriter):
    """A buffered file whose write errors are `OutputError`s about the target, not about the temp file.

    A `shared` descriptor (standard output) is left open when the stream is closed.
    """

    def __init__(self, descriptor: int, target: str, *, shared: bool = False) -> None:
        self._raw = _RawFile(descriptor, target, shared=shared)
        super().__init__(self._raw, BUFFER_BYTES)

    def abandon(self) -> None:
        """Close without writing what is still in the buffer, which may be what failed."""
        self._raw.close_quietly()


class _RawFile(io.FileIO):
    def __init__(self, descriptor: int, target: str, *, shared: bool) -> None:
        super().__init__(descriptor, "wb", closefd=not shared)
        self._target = target

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # the reader has had enough: no error, and the command's to end quietly
            raise
        except OSError as error:
            raise output_error(error, self._target) from error

    def close_quietly(self) -> None:
        try:
            super().close()
        except OSError:  # the content is being thrown away, so it does not matter that it was not written
            return


def create_temp(real: str, target: str) -> tuple[str, StagedFile]:
    """Create `.NAME.pydp-PID-RANDOM.tmp` beside `real`, 0600, locked for as long as it is open."""
    directory, name = os.path.split(real)
    stem = os.fsdecode(os.fsencode(name)[:NAME_BYTES])
    path = os.path.join(directory, f".{stem}.pydp-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(descriptor)
        return path, StagedFile(descriptor, target)
    except BaseException:
        os.unlink(path)
        os.close(descriptor)
        raise


def remove_stale_temps(real: str) -> None:
    """Remove what killed runs left for this target: their process is gone and no one holds the temp's lock.

    The lock decides where the number alone cannot: another machine or container, or a worker that outlived its parent.
    """
    directory, name = os.path.split(real)
    stem = os.fsdecode(os.fsencode(name)[:NAME_BYTES])
    pattern = re.compile(re.escape(f".{stem}.pydp-") + r"(\d+)-[0-9a-f]{8}\.tmp")
    try:
        names = os.listdir(directory)
    except PermissionError:  # a folder one may write to but not list
        return
    for name in names:
        match = pattern.fullmatch(name)
        if match and not _is_alive(int(match[1])):
            _remove_unlocked(os.path.join(directory, name))


def _remove_unlocked(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # another user's, or already removed by another run
        return
    try:
        if _lock(descriptor):
            os.unlink(path)
    except FileNotFoundError:
        return
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL}:
            return False
        raise
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
