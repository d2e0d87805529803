"""What a file was when it was looked at, so that it is known whether it is still that."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydp_cli.errors import InputError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """A file's size in bytes, times of change in nanoseconds, device and inode, and the SHA-256 of its content."""

    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int
    sha256: str

    @classmethod
    def take(cls, path: str | Path) -> Fingerprint:
        """Look at a file; raises `InputError` where it cannot be read or changes meanwhile."""
        try:
            with Path(path).open("rb", buffering=0) as file:
                before = os.fstat(file.fileno())
                digest = hashlib.sha256()
                while block := file.read(_BLOCK):
                    digest.update(block)
                after = os.fstat(file.fileno())
        except OSError as error:
            raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=str(path)) from error
        if _stat_of(before) != _stat_of(after):
            raise InputError("changed while it was read", place=str(path), hint="run again when nothing writes to it")
        return cls(*_stat_of(after), digest.hexdigest())

    @classmethod
    def read(cls, record: dict[str, Any]) -> Fingerprint:
        """Take a fingerprint out of a journal's record."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__})

    def still_holds(self, path: str | Path) -> bool:
        """Tell whether the file at a path is the very one that was looked at, and untouched."""
        try:
            status = Path(path).lstat()
        except FileNotFoundError:
            return False
        return _stat_of(status) == (self.size, self.mtime_ns, self.ctime_ns, self.device, self.inode)


def digest_of(path: str | Path) -> str | None:
    """Give the SHA-256 of a file's content; None where there is no file."""
    try:
        return Fingerprint.take(path).sha256
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _stat_of(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino
