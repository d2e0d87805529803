"""What this machine remembers of keyrings it has opened: the newest generation, so that an older one is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from pydp_cli.errors import KeyringError, OutputError, Refused
from pydp_cli.keys.unlock import read_private_file

MOST_BYTES = 1 << 16


@dataclass(frozen=True)
class Seen:
    """What is remembered of one ring: the newest generation, its path, and the commands that it may run here."""

    generation: int = 0
    path: str = ""
    commands: frozenset[str] = frozenset()


def recall(folder: Path, ring_id: str) -> Seen:
    """Give what is remembered of a ring; nothing, if it was never opened here."""
    return _read(_file(folder, ring_id))


def remember(folder: Path, ring_id: str, generation: int, path: Path, commands: Iterable[tuple[str, ...]]) -> None:
    """Remember an opened ring; raises `Refused` if a newer generation was seen before."""
    known = recall(folder, ring_id)
    if generation < known.generation:
        raise Refused(
            f"the keyring is older than one that was used before (generation {generation}, seen {known.generation})",
            place=str(path),
            hint="put the newest keyring back; if that is lost, what was seen is noted in "
            + str(_file(folder, ring_id)),
        )
    now = Seen(generation, str(path), frozenset(command_digest(command) for command in commands))
    if now != known:
        _write(_file(folder, ring_id), now)


def was_replaced(folder: Path, ring_id: str, path: Path) -> bool:
    """Tell whether another ring was opened under this path, and this one never."""
    if _file(folder, ring_id).exists():
        return False
    return any(_read(file).path == str(path) for file in folder.glob("*.keyring.json"))


def command_digest(command: tuple[str, ...]) -> str:
    """Name a command by its digest."""
    return sha256(json.dumps(list(command)).encode()).hexdigest()


def _file(folder: Path, ring_id: str) -> Path:
    """Name the note on a ring by a digest: the id is read from a file that anyone may have written."""
    return folder / f"{sha256(ring_id.encode()).hexdigest()[:32]}.keyring.json"


def _read(file: Path) -> Seen:
    if not file.exists():
        return Seen()
    try:
        known: dict[str, Any] = json.loads(read_private_file(file, "note on the keyring", most=MOST_BYTES))
        return Seen(int(known["generation"]), str(known["path"]), frozenset(known["commands"]))
    except (ValueError, KeyError, TypeError) as error:
        raise KeyringError(
            "the note on the newest keyring is damaged",
            place=str(file),
            hint="check that the keyring is the newest one, then remove the note",
        ) from error


def _write(file: Path, seen: Seen) -> None:
    text = json.dumps({"generation": seen.generation, "path": seen.path, "commands": sorted(seen.commands)})
    temp = file.with_name(f".{file.name}.{token_hex(8)}.tmp")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            temp.replace(file)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            f"the newest generation of the keyring cannot be noted ({error.strerror})", place=str(file)
        ) from error
