"""What this machine remembers of ledgers it has used: the newest generation, so that an older copy is refused."""

from __future__ import annotations

import fcntl
import os
from hashlib import sha256
from pathlib import Path


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
