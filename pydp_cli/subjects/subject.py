"""Whom a request is about: identifiers as they are given on the command line or in a file of many people."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pydp_cli.errors import InputError, UsageError
from pydp_cli.policy.identity_text import identity_text, identity_value
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
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise UsageError("not UTF-8", place="--subject", hint="write it in a CSV file, and name that by --subjects")
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
            heading = [catalogue.check_space(name.strip(), f"{path}:1") for name in next(rows, [])]
            if not heading:
                raise InputError("the file of people is empty", place=str(path))
            lines = [(rows.line_num, row) for row in rows if row]
    except FileNotFoundError:
        raise InputError("no such file", place=str(path)) from None
    except csv.Error as error:
        raise InputError(f"the file of people is no CSV file ({error})", place=f"{path}:{rows.line_num}") from None
    except UnicodeDecodeError:
        raise InputError("the file of people is not UTF-8", place=str(path)) from None
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise InputError(f"the file of people cannot be read ({reason})", place=str(path)) from None
    return _subjects_of_rows(catalogue, heading, lines, path)


def _subjects_of_rows(
    catalogue: Catalogue, heading: list[str], lines: list[tuple[int, list[str]]], path: Path
) -> list[Subject]:
    """Normalise a column at a time, because there may be 100,000 people."""
    for number, row in lines:
        if len(row) != len(heading):
            raise InputError(f"{len(row)} values for {len(heading)} identifiers", place=f"{path}:{number}")
    compared = {}
    for at, space in enumerate(heading):
        texts = [row[at] or None for _, row in lines]
        values = identity_text(pa.array(texts, pa.string()), catalogue.identity(space)).to_pylist()
        for (number, _), text, value in zip(lines, texts, values, strict=True):
            if text is not None and value is None:
                raise _identifies_nobody(space, f"{path}:{number}")
        compared[at] = values
    subjects = []
    for place, (number, _) in enumerate(lines):
        pairs = [(space, compared[at][place]) for at, space in enumerate(heading) if compared[at][place] is not None]
        if not pairs:
            raise InputError("the line names nobody", place=f"{path}:{number}")
        subjects.append(Subject(tuple(dict.fromkeys(pairs))))
    return subjects


def _pair(catalogue: Catalogue, name: str, value: str, place: str) -> tuple[str, str]:
    space = catalogue.check_space(name, place)
    compared = identity_value(value, catalogue.identity(space))
    if compared is None:
        raise _identifies_nobody(space, place)
    return space, compared


def _identifies_nobody(space: str, place: str) -> UsageError:
    return UsageError(f"this {space} is empty, or is one that several people share: it identifies nobody", place=place)
