"""Carry a file's owner, mode and extended attributes over to the file that replaces it."""

# Paths are strings here, as users wrote them: pathlib would normalise `./` and trailing slashes away.
# ruff: noqa: PTH116

from __future__ import annotations

import errno
import os
import stat

from pydp_cli.errors import OutputError


def copy_attributes(source: str, descriptor: int, *, place: str) -> None:
    """Give the open file the owner, mode, and extended attributes (access lists among them) of `source`.

    An owner or access list that cannot be kept is an error: the rewritten file would be open to other people than
    before.
    """
    have, want = os.fstat(descriptor), os.stat(source)
    if (have.st_uid, have.st_gid) != (want.st_uid, want.st_gid):
        try:
            os.fchown(descriptor, want.st_uid, want.st_gid)
        except PermissionError as error:
            raise OutputError(
                "its owner or group cannot be kept",
                place=place,
                hint="run as its owner, or write to another file with -o",
            ) from error
    os.fchmod(descriptor, stat.S_IMODE(want.st_mode))
    if not hasattr(os, "listxattr"):
        return
    for name in _list_attributes(source):
        try:
            os.setxattr(descriptor, name, os.getxattr(source, name))
        except OSError as error:  # noqa: PERF203
            # Labels that the system sets by itself on the new file too, and that only root may copy.
            if name.startswith(("security.", "trusted.")) and error.errno in {errno.EPERM, errno.ENOTSUP}:
                continue
            raise OutputError(f"its extended attribute {name} cannot be kept", place=place) from error


def _list_attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.ENOSYS}:
            return []
        raise
