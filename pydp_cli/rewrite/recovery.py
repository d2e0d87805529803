"""What to do about a transaction that was interrupted: finish it where it was committed, undo it where it was not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydp_cli.errors import Refused
from pydp_cli.rewrite.journal import Journal, open_journals, sealed_journals
from pydp_cli.rewrite.transaction import Outcome, finish, undo


@dataclass(frozen=True)
class Interrupted:
    """A transaction that has not come to its end."""

    journal: Journal
    command: str
    details: dict[str, Any]
    committed: bool


def interrupted(state_dir: Path) -> list[Interrupted]:
    """Find the transactions that have not come to their end; raises `Tampered` where a journal was altered."""
    return [_told(journal) for journal in open_journals(state_dir)]


def resume(state_dir: Path) -> list[tuple[Interrupted, Outcome]]:
    """Finish what was committed and undo what was not; an undone transaction has an empty outcome.

    The caller holds the lock. Doing it again changes nothing.
    """
    ended = []
    for found in interrupted(state_dir):
        outcome = Outcome()
        if found.committed:
            outcome = finish(found.journal)
        else:
            undo(found.journal)
        ended.append((found, outcome))
    return ended


def abort(state_dir: Path) -> list[Interrupted]:
    """Undo what was not committed; raises `Refused` where something was, for it can only be finished."""
    ended = interrupted(state_dir)
    for found in ended:
        if found.committed:
            raise Refused(
                f"the changes of {found.command} were committed, and can only be finished",
                place=str(found.journal.path),
                hint="run with --resume",
            )
    for found in ended:
        undo(found.journal)
    return ended


@dataclass(frozen=True)
class CarriedOut:
    """A transaction whose changes were made: what its command noted, and the files that were left as they were."""

    details: dict[str, Any]
    notes: list[dict[str, Any]]
    left: tuple[str, ...]


def carried_out(state_dir: Path, command: str) -> list[CarriedOut]:
    """Give what a command's finished transactions have changed; those that were undone are not among them."""
    found = []
    for journal in sealed_journals(state_dir):
        began, ended = journal.find("begin") or {}, journal.find("sealed")
        if began.get("command") == command and ended is not None and journal.find("commit") is not None:
            notes = [record for record in journal.records if record["kind"] == "note"]
            found.append(CarriedOut(dict(began["details"]), notes, tuple(ended["left"])))
    return found


def _told(journal: Journal) -> Interrupted:
    began = journal.find("begin") or {}
    committed = journal.find("commit") is not None
    return Interrupted(journal, str(began.get("command", "")), dict(began.get("details", {})), committed)
