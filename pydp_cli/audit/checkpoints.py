"""Checkpoints: how long the log is and what its tree's root is, in the format of c2sp.org/tlog-checkpoint.

    pydp-audit-0f3c…
    1024
    <root, base64>

A seal is the checkpoint at the end of a full segment, with two more lines: the segment's own root and the hash of its
last line. They let the segment be dropped, and the rest still be verified.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from pydp_cli.audit.merkle import HASH_BYTES
from pydp_cli.audit.notes import Note, Verifier, check_note, parse_note, sign_note
from pydp_cli.audit.signing import Signer
from pydp_cli.errors import InputError

_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a log at some time; `segment_root` and `last` only where it is a seal."""

    origin: str
    size: int
    root: bytes
    segment_root: bytes | None = None
    last: str | None = None

    def to_text(self) -> str:
        """Write what is signed."""
        lines = [self.origin, str(self.size), b64encode(self.root).decode()]
        if self.segment_root is not None:
            lines += [f"segment {b64encode(self.segment_root).decode()}", f"last {self.last}"]
        return "\n".join(lines) + "\n"

    def to_note(self, signer: Signer | None) -> str:
        """Write the checkpoint as a note, signed where there is somebody to sign."""
        text = self.to_text()
        return f"{text}\n" if signer is None else sign_note(text, self.origin, signer.key)


@dataclass(frozen=True)
class Found:
    """A checkpoint as it was read, with its signatures still to be checked."""

    checkpoint: Checkpoint
    note: Note
    raw: str

    def signed_by(self, verifiers: list[Verifier]) -> Verifier | None:
        """Give the known key that signed it; a wrong signature raises `Refused`."""
        return check_note(self.note, verifiers)


def read_checkpoint(raw: str, place: str) -> Found:
    """Read a checkpoint, signed or not; raises `InputError` where it is none."""
    try:
        note = Note(raw[:-1]) if raw.count("\n\n") == 1 and raw.endswith("\n\n") else parse_note(raw)
        return Found(_read_text(note.text), note, raw)
    except (ValueError, InputError):
        raise InputError("not a checkpoint of an audit log", place=place) from None


def _read_text(text: str) -> Checkpoint:
    """Read what is signed; raises `ValueError` for any but the form that is written."""
    lines = text.split("\n")
    origin, size, root = lines[:3]
    more = dict(line.split(" ", 1) for line in lines[3:-1])
    if not origin or "+" in origin or " " in origin or not _SIZE.fullmatch(size):
        raise ValueError("a malformed line")
    segment = b64decode(more["segment"], validate=True) if "segment" in more else None
    found = Checkpoint(origin, int(size), b64decode(root, validate=True), segment, more.get("last"))
    if {len(found.root), len(segment or found.root)} != {HASH_BYTES} or found.to_text() != text:
        raise ValueError("a malformed hash")
    return found
