"""Tell whether a file is still the one that was opened: its identity, size and time of change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

State = tuple[int, int, int, int]
"""Device, inode, size in bytes, time of change in nanoseconds."""


def file_state(file: Any) -> State:
    """Read the state of an open file."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def state_of(path: str | Path) -> State:
    """Read the state of the file that is at a path now."""
    with Path(path).open("rb", buffering=0) as file:
        return file_state(file)
