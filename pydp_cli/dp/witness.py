"""What is remembered of ledgers outside of them: the newest generation, so that an older copy is refused.

A user's machine remembers it, and so does the audit log of a policy, which travels with the state folder and which
cannot be cut back unnoticed.
"""

from __future__ import annotations

import fcntl
import os
from hashlib import sha256
from pathlib import Path

from pydp_cli.audit.verify import latest


class AuditWitness:
    """Reads the generations that an audit log has noted; what a command does is noted there by the command."""

    def __init__(self, state_dir: Path, machine: FileWitness) -> None:
        self._state_dir, self._machine = state_dir, machine

    def seen(self, ledger_id: str) -> int:
        """Give the highest generation that the log or the machine has seen, 0 for none."""
        newest = latest(self._state_dir, lambda entry: entry.details.get("ledger") == ledger_id)
        noted = 0 if newest is None else int(newest.details.get("generation", 0))
        return max(noted, self._machine.seen(ledger_id))

    def saw(self, ledger_id: str, generation: int) -> None:
        """Remember a generation on this machine."""
        self._machine.saw(ledger_id, generation)


class FileWitness:
    """Remembers generations in a folder of the user's own, one small file a ledger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def seen(self, ledger_id: str) -> int:
        """Give the highest generation that was seen, 0 for none."""
        path = self._path(ledger_id)
        return int(path.read_bytes() or b"0") if path.exists() else 0

    def saw(self, ledger_id: str, generation: int) -> None:
        """Remember a generation; a lower one than before changes nothing, so that processes may come in any order."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._path(ledger_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            known = int(os.pread(handle, 32, 0) or b"0")
            if generation > known:
                os.pwrite(handle, str(generation).encode(), 0)  # never shorter than what was there
                os.fsync(handle)
        finally:
            os.close(handle)

    def _path(self, ledger_id: str) -> Path:
        return self._folder / f"{sha256(ledger_id.encode()).hexdigest()[:32]}.ledger"
