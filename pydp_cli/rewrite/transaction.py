"""Replace and delete many files, all of them or none.

    with run_lock(state_dir, "erase-user"):
        with Transaction.begin(state_dir, "erase-user") as transaction:
            transaction.plan(paths)
            for path in paths:
                with transaction.replacement(path) as stream:
                    ...
            outcome = transaction.commit()

Until the journal's commit record is on disk, nothing has changed, and leaving the block undoes what was staged. From
then on the swaps are carried out, by this run or by `recovery.resume`. A file that somebody else changed after it was
planned is left as it is, and named in the outcome.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, cast

from pydp_cli.datasets.attributes import copy_attributes
from pydp_cli.datasets.presence import is_there
from pydp_cli.datasets.staging_files import StagedFile, output_error
from pydp_cli.errors import InputError, TemporaryFailure, UsageError
from pydp_cli.rewrite.fingerprint import Fingerprint, digest_of
from pydp_cli.rewrite.journal import Journal, Record, open_journals, sync_folder

_SYNCED_TOGETHER, _SYNCED_ALONE, _SYNCS_AT_ONCE = 64, 4, 8
_HASHED_AT_ONCE = 2
_NAME_BYTES = 180  # of the target's name; file systems allow 255 in all
NOTHING: Mapping[str, Fingerprint] = {}
UNFINISHED = "finish it with --resume, or undo it with --abort if it was not committed"


@dataclass(frozen=True)
class Outcome:
    """What came of a transaction.

    `left` are files that stayed as they are, because they were changed by somebody else after they were planned, or
    what was staged for them was.
    """

    replaced: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@dataclass
class Transaction:
    """Changes that are staged and not yet made. The caller holds the state folder's lock."""

    journal: Journal
    id: str
    planned: dict[str, Fingerprint] = field(default_factory=dict)
    _changes: dict[str, Record] = field(default_factory=dict)
    _staged: dict[str, Fingerprint] = field(default_factory=dict)
    _unsynced: list[tuple[int, str]] = field(default_factory=list)
    """Staged files that are not on the disk yet: an open descriptor, and what the file is to replace."""
    _ended: bool = False
    _lock: Lock = field(default_factory=Lock, repr=False)
    """Several files may be staged at the same time, by threads of one run."""

    @classmethod
    def begin(cls, state_dir: Path, command: str, details: dict[str, Any] | None = None) -> Transaction:
        """Open a journal; raises `TemporaryFailure` where an earlier transaction has not come to its end."""
        for journal in open_journals(state_dir):
            began = journal.find("begin") or {}
            raise TemporaryFailure(
                f"an earlier run was interrupted ({began.get('command', 'unknown')})",
                place=str(journal.path),
                hint=UNFINISHED,
            )
        transaction = secrets.token_hex(8)
        journal = Journal.create(state_dir, transaction)
        journal.append("begin", id=transaction, command=command, details=details or {})
        return cls(journal, transaction)

    def __enter__(self) -> Transaction:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended and self.journal.find("commit") is None:
            self.abort()

    def plan(self, paths: Iterable[str | Path]) -> dict[str, Fingerprint]:
        """Note what the files are now, before anything is decided from their content; links are followed.

        Raises `UsageError` for a file with several names, of which only one would be changed.
        """
        reals = list(dict.fromkeys(map(os.path.realpath, paths)))
        for real in reals:
            _refuse_odd(real)
        with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
            found = dict(zip(reals, pool.map(Fingerprint.take, reals), strict=True))
        self.journal.append("plan", files={path: asdict(print_) for path, print_ in found.items()})
        self.planned |= found
        return found

    @contextmanager
    def replacement(self, path: str | Path, *, verify: Callable[[str], None] | None = None) -> Iterator[BinaryIO]:
        """Write what a planned file is to become. `verify` is given the staged file's path, and raises to refuse it."""
        real = self._planned(path)
        temp = staged_path(real, self.id)
        try:
            descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise output_error(error, real) from error
        stream = StagedFile(descriptor, real)
        try:
            yield cast("BinaryIO", stream)
            stream.flush()
            copy_attributes(real, descriptor, place=real)
            with self._lock:
                self._unsynced.append((os.dup(descriptor), real))
            stream.close()
        except BaseException as error:
            stream.abandon()
            os.unlink(temp)  # noqa: PTH108 - paths are strings here
            if isinstance(error, OSError):
                raise output_error(error, real) from error
            raise
        if verify is not None:
            try:
                verify(temp)
            except BaseException:  # the other files of the transaction may be committed without this one
                os.unlink(temp)  # noqa: PTH108 - paths are strings here
                raise
        with self._lock:
            if len(self._unsynced) >= _SYNCED_TOGETHER:
                self._sync()
        after = self._staged[real] = Fingerprint.take(temp)
        self._changes[real] = {"action": "replace", "sha256": after.sha256, "size": after.size}

    def deletion(self, path: str | Path) -> None:
        """Note that a planned file is to go."""
        self._changes[self._planned(path)] = {"action": "delete"}

    def note(self, **fields: Any) -> None:
        """Keep something in the journal that is told of the changes when they are made."""
        self.journal.append("note", **fields)

    def digests(self) -> dict[str, tuple[str, str | None]]:
        """Give for each changed file the SHA-256 before and after; None for one that goes."""
        return {path: (self.planned[path].sha256, change.get("sha256")) for path, change in self._changes.items()}

    def commit(self) -> Outcome:
        """Make all changes; raises `TemporaryFailure` where that is interrupted, to be finished by `resume`."""
        self._sync()
        for folder in sorted({os.path.dirname(path) for path in self._changes}):  # noqa: PTH120
            sync_folder(Path(folder))
        self.journal.append("commit", files=self._changes)
        try:
            return finish(self.journal, self._staged)
        except OSError as error:
            reason = (error.strerror or "error").lower()
            raise TemporaryFailure(
                f"the changes were committed, and making them was interrupted ({reason})",
                place=str(self.journal.path),
                hint="run again with --resume",
            ) from error

    def abort(self) -> None:
        """Remove what is staged; nothing was changed."""
        self._ended = True
        while self._unsynced:
            os.close(self._unsynced.pop()[0])
        undo(self.journal)

    def _sync(self) -> None:
        """Bring what is staged to the disk; of many files several at a time, which file systems write as one."""
        if len(self._unsynced) > _SYNCED_ALONE:
            with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
                list(pool.map(_synced, self._unsynced))
        else:
            for one in self._unsynced:
                _synced(one)
        while self._unsynced:
            os.close(self._unsynced.pop()[0])

    def _planned(self, path: str | Path) -> str:
        real = os.path.realpath(path)
        if real not in self.planned:
            raise ValueError("a file is changed only after it was planned")
        return real


def _synced(one: tuple[int, str]) -> None:
    descriptor, real = one
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise output_error(error, real) from error


def staged_path(real: str, transaction: str) -> str:
    """Name the staged file beside its target; other runs do not take it for a temp file that they may remove."""
    folder, name = os.path.split(real)
    stem = os.fsdecode(os.fsencode(name)[:_NAME_BYTES])
    return os.path.join(folder, f".{stem}.pydp-{transaction}.staged")  # noqa: PTH118


def finish(journal: Journal, staged: Mapping[str, Fingerprint] = NOTHING) -> Outcome:
    """Carry out what is committed, as far as it is not done yet; doing it again changes nothing.

    `staged` says what the staged files were when this run wrote them; they are read again where that is not known.
    """
    sealed = journal.find("sealed")
    if sealed is not None:
        journal.seal()
        return Outcome(*(tuple(sealed[name]) for name in ("replaced", "deleted", "left")))
    transaction, planned, changes = _contents(journal)
    done: dict[str, list[str]] = {"replace": [], "delete": [], "left": []}
    for path, change in changes.items():
        made = (
            _replace(path, change, planned[path], transaction, staged.get(path))
            if change["action"] == "replace"
            else _delete(path, planned[path])
        )
        done[change["action"] if made else "left"].append(path)
    for folder in sorted({os.path.dirname(path) for path in changes}):  # noqa: PTH120
        sync_folder(Path(folder))
    outcome = Outcome(tuple(done["replace"]), tuple(done["delete"]), tuple(done["left"]))
    journal.append("sealed", **asdict(outcome))
    journal.seal()
    return outcome


def undo(journal: Journal) -> None:
    """Remove the staged files of a transaction that is not committed."""
    transaction, planned, _ = _contents(journal)
    for path in planned:
        temp = staged_path(path, transaction)
        try:
            if is_there(temp):  # where nothing can be written, not even what is not there can be removed
                os.unlink(temp)  # noqa: PTH108
        except FileNotFoundError:
            pass
        except OSError as error:
            raise output_error(error, path) from error
    if journal.find("aborted") is None:
        journal.append("aborted")
    journal.seal()


def _contents(journal: Journal) -> tuple[str, dict[str, Fingerprint], dict[str, Record]]:
    began, commit = journal.find("begin"), journal.find("commit")
    planned = {
        path: Fingerprint.read(print_)
        for record in journal.records
        if record["kind"] == "plan"
        for path, print_ in record["files"].items()
    }
    return "" if began is None else began["id"], planned, {} if commit is None else commit["files"]


def _replace(path: str, change: Record, planned: Fingerprint, transaction: str, staged: Fingerprint | None) -> bool:
    """Swap one file in; False where somebody changed it meanwhile."""
    temp = staged_path(path, transaction)
    if not is_there(temp):  # swapped before the interruption, or left alone then
        return bool(digest_of(path) == change["sha256"])
    is_sound = (staged is not None and staged.still_holds(temp)) or digest_of(temp) == change["sha256"]
    if not planned.still_holds(path) or not is_sound:
        os.unlink(temp)  # noqa: PTH108
        return False
    os.replace(temp, path)  # noqa: PTH105
    return True


def _delete(path: str, planned: Fingerprint) -> bool:
    """Delete one file; False where somebody changed it meanwhile."""
    if not is_there(path):
        return True
    if not planned.still_holds(path):
        return False
    os.unlink(path)  # noqa: PTH108
    return True


def _refuse_odd(real: str) -> None:
    try:
        status = os.stat(real)  # noqa: PTH116
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=real) from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is not a file", place=real)
    if status.st_nlink > 1:
        raise UsageError(
            "has more than one hard link, and only this name would be changed",
            place=real,
            hint="remove the other links",
        )
