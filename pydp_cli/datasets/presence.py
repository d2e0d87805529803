"""Tell what is at a path, and never take what cannot be told for nothing.

`os.path.isfile` and its kin say no wherever the system refuses to answer: a file in a folder that may not be entered,
or on a disk that fails, would be left out without a word. These raise `OSError` there.
"""

from __future__ import annotations

import errno
import os
import stat

_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def is_there(path: str) -> bool:
    """Tell whether anything has this name, also a link that leads nowhere."""
    return _mode(path, follow=False) is not None


def is_file(path: str) -> bool:
    """Tell whether a file is there, or a link leads to one."""
    mode = _mode(path, follow=True)
    return mode is not None and stat.S_ISREG(mode)


def is_folder(path: str) -> bool:
    """Tell whether a folder is there, or a link leads to one."""
    mode = _mode(path, follow=True)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: str, *, follow: bool) -> int | None:
    try:
        return os.stat(path, follow_symlinks=follow).st_mode  # noqa: PTH116 - paths are strings here
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise
