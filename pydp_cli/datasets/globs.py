"""Find data files under a folder or glob, in a fixed order, safe against symbolic links that go in circles."""

# Paths are strings here, as users wrote them: pathlib would normalise `./` and trailing slashes away.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator

from pydp_cli.datasets.presence import is_file, is_folder
from pydp_cli.errors import InputError

_MAGIC = re.compile(r"[*?[]")


def has_magic(location: str) -> bool:
    """Tell whether a path is a pattern."""
    return _MAGIC.search(location) is not None


def is_data_name(name: str) -> bool:
    """Leave out what is no data: hidden files, `_SUCCESS`, `_metadata`, and checksums beside Spark's files.

    A partition folder may begin with an underscore (`_day=1`), as Spark has it.
    """
    if name.startswith("_") and "=" in name:
        return True
    return not name.startswith((".", "_")) and not name.endswith(".crc")


def walk_files(directory: str) -> list[str]:
    """List the data files under a folder, sorted, as paths relative to it with `/` between the parts."""
    return sorted(
        os.path.relpath(_join(folder, entry.name), directory)
        for folder in _walk_folders(directory)
        for entry in _scan(folder)
        if is_data_name(entry.name) and _is(is_file, _join(folder, entry.name))
    )


def expand_glob(pattern: str) -> list[tuple[str, str]]:
    """List the files that a glob matches, sorted, each with its path relative to the part before the first wildcard."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if has_magic(part))
    root = "/".join(parts[:first])
    if first == 1 and parts[0] == "":
        root = "/"
    paths = set(_match(root, [part for part in parts[first:] if part]))
    return sorted((path, os.path.relpath(path, root or ".")) for path in paths if _is(is_file, path))


def _match(folder: str, parts: list[str]) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        for below in _walk_folders(folder):
            if rest:
                yield from _match(below, rest)
            else:
                yield from (_join(below, entry.name) for entry in _scan(below) if is_data_name(entry.name))
        return
    if has_magic(part):
        wants_hidden = part.startswith((".", "_"))
        names = [entry.name for entry in _scan(folder) if wants_hidden or is_data_name(entry.name)]
        names = fnmatch.filter(names, part)
    else:
        names = [part]
    for name in names:
        path = _join(folder, name)
        if not rest:
            yield path
        elif _is(is_folder, path):
            yield from _match(path, rest)


def _walk_folders(folder: str) -> Iterator[str]:
    """Yield a folder and all below it that hold data, each real folder once, whatever links lead there."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        here = os.stat(current or ".")
        if (here.st_dev, here.st_ino) in seen:
            continue
        seen.add((here.st_dev, here.st_ino))
        yield current
        below = [
            entry for entry in _scan(current) if is_data_name(entry.name) and _is(is_folder, _join(current, entry.name))
        ]
        below.sort(key=lambda entry: entry.name, reverse=True)
        # Links wait until all real folders are seen, so that a link to one of them does not take its place.
        waiting[:0] = [_join(current, entry.name) for entry in below if entry.is_symlink()]
        waiting += [_join(current, entry.name) for entry in below if not entry.is_symlink()]


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder or ".") as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"cannot be listed ({(error.strerror or 'error').lower()})", place=folder) from error


def _is(kind: Callable[[str], bool], path: str) -> bool:
    try:
        return kind(path)
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=path) from error


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name) if folder else name
