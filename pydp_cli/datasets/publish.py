"""Publish outputs whole or not at all: temp file beside the target, 0600, fsync, verify, rename, fsync the directory.

    with Publication() as publication:
        staged = publication.stage("out/people.csv")
        staged.file.write(...)
        publication.commit()            # all targets appear here; leaving without it removes every temp file

Whatever ends the block (an error, a signal turned into an exception, a kill) leaves the old targets as they were. A
temp file left by a kill is harmless and is removed by the next run on the same target.
"""

# Paths are strings here, as users wrote them: pathlib would normalise `./` and trailing slashes away.
# ruff: noqa: PTH102, PTH104, PTH106, PTH105, PTH108, PTH110, PTH112, PTH116, PTH120

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, cast

from pydp_cli.datasets.attributes import copy_attributes
from pydp_cli.datasets.signals import uninterrupted
from pydp_cli.datasets.staging_files import StagedFile, create_temp, output_error, remove_stale_temps
from pydp_cli.errors import OutputError, UsageError

Verify = Callable[[str], None]
"""Called with the staged file's path once its bytes are on disk; raises to refuse it."""

_DESCRIPTOR_PATH = re.compile(r"/dev/(?:fd|std)|/proc/(?:self|\d+)/fd/")


@dataclass
class Staged:
    """One output on its way: write to `stream`, then commit the publication."""

    target: str
    file: StagedFile
    temp: str | None = None  # None: written directly (stdout, a pipe, a device)
    real: str | None = None  # where the temp goes: the target with symbolic links followed
    replace: bool = False
    keep_mode_of: str | None = None
    in_place: bool = False
    mode: int = 0o600
    verify: Verify | None = None

    @property
    def stream(self) -> BinaryIO:
        """What to write to."""
        return cast("BinaryIO", self.file)


class Publication:
    """The outputs of one run, which appear together when `commit` is called and not before."""

    def __init__(self, *, force: bool = False) -> None:
        self.force = force
        self._staged: list[Staged] = []
        self._made_folders: list[str] = []

    def __enter__(self) -> Publication:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def stage(
        self,
        target: str,
        *,
        in_place: bool = False,
        force: bool | None = None,
        mode: int = 0o600,
        keep_mode_of: str | None = None,
        verify: Verify | None = None,
        make_folders: bool = False,
    ) -> Staged:
        """Open a stream for `target`: a temp file, or the thing itself where it is stdout, a pipe or a device.

        A symbolic link is followed: the file it points to is replaced, the link stays. With `in_place` the target's
        mode, owner and extended attributes are kept. With `force` the mode of a replaced file is kept.
        With `make_folders` missing folders are made (0700), and removed again if nothing is published.
        """
        if make_folders:
            self._make_folders(os.path.dirname(target), target)
        with uninterrupted():  # a signal between making a temp file and noting it would leave it behind
            staged = self._stage_directly(target) or self._stage_beside(
                target, in_place=in_place, force=self.force if force is None else force
            )
            staged.mode, staged.verify = mode, verify
            staged.keep_mode_of = keep_mode_of or staged.keep_mode_of
            self._staged.append(staged)
        return staged

    def commit(self) -> None:
        """Make every staged output durable, verify it, then let all of them appear."""
        for staged in self._staged:
            _finish_writing(staged)
        published: list[str] = []
        with uninterrupted():
            try:
                for staged in self._staged:
                    _appear(staged)
                    published.append(staged.target)
                for directory in sorted({os.path.dirname(staged.real) for staged in self._staged if staged.real}):
                    _sync_directory(directory)
            except OutputError as error:
                if published:
                    error.hint = f"already published: {', '.join(published)}; the rest is not"
                raise
        self._staged.clear()
        self._made_folders.clear()

    def discard(self) -> None:
        """Remove what is staged and not published."""
        for staged in self._staged:
            staged.file.abandon()
            if staged.temp is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(staged.temp)
        self._staged.clear()
        while self._made_folders:
            with contextlib.suppress(OSError):  # another run may have put something there
                os.rmdir(self._made_folders.pop())

    def _make_folders(self, folder: str, target: str) -> None:
        missing = []
        while folder and not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder.rstrip("/"))
        try:
            for one in reversed(missing):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(one, 0o700)
                    self._made_folders.append(one)
        except OSError as error:
            raise output_error(error, target) from error

    def _stage_directly(self, target: str) -> Staged | None:
        if target == "-":
            return Staged("-", StagedFile(sys.stdout.fileno(), "standard output", shared=True))
        try:
            if _DESCRIPTOR_PATH.match(target):
                # Through the descriptor, not by name: renaming over a redirected file would leave the shell's behind.
                return Staged(target, _open_directly(target))
            if not _is_special(target):
                return None
            return Staged(target, _open_directly(target))
        except OSError as error:
            raise output_error(error, target) from error

    def _stage_beside(self, target: str, *, in_place: bool, force: bool) -> Staged:
        try:
            real = os.path.realpath(target)
            if os.path.isdir(real) or target.endswith(os.sep):
                raise OutputError("is a directory", place=target)
            remove_stale_temps(real)
            exists = os.path.lexists(real)
            if exists and in_place and os.stat(real).st_nlink > 1:
                raise UsageError(
                    "has more than one hard link, and only this name would be rewritten",
                    place=target,
                    hint="write to another file with -o, or remove the other links",
                )
            if exists and not (force or in_place):
                raise already_exists(target)
            if exists and not os.access(real, os.W_OK):
                raise OutputError("is not writable", place=target)
            temp, stream = create_temp(real, target)
        except OSError as error:
            raise output_error(error, target) from error
        return Staged(
            target,
            stream,
            temp=temp,
            real=real,
            replace=force or in_place,
            keep_mode_of=real if exists else None,
            in_place=in_place,
        )


@contextlib.contextmanager
def staged(
    target: str,
    *,
    force: bool = False,
    in_place: bool = False,
    mode: int = 0o600,
    keep_mode_of: str | None = None,
    verify: Verify | None = None,
) -> Iterator[BinaryIO]:
    """Write one file: it appears whole when the block ends well, and not at all otherwise."""
    with Publication(force=force) as publication:
        output = publication.stage(target, in_place=in_place, mode=mode, keep_mode_of=keep_mode_of, verify=verify)
        yield output.stream
        publication.commit()


def already_exists(target: str) -> OutputError:
    """Say that the output is there and what to do."""
    return OutputError("output already exists", place=target, hint="use --force to replace it")


def _finish_writing(staged: Staged) -> None:
    if staged.temp is None:
        staged.file.close()
        return
    try:
        staged.file.flush()
        descriptor = staged.file.fileno()
        if staged.in_place:
            assert staged.real is not None
            copy_attributes(staged.real, descriptor, place=staged.target)
        elif staged.keep_mode_of is not None and os.path.exists(staged.keep_mode_of):
            os.fchmod(descriptor, stat.S_IMODE(os.stat(staged.keep_mode_of).st_mode) & 0o777)
        else:
            os.fchmod(descriptor, staged.mode)
        os.fsync(descriptor)
    except OSError as error:
        raise output_error(error, staged.target) from error
    if staged.verify is not None:
        staged.verify(staged.temp)


def _appear(staged: Staged) -> None:
    """Give the temp its name. Without `replace`, a file that appeared meanwhile is not overwritten."""
    if staged.temp is None or staged.real is None:
        return
    try:
        if staged.replace:
            os.replace(staged.temp, staged.real)
        else:
            _rename_without_replacing(staged.temp, staged.real)
        staged.file.close()
    except FileExistsError as error:
        raise OutputError("appeared while the run was at work, and was left as it is", place=staged.target) from error
    except OSError as error:
        raise output_error(error, staged.target) from error
    staged.temp = None


def _rename_without_replacing(temp: str, target: str) -> None:
    try:
        os.link(temp, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}:
            raise
        # A file system without hard links: check, then rename, with a moment in between.
        if os.path.lexists(target):
            raise FileExistsError from error
        os.rename(temp, target)
        return
    os.unlink(temp)


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems have no such call
            raise output_error(error, directory) from error
    finally:
        os.close(descriptor)


def _is_special(target: str) -> bool:
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _open_directly(target: str) -> StagedFile:
    """Open a pipe or device for writing: neither created nor truncated."""
    return StagedFile(os.open(target, os.O_WRONLY | os.O_CLOEXEC), target)
