"""Drop old segments of the log: their lines go, their seals stay, and the rest still verifies."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydp_cli.audit.lines import read_line, stamp
from pydp_cli.audit.log import Clock, append, locked
from pydp_cli.audit.segments import folder_of
from pydp_cli.audit.signing import Signer
from pydp_cli.audit.verify import verify
from pydp_cli.errors import Refused


def drop_before(state_dir: Path, moment: datetime, *, clock: Clock, signer: Signer | None = None) -> list[int]:
    """Drop the sealed segments whose last line is older than a moment; give their numbers.

    The log is verified first, because what is dropped cannot be looked at any more. The entry that says so is durable
    before a file goes.
    """
    folder = folder_of(state_dir)
    due: list[int] = []
    for number in folder.numbers("jsonl"):
        lines = folder.lines(number)[0]
        last = read_line(lines[-1]) if lines else None
        if not folder.seal(number).exists() or last is None or last.time >= stamp(moment):
            break
        due.append(number)
    if not due:
        return []
    if not verify(state_dir).sound:
        raise Refused("the audit log does not verify", place=str(folder.path), hint="`pydp audit verify`")
    append(state_dir, "audit.dropped", {"segments": due, "before": stamp(moment)}, clock=clock, signer=signer)
    with locked(folder):
        for number in due:
            folder.segment(number).unlink(missing_ok=True)
    return due
