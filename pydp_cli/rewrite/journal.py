"""The journal of a transaction: lines of JSON, each holding the hash of the one before, durable once appended.

A line that was being written when the machine stopped is the last one, has no line ending, and does not count. Anything
else that does not fit was altered.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydp_cli.errors import Tampered

Record = dict[str, Any]
FOLDER = "journal"
_FIRST = "0" * 64


@dataclass
class Journal:
    """A journal file that is open for appending, and what is in it."""

    path: Path
    records: list[Record] = field(default_factory=list)
    _last: str = _FIRST

    @classmethod
    def create(cls, state_dir: Path, transaction: str) -> Journal:
        """Begin an empty journal, 0600."""
        folder = state_dir / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{transaction}.jsonl"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sync_folder(folder)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Read a journal; a torn last line is cut off. Raises `Tampered`."""
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        journal = cls(path)
        for number, line in enumerate(whole.splitlines(), start=1):
            journal.records.append(_checked(line, journal._last, f"{path}:{number}"))
            journal._last = hashlib.sha256(line).hexdigest()
        if len(whole) < len(raw):
            os.truncate(path, len(whole))
        return journal

    def append(self, kind: str, **fields: Any) -> None:
        """Append one record, and return when it is on disk."""
        record = {"kind": kind, "previous": self._last, **fields}
        line = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor).st_size
            try:
                rest = line + b"\n"
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                # Half a record, or one that may not be on the disk, must not count, nor spoil the next one.
                os.truncate(descriptor, before)
                os.fsync(descriptor)
                raise
        finally:
            os.close(descriptor)
        self.records.append(record)
        self._last = hashlib.sha256(line).hexdigest()

    def find(self, kind: str) -> Record | None:
        """Give the record of a kind, if there is one."""
        return next((record for record in self.records if record["kind"] == kind), None)

    def seal(self) -> None:
        """Set the journal aside: what it tells is over and done."""
        self.path.rename(self.path.with_suffix(".sealed"))
        sync_folder(self.path.parent)


def open_journals(state_dir: Path) -> list[Journal]:
    """Read the journals of transactions that have not come to their end."""
    return [Journal.open(path) for path in sorted((state_dir / FOLDER).glob("*.jsonl"))]


def sealed_journals(state_dir: Path) -> list[Journal]:
    """Read the journals of transactions that came to their end, whether they were carried out or undone."""
    return [Journal.open(path) for path in sorted((state_dir / FOLDER).glob("*.sealed"))]


def _checked(line: bytes, previous: str, place: str) -> Record:
    try:
        record = json.loads(line)
        if isinstance(record, dict) and record["previous"] == previous and isinstance(record["kind"], str):
            return record
    except (ValueError, KeyError):
        pass
    raise Tampered("the journal was altered", place=place, hint="restore it, or the files that it speaks of")


def sync_folder(folder: Path) -> None:
    """Make what a folder lists durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
