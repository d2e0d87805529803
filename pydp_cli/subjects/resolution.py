"""What a search for people gives: who they are, their rows in every file, and how these were reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydp_cli.errors import LimitReached, Refused
from pydp_cli.subjects.file_matches import FileMatches
from pydp_cli.wording import counted

Verdict = Literal["found", "not found", "ambiguous", "limit"]
MAX_IDENTITIES = 50


@dataclass(frozen=True)
class Step:
    """How rows were reached: by a key of a dataset, how many rows, and the values of which spaces they gave."""

    space: str
    dataset: str
    column: str
    rows: int
    gave: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        given = ", ".join(f"{space} ({count:,})" for space, count in self.gave)
        reached = f"{self.space} → {self.dataset}.{self.column}: {counted(self.rows, 'row')}"
        return reached + (f", give {given}" if given else "")


@dataclass(frozen=True)
class Person:
    """One person as resolved: the subjects (by number) that are this person, and the values they are known by."""

    subjects: tuple[int, ...]
    identities: dict[str, tuple[str, ...]] = field(repr=False)
    rows: int
    verdict: Verdict


@dataclass(frozen=True)
class Resolution:
    """What was found, in `files`; `person_of[i]` is the place in `people` of the i-th subject that was asked for."""

    people: tuple[Person, ...]
    person_of: tuple[int, ...]
    files: tuple[FileMatches, ...]
    trail: tuple[Step, ...]
    rounds: int

    def of_dataset(self, dataset: str) -> list[FileMatches]:
        """Give the matches of a dataset's files."""
        return [matches for matches in self.files if matches.dataset == dataset]

    def require_unambiguous(self) -> None:
        """Refuse a person of whom it is not clear who they are; the trail tells how that came."""
        for person in self.people:
            if person.verdict == "limit":
                raise LimitReached(
                    f"more than {MAX_IDENTITIES} identifiers hang together: a value that people share may join them",
                    hint="declare it under `shared:` of its identity; the trail shows where they came from",
                )
        spaces = sorted(self._ambiguous_spaces())
        if spaces:
            raise Refused(
                f"it is not clear who this is: several {', '.join(spaces)} hang together",
                hint="name the one that is meant with --subject, or use --merge if they are one person",
            )

    def _ambiguous_spaces(self) -> set[str]:
        return {
            space
            for person in self.people
            if person.verdict == "ambiguous"
            for space, values in person.identities.items()
            if len(values) > 1
        }
