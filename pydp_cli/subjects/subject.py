"""Whom a request is about: identifiers as they are given on the command line or in a file of many people."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydp_cli.errors import InputError, UsageError
from pydp_cli.policy.identity_text import identity_value
from pydp_cli.subjects.catalogue import Catalogue


@dataclass(frozen=True)
class Subject:
    """One person as given: pairs of a space (an identity, or `dataset.column`) and a value that compares."""

    given: tuple[tuple[str, str], ...]


def parse_subjects(texts: Iterable[str], catalogue: Catalogue) -> Subject:
    """Read `--subject ID=VALUE`, perhaps several times, as one person. No message holds the value."""
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError("write an identifier and its value", place="--subject", hint="as in --subject email=VALUE")
        pairs.append(_pair(catalogue, name.strip(), value, "--subject"))
    if not pairs:
        raise UsageError("say whom it is about", hint="--subject ID=VALUE, or --subjects FILE")
    return Subject(tuple(dict.fromkeys(pairs)))


def read_subjects(path: Path, catalogue: Catalogue) -> list[Subject]:
    """Read a CSV file of people: a heading with the names of identifiers, then a person a line; empty cells count not.

    Raises `InputError` with the line where one says nothing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            heading = [catalogue.check_space(name.strip()) for name in next(rows, [])]
            if not heading:
                raise InputError("the file of people is empty", place=str(path))
            return [_subject_of_row(catalogue, heading, row, f"{path}:{rows.line_num}") for row in rows if row]
    except FileNotFoundError:
        raise InputError("no such file", place=str(path)) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the file of people cannot be read ({type(error).__name__})", place=str(path)) from None


def _subject_of_row(catalogue: Catalogue, heading: list[str], row: list[str], place: str) -> Subject:
    if len(row) != len(heading):
        raise InputError(f"{len(row)} values for {len(heading)} identifiers", place=place)
    pairs = [_pair(catalogue, name, value, place) for name, value in zip(heading, row, strict=True) if value]
    if not pairs:
        raise InputError("the line names nobody", place=place)
    return Subject(tuple(dict.fromkeys(pairs)))


def _pair(catalogue: Catalogue, name: str, value: str, place: str) -> tuple[str, str]:
    space = catalogue.check_space(name)
    compared = identity_value(value, catalogue.identity(space))
    if compared is None:
        raise UsageError(
            f"this {space} is empty, or is one that several people share: it identifies nobody", place=place
        )
    return space, compared
