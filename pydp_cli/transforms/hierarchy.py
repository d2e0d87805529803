"""Generalization hierarchies in files, one value a line with its ever coarser groups: `value;level1;level2…`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pydp_cli.errors import InputError


@dataclass(frozen=True)
class Hierarchy:
    """The values of a file, and for every level the group of each of them; level 0 is the values themselves."""

    levels: tuple[tuple[str, ...], ...]


def read_hierarchy(path: Path, delimiter: str = ";") -> Hierarchy:
    """Read a hierarchy in UTF-8, without a header, as ARX writes it.

    Raises `InputError` with the line where a value is listed twice or a line has other levels than the first.
    """
    lines: list[list[str]] = []
    seen: set[str] = set()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if not row:
                    continue
                if lines and len(row) != len(lines[0]):
                    raise InputError(f"{len(row)} levels where the first line has {len(lines[0])}", place=place)
                if row[0] in seen:
                    raise InputError("a value is listed twice", place=place)
                seen.add(row[0])
                lines.append(row)
    except OSError as error:
        raise InputError(f"cannot read the hierarchy: {error.strerror}", place=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("the hierarchy is not UTF-8", place=str(path)) from None
    except csv.Error as error:
        raise InputError(f"the hierarchy is not CSV: {error}", place=str(path)) from None
    if not lines:
        raise InputError("the hierarchy is empty", place=str(path))
    return Hierarchy(tuple(zip(*lines, strict=True)))
