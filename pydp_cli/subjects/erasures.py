"""Erasures that have begun: what must be known to finish one after a crash, kept until its certificate is written.

A record is a file in `erasures` of the state folder. It has the people, encrypted, and the digest of the policy that
was meant; what was changed is in the journals of its transactions. It is replaced whole, and durable once written.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydp_cli.errors import Tampered
from pydp_cli.keys.keyring import Keyring
from pydp_cli.rewrite.journal import sync_folder
from pydp_cli.rewrite.recovery import carried_out
from pydp_cli.subjects.sealed_people import open_people, seal_people
from pydp_cli.subjects.subject import Subject

COMMAND = "erase-user"


@dataclass
class Erasure:
    """One erasure: its id, the policy and plan it is by, and its people, encrypted.

    `finished` is the digest of the certificate. From then on the record names nobody any more.
    """

    id: str
    policy: str
    people: str = field(repr=False)
    plan: str | None = None
    merge: bool = False
    request: str | None = None
    finished: str | None = None

    def subjects(self, keyring: Keyring) -> list[Subject]:
        """Give whom it is about."""
        return open_people(keyring, "erasure", self.id, b64decode(self.people))


def sealed(keyring: Keyring, erasure: str, subjects: Sequence[Subject]) -> str:
    """Encrypt the people of an erasure, as text."""
    return b64encode(seal_people(keyring, "erasure", erasure, subjects)).decode()


def save(state_dir: Path, erasure: Erasure) -> None:
    """Write a record, and return when it is on disk."""
    folder = erasures_folder(state_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{erasure.id}.json"
    temp = folder / f".{erasure.id}.json.tmp"
    descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(asdict(erasure), sort_keys=True).encode())
        file.flush()
        os.fsync(descriptor)
    temp.replace(path)
    sync_folder(folder)


def all_erasures(state_dir: Path) -> list[Erasure]:
    """Read the records, finished ones too."""
    return [_read(path) for path in sorted(erasures_folder(state_dir).glob("*.json"))]


def _read(path: Path) -> Erasure:
    try:
        return Erasure(**json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise Tampered("the record of an erasure was altered", place=str(path), hint="restore it") from None


def unfinished(state_dir: Path) -> list[Erasure]:
    """Give the erasures that have no certificate yet."""
    return [one for one in all_erasures(state_dir) if one.finished is None]


def changes_of(state_dir: Path, erasure: Erasure) -> list[dict[str, Any]]:
    """Give for each file that an erasure changed the counts, and the digests before and after.

    `real` is where the file is, and is not for others: folders may be named after people.
    """
    return [
        file
        for done in carried_out(state_dir, COMMAND)
        if done.details.get("erasure") == erasure.id
        for note in done.notes
        for file in note["files"]
        if file["real"] not in done.left
    ]


def finish(state_dir: Path, erasure: Erasure, certificate: str) -> None:
    """Note that an erasure is over, and forget whom it was about."""
    erasure.finished, erasure.people = certificate, ""
    save(state_dir, erasure)


def forget(state_dir: Path, erasure: Erasure) -> None:
    """Remove the record of an erasure that was given up before it changed anything."""
    folder = erasures_folder(state_dir)
    (folder / f"{erasure.id}.json").unlink(missing_ok=True)
    sync_folder(folder)


def tidy(state_dir: Path) -> None:
    """Remove records that were not yet put in place when a run ended; the caller holds the lock."""
    for path in erasures_folder(state_dir).glob(".*.json.tmp"):
        path.unlink(missing_ok=True)


def erasures_folder(state_dir: Path) -> Path:
    """Give the folder of the records."""
    return Path(state_dir) / "erasures"
