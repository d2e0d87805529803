"""Proofs that an entry is in the log, in the format of c2sp.org/tlog-proof, checked offline with a public key.

The proof carries the entry's own line as its extra data, the path to the root, and the signed checkpoint.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path

from pydp_cli.audit.checkpoints import read_checkpoint
from pydp_cli.audit.lines import Entry, read_line
from pydp_cli.audit.merkle import leaf_hash, root_by_proof
from pydp_cli.audit.notes import Verifier
from pydp_cli.audit.segments import SEGMENT_LINES, folder_of
from pydp_cli.errors import InputError, Refused

HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class Proven:
    """What a proof proves: the entry, and the log's state that it is part of."""

    entry: Entry
    origin: str
    size: int


def prove(state_dir: Path, seq: int) -> str:
    """Write the proof that line `seq` is under the last signed checkpoint."""
    folder = folder_of(state_dir)
    found = folder.checkpoint(folder.signed)
    if found is None:
        raise InputError(
            "the audit log has no signed checkpoint", place=str(folder.path), hint="`pydp audit anchor` signs one"
        )
    size = found.checkpoint.size
    lines = folder.lines(seq // SEGMENT_LINES)[0]
    at = seq % SEGMENT_LINES
    if seq >= size or at >= len(lines):
        raise InputError(f"line {seq} is not in the log, or not under a signed checkpoint", place=str(folder.path))
    path = folder.tree().proof(seq, size)
    if root_by_proof(leaf_hash(lines[at]), seq, size, path) != found.checkpoint.root:
        raise Refused("the log does not agree with its checkpoint", place=str(folder.path), hint="`pydp audit verify`")
    hashes = [b64encode(one).decode() for one in path]
    extra = f"extra {b64encode(lines[at]).decode()}"
    return "\n".join([HEADER, extra, f"index {seq}", *hashes, "", found.raw])


def check_proof(text: str, public_keys: list[bytes], place: str) -> Proven:
    """Check a proof offline; raises `Refused` where it proves nothing, `InputError` where it is none."""
    head, _, note = text.partition("\n\n")
    try:
        line, seq, path = _read_head(head.split("\n"))
    except ValueError:
        raise InputError("not a proof of the audit log", place=place) from None
    found = read_checkpoint(note, place)
    checkpoint = found.checkpoint
    if found.signed_by([Verifier(checkpoint.origin, public) for public in public_keys]) is None:
        raise Refused("the checkpoint is not signed by a known key", place=place)
    entry = read_line(line)
    if (
        entry is None
        or entry.seq != seq
        or root_by_proof(leaf_hash(line), seq, checkpoint.size, path) != checkpoint.root
    ):
        raise Refused("the proof is wrong: the entry is not under this checkpoint", place=place)
    return Proven(entry, checkpoint.origin, checkpoint.size)


def _read_head(lines: list[str]) -> tuple[bytes, int, list[bytes]]:
    header, extra, index, *hashes = lines
    if header != HEADER or not extra.startswith("extra ") or not index.startswith("index "):
        raise ValueError("not the lines of a proof")
    return b64decode(extra[6:], validate=True), int(index[6:]), [b64decode(one, validate=True) for one in hashes]
