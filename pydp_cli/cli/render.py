"""What the terminal shows: errors, hints, tables. Answers go to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from shutil import get_terminal_size
from typing import IO, Any

from pydp_cli.errors import PolicyError, PydpError

RED, YELLOW, BOLD, DIM, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


def styled(text: str, style: str, stream: IO[str]) -> str:
    """Colour a text where the stream is a terminal and `NO_COLOR` is not set."""
    return f"{style}{text}{PLAIN}" if stream.isatty() and not os.environ.get("NO_COLOR") else text


def print_error(error: PydpError) -> None:
    """Print an error and its hint; of a policy, every problem, and a hint that several in a row share once."""
    if isinstance(error, PolicyError):
        for problem, following in zip_longest(error.problems, error.problems[1:]):
            place = f"{problem.place}: " if problem.place else ""
            again = following is not None and following.hint == problem.hint
            _complain(problem.severity, place + problem.message, None if again else problem.hint)
    else:
        _complain("error", str(error), error.hint)


def print_usage_problem(error: Exception) -> None:
    """Print what Typer found wrong with the command line, in our form."""
    message = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "pydp"
    _complain("error", message[:1].lower() + message[1:], f"see `{command} --help`")


def note(message: str) -> None:
    """Tell the user something that is neither data nor an error."""
    print(f"pydp: {message}", file=sys.stderr)


def warn(message: str, hint: str | None = None) -> None:
    """Warn of something that does not stop the run."""
    _complain("warning", message, hint)


def _complain(severity: str, message: str, hint: str | None) -> None:
    word = styled(f"{severity}:", RED if severity == "error" else YELLOW, sys.stderr)
    print(f"pydp: {word} {message}", file=sys.stderr)
    if hint:
        print(f"pydp: {styled('hint:', DIM, sys.stderr)} {hint}", file=sys.stderr)


def print_grid(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with borders, whose cells fold to the width of the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_json(value: Any) -> None:
    """Print an answer as JSON, for programs."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print records as a plain table: a heading, then a line each; numbers to the right."""
    if not rows:
        return
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(names))]
    numeric = [all(isinstance(row[name], (int, float)) for row in rows) for name in names]
    for number, line in enumerate(cells):
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        text = "  ".join(padded).rstrip()
        print(styled(text, BOLD, sys.stdout) if number == 0 else text)


def fits(rows: list[dict[str, Any]]) -> bool:
    """Tell whether a table of records is no wider than the terminal; where there is none, than 80 characters."""
    if not rows:
        return True
    widths = [max(len(name), *(len(_cell(row[name])) for row in rows)) for name in rows[0]]
    return sum(widths) + 2 * (len(widths) - 1) <= get_terminal_size((80, 24)).columns


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
