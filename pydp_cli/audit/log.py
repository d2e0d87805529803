"""Append to the log: safe for many processes, durable when it returns, and never over evidence.

    append(policy.state_dir, "erase.commit", {"files": 3, "rows": 17}, clock=utc_now, signer=signer_of(keyring))

The details are counts, names of the policy and digests: never a value of the data. Without a signer the entry is
chained all the same, and the next signed checkpoint covers it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from pydp_cli.audit.checkpoints import Checkpoint, Found
from pydp_cli.audit.lines import NO_LINE, Entry, check_event, digest_of, read_line, stamp, without_personal
from pydp_cli.audit.merkle import root_of
from pydp_cli.audit.notes import Verifier
from pydp_cli.audit.segments import SEGMENT_LINES, Folder, folder_of
from pydp_cli.audit.signing import Signer
from pydp_cli.errors import InputError, OutputError

Clock = Callable[[], datetime]
Event = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Appended:
    """Where an entry went: its number, and the hash of its line."""

    seq: int
    digest: str


def append(
    state_dir: Path, event: str, details: Mapping[str, Any], *, clock: Clock, signer: Signer | None = None
) -> Appended:
    """Append one entry, and give its place; it is on the disk when this returns."""
    return append_all(state_dir, [(event, details)], clock=clock, signer=signer)[-1]


def append_all(
    state_dir: Path, events: Sequence[Event], *, clock: Clock, signer: Signer | None = None
) -> list[Appended]:
    """Append several entries, made durable together; raises `OutputError` where the log cannot be written."""
    for name, _ in events:
        check_event(name)
    folder = folder_of(state_dir)
    try:
        with locked(folder):
            _remove_torn_files(folder)
            writer = _Writer.at_the_end(folder, clock, signer)
            added = [writer.add(name, details) for name, details in events]
            writer.finish()
    except OSError as error:
        raise OutputError(f"the audit log cannot be written ({error.strerror})", place=str(folder.path)) from error
    return added


@contextmanager
def locked(folder: Folder) -> Iterator[None]:
    """Keep other writers out for as long as this takes: they wait."""
    _make_private(folder.path)
    handle = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def tidy(state_dir: Path) -> None:
    """Remove what a writer who died left beside a log, where there is one; the next entry would, too."""
    folder = folder_of(state_dir)
    if folder.path.exists():
        with locked(folder):
            _remove_torn_files(folder)


def _remove_torn_files(folder: Folder) -> None:
    """Remove what a writer who died had not put in place; whoever calls this holds the lock."""
    for path in folder.path.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone."""
    if not folder.parent.exists():
        _make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


class _Writer:
    """Adds lines behind the last whole one. Whoever has it holds the lock."""

    def __init__(self, folder: Folder, clock: Clock, signer: Signer | None) -> None:
        self.folder, self.clock, self.signer = folder, clock, signer
        self.user, self.host = _user(), socket.gethostname()
        self.origin, self.seq, self.prev = "", 0, NO_LINE
        self.buffer: list[bytes] = []
        self.tree = folder.tree()

    @classmethod
    def at_the_end(cls, folder: Folder, clock: Clock, signer: Signer | None) -> _Writer:
        """Find the end of the log, cut off a torn line, and note what does not agree with the checkpoints."""
        writer = cls(folder, clock, signer)
        last = max(folder.numbers("jsonl") + folder.numbers("seal"), default=None)
        marks = [path for path in (folder.head, folder.signed) if path.exists()]
        if last is None and not marks:
            writer.origin = f"pydp-audit-{token_hex(8)}"
            empty = Checkpoint(writer.origin, 0, writer.tree.root(0))
            replace_file(folder.head, empty.to_note(None))  # first, so that a head that is missing was taken away
            writer.add("audit.begin", {"log": writer.origin})
            return writer
        torn = writer._find_end(last or 0)
        found = {path: writer._read(path) for path in marks}
        writer.origin = next((one.checkpoint.origin for one in found.values() if one), "") or writer._origin_of_log()
        if not writer.seq and all(mark is not None and not mark.checkpoint.size for mark in found.values()):
            writer.add("audit.begin", {"log": writer.origin})  # whoever began it died before the first line
        for path, mark in found.items():
            if mark is None or not writer._extends(mark):
                writer._set_aside(path, mark)
        if torn:
            writer.add("audit.repaired", {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()})
        return writer

    def add(self, event: str, details: Mapping[str, Any]) -> Appended:
        """Chain one more line; `finish` writes the last ones."""
        if self.seq and self.seq % SEGMENT_LINES == 0:
            self._seal(self.seq // SEGMENT_LINES - 1)
        entry = Entry(self.seq, stamp(self.clock()), event, without_personal(details), self.prev, self.user, self.host)
        line = entry.to_line()
        self.buffer.append(line)
        self.seq, self.prev = self.seq + 1, digest_of(line)
        return Appended(entry.seq, self.prev)

    def finish(self) -> None:
        """Make everything durable, then say how long the log is."""
        self._flush((self.seq - 1) // SEGMENT_LINES)
        checkpoint = Checkpoint(self.origin, self.seq, self.tree.root(self.seq))
        if self.signer is not None:
            self._know_key(self.signer)
            replace_file(self.folder.signed, checkpoint.to_note(self.signer))
        replace_file(self.folder.head, checkpoint.to_note(None))

    def _find_end(self, number: int) -> bytes:
        """Set `seq` and `prev` behind the last whole line, and give the torn bytes that were cut off there."""
        lines, torn = self.folder.lines(number)
        if torn:
            _cut(self.folder.segment(number), len(torn))
        if lines:
            entry = read_line(lines[-1])
            self.seq = number * SEGMENT_LINES + len(lines) if entry is None else entry.seq + 1
            self.prev = digest_of(lines[-1])
        elif number or self.folder.seal(number).exists():
            before = number if self.folder.seal(number).exists() else number - 1
            seal = self.folder.checkpoint(self.folder.seal(before))
            if seal is not None:
                self.seq, self.prev = seal.checkpoint.size, seal.checkpoint.last or NO_LINE
        return torn

    def _read(self, path: Path) -> Found | None:
        """Read a checkpoint; None where it is damaged."""
        try:
            return self.folder.checkpoint(path)
        except InputError:
            return None

    def _origin_of_log(self) -> str:
        first = next(iter(self.folder.lines(0)[0]), b"")
        entry = read_line(first)
        return str(entry.details.get("log")) if entry is not None else f"pydp-audit-{token_hex(8)}"

    def _extends(self, mark: Found) -> bool:
        """Tell whether the log is what a checkpoint saw, and perhaps more."""
        size = mark.checkpoint.size
        return size <= self.seq and self.tree.root(size) == mark.checkpoint.root

    def _set_aside(self, path: Path, mark: Found | None) -> None:
        """Keep a checkpoint that the log does not agree with: writing a new one would destroy the evidence."""
        name = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        path.replace(path.with_name(f"conflict-{name}.txt"))
        size = None if mark is None else mark.checkpoint.size
        self.add("audit.conflict", {"checkpoint": size, "lines": self.seq})

    def _flush(self, number: int) -> None:
        if not self.buffer:
            return
        path = self.folder.segment(number)
        new = not path.exists()
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write_all(handle, b"".join(line + b"\n" for line in self.buffer))
            os.fsync(handle)
        finally:
            os.close(handle)
        self.buffer.clear()
        self.tree = self.folder.tree()
        if new:
            sync_folder(self.folder.path)

    def _seal(self, number: int) -> None:
        self._flush(number)
        if not self.folder.seal(number).exists():
            leaves = self.tree.leaves(number)
            root = self.tree.root(self.seq)
            seal = Checkpoint(self.origin, self.seq, root, root_of(leaves), self.prev)
            replace_file(self.folder.seal(number), seal.to_note(self.signer))
            if self.signer is not None:
                self._know_key(self.signer)

    def _know_key(self, signer: Signer) -> None:
        vkey = Verifier(self.origin, signer.public).to_text()
        try:
            known = self.folder.keys.read_text(encoding="utf-8").splitlines() if self.folder.keys.exists() else []
        except UnicodeDecodeError:  # it was altered: `verify` tells, and what is recorded goes on
            return
        if vkey not in known:
            replace_file(self.folder.keys, "\n".join([*known, vkey]) + "\n")


def replace_file(path: Path, text: str) -> None:
    """Put a small file in place: the old one or the new one is there after a crash."""
    temp = path.with_name(f".{path.name}.{token_hex(8)}.tmp")
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            _write_all(handle, text.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cut(path: Path, torn: int) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(handle, os.fstat(handle).st_size - torn)
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _user() -> str:
    """Name the account that runs this; its number where it has no name. The environment is not asked: it can lie."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
