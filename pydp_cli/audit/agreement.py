"""Refuse to read a log that is not what its writers left: altered, cut off, or written over.

`verify` tells what is wrong and where, and checks signatures. This only compares the lines with the root in the log's
head, because it is done whenever events are read to decide something: a second or two for a million of them.
"""

from __future__ import annotations

from pathlib import Path

from pydp_cli.audit.merkle import leaf_hash, root_of
from pydp_cli.audit.segments import folder_of
from pydp_cli.errors import InputError, Refused


def require_agreement(state_dir: Path, what: str, hint: str) -> None:
    """Raise `Refused` where the lines are not those that the head saw, or a head was set aside because they were not.

    What a writer who died had not noted yet, and a torn last line, are no alteration. `what` names what is recorded.
    """
    folder = folder_of(state_dir)
    if not folder.numbers("jsonl") and not folder.numbers("seal") and not folder.head.exists():
        return
    try:
        head = folder.checkpoint(folder.head)  # before the lines: another process may be adding some
    except InputError:
        head = None
    if head is None or folder.conflicts():
        raise Refused(f"{what} were tampered with", place=str(folder.path), hint=hint)
    roots, lines = {}, 0
    for number in folder.numbers("jsonl"):
        found, _ = folder.lines(number)
        roots[number] = root_of([leaf_hash(line) for line in found])
        lines += len(found)
    size = head.checkpoint.size
    if size > lines or folder.tree(roots).root(size) != head.checkpoint.root:
        raise Refused(f"{what} were tampered with", place=str(folder.path), hint=hint)
