"""The exceptions a user can meet, each with its exit code.

Every error names the thing, the place and what to do next. A message never holds a value of the data or a secret.
"""

from __future__ import annotations

from dataclasses import dataclass


class PydpError(Exception):
    """Anything that ends a run in a way the user can act on.

    `place` is where it happened (`pydp.yml:14:9`, `orders.csv:120`, `column "email"`); `hint` is what to do next.
    """

    exit_code = 2

    def __init__(self, message: str, *, place: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with keyword arguments, because errors cross from worker processes."""
        return _rebuild, (type(self), self.message, self.place, self.hint)


def _rebuild(kind: type[PydpError], message: str, place: str | None, hint: str | None) -> PydpError:
    return kind(message, place=place, hint=hint)


class UsageError(PydpError):
    """The command line asks for something that cannot be done as written."""


class InputError(PydpError):
    """An input file is missing, unreadable, malformed or of the wrong type."""


class RowError(PydpError):
    """Something is wrong with rows of a column.

    `rows` are 0-based positions in the column at hand, at most a few; the pipeline turns them into a place in the file.
    """

    def __init__(
        self,
        message: str,
        *,
        place: str | None = None,
        hint: str | None = None,
        rows: tuple[int, ...] = (),
    ) -> None:
        super().__init__(message, place=place, hint=hint)
        self.rows = rows

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the rows when the error crosses from a worker."""
        return _rebuild_with_rows, (type(self), self.message, self.place, self.hint, self.rows)


class BadValue(RowError, InputError):
    """Values of a column cannot be read as the type that is asked for."""


class OutputError(PydpError):
    """An output cannot be written: it exists, is the input, or the disk is full or read-only."""


class UnsupportedType(PydpError):
    """A treatment cannot take the type of the column it is asked to treat."""


class MissingExtra(PydpError):
    """A command needs an optional dependency that is not installed."""


class KeyringError(PydpError):
    """The keyring is missing, malformed, unsafe on disk, or lacks what is asked for."""


@dataclass(frozen=True)
class Problem:
    """One finding of a check, with its place (`pydp.yml:14:9`) and, where there is one, a hint."""

    message: str
    place: str | None = None
    hint: str | None = None
    severity: str = "error"  # or "warning"


class PolicyError(PydpError):
    """The policy is wrong; `problems` holds every finding, not just the first."""

    def __init__(self, problems: list[Problem]) -> None:
        first = problems[0]
        super().__init__(first.message, place=first.place, hint=first.hint)
        self.problems = problems

    def __reduce__(self) -> tuple[object, ...]:
        """Keep every problem when the error crosses from a worker."""
        return PolicyError, (self.problems,)


class Refused(PydpError):
    """The answer is no: verification failed, consent is absent, or too many rows were rejected."""

    exit_code = 3


class WrongKey(RowError, Refused):
    """The key at hand is not the one that is needed."""


class Tampered(RowError, Refused):
    """Data failed authentication."""


def _rebuild_with_rows(
    kind: type[RowError],
    message: str,
    place: str | None,
    hint: str | None,
    rows: tuple[int, ...],
) -> PydpError:
    return kind(message, place=place, hint=hint, rows=rows)


class LimitReached(PydpError):
    """A safety limit stopped the run: the budget is spent, or too many rows would be deleted."""

    exit_code = 4


class HoldBlocks(PydpError):
    """A legal hold blocks the action."""

    exit_code = 5


class Locked(PydpError):
    """Another run holds the lock."""

    exit_code = 6


class TemporaryFailure(PydpError):
    """Run again, or resume: nothing is lost."""

    exit_code = 75
