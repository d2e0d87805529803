"""Where data comes from and goes to: inputs expanded to an ordered list of files, and each file's output path.

An input is a file, a glob (`**` too), a directory, `-`, or an object-store URL; an output is a file, a directory, `-`,
or the input itself with `in_place`.
"""

# Paths are strings here, as users wrote them: pathlib would normalise `./` and trailing slashes away.
# ruff: noqa: PTH112, PTH113, PTH116, PTH118, PTH119

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydp_cli.datasets.compression import compression_of
from pydp_cli.datasets.formats import Format, format_from_option, format_of_name, plain_name
from pydp_cli.datasets.globs import expand_glob, has_magic, walk_files
from pydp_cli.datasets.object_stores import find_objects, is_url
from pydp_cli.datasets.publish import already_exists
from pydp_cli.errors import InputError, OutputError, UsageError

STDIN = STDOUT = "-"


@dataclass(frozen=True)
class InputFile:
    """One file to read. `relative_name` is what it keeps under an output directory, partition folders included.

    `format` is None where nothing tells it (stdin without --input-format): the content is looked at then.
    `partition_columns` are the `key=value` folders of `relative_name`, unescaped. `filesystem` is a pyarrow one.
    """

    path: str
    relative_name: str
    format: Format | None
    partition_columns: dict[str, str] = field(default_factory=dict)
    filesystem: Any = None


@dataclass(frozen=True)
class Target:
    """Where one input's output goes, and in which format (None: as the input turns out to be)."""

    path: str
    format: Format | None
    make_folders: bool = False  # the path is inside an output folder, whose missing parts are to be made


def find_inputs(locations: Sequence[str], *, input_format: str | None = None) -> list[InputFile]:
    """Expand inputs to files, in the order given and sorted within a glob or directory; a file found twice counts once.

    Raises `InputError` where nothing is found, or a file's format cannot be told.
    """
    chosen = format_from_option(input_format, "--input-format") if input_format else None
    files: dict[tuple[Any, ...], InputFile] = {}
    for location in locations:
        for file in _expand(location, chosen):
            files.setdefault(_identity(file), file)
    if not files:
        raise InputError("no input", hint="name a file, a glob, a folder, or - for standard input")
    return list(files.values())


def map_outputs(
    files: Sequence[InputFile],
    *,
    output: str | None,
    output_format: str | None = None,
    in_place: bool = False,
    force: bool = False,
) -> list[Target]:
    """Decide each file's output; every clash that can be seen now is an error now.

    Without `output` and `in_place` a single input goes to standard output.
    """
    if in_place:
        return _in_place_targets(files, output, output_format)
    chosen = format_from_option(output_format, "--output-format") if output_format else None
    targets = _targets(files, output if output is not None else STDOUT, chosen)
    _refuse_clashes(files, targets)
    for target in targets:
        if not force and _is_regular(target.path):
            raise already_exists(target.path)
    return targets


def _expand(location: str, chosen: Format | None) -> list[InputFile]:
    if location == STDIN:
        return [InputFile(STDIN, "stdin", chosen)]
    if is_url(location):
        return [
            InputFile(path, name, chosen or _format_of(path, location), _partitions(name), filesystem)
            for path, name, filesystem in find_objects(location)
        ]
    if os.path.isdir(location):
        found = [(os.path.join(location, name), name) for name in walk_files(location)]
    elif has_magic(location) and not os.path.lexists(location):
        found = expand_glob(location)
    else:
        return [_one_file(location, chosen)]
    if not found:
        raise InputError("no file matches" if has_magic(location) else "the folder holds no data files", place=location)
    return [InputFile(path, name, chosen or _format_of(path, location), _partitions(name)) for path, name in found]


def _one_file(path: str, chosen: Format | None) -> InputFile:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise InputError("no such file", place=path) from None
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=path) from error
    known = chosen or format_of_name(path)
    if known is None and stat.S_ISREG(mode):
        _format_of(path, path)
    return InputFile(path, os.path.basename(path), known)


def _format_of(path: str, location: str) -> Format:
    known = format_of_name(path)
    if known is None:
        inside = "" if path == location else f" (found by {location})"
        raise InputError(
            f"the format cannot be told from the name{inside}", place=path, hint="say it with --input-format"
        )
    return known


def _partitions(name: str) -> dict[str, str]:
    """Read the hive partition folders of a path: `country=DE/part-0.parquet` gives `{"country": "DE"}`."""
    from urllib.parse import unquote

    pairs = (folder.partition("=") for folder in name.split("/")[:-1])
    return {unquote(key): unquote(value) for key, equals, value in pairs if equals and key}


def _identity(file: InputFile) -> tuple[Any, ...]:
    if file.path == STDIN or file.filesystem is not None:
        return (file.path,)
    # A file named twice is one input; a hard link is another name that the user may mean.
    return (os.path.realpath(file.path),)


def _targets(files: Sequence[InputFile], output: str, chosen: Format | None) -> list[Target]:
    if is_url(output):
        raise UsageError("an object store can be read but not written", place=output, hint="write to a local folder")
    as_directory = output.endswith("/") or os.path.isdir(output)
    if len(files) == 1 and not (as_directory and files[0].path != STDIN):
        form = chosen or (format_of_name(output) if output != STDOUT else None)
        form = _like(form, files[0].format, output)
        _spare_terminal(form, output)
        return [Target(output, form)]
    if output == STDOUT:
        raise UsageError("several inputs cannot share standard output", hint="name a folder with -o")
    if os.path.lexists(output) and not as_directory:
        raise UsageError("several inputs need a folder as output", place=output, hint="name a folder with -o")
    if not as_directory and format_of_name(output) is not None:
        raise UsageError(
            "several inputs need a folder as output", place=output, hint=f"{output}/ makes a folder of that name"
        )
    return [_target_in(output, file, chosen) for file in files]


def _target_in(directory: str, file: InputFile, chosen: Format | None) -> Target:
    name = file.relative_name
    if chosen is not None and (file.format is None or chosen.name != file.format.name):
        name = plain_name(name) + chosen.extension
        return Target(os.path.join(directory, name), chosen, make_folders=True)
    return Target(os.path.join(directory, name), _like(None, file.format, name), make_folders=True)


def _like(form: Format | None, source: Format | None, output: str) -> Format | None:
    """Choose the output's format: what its name or option says, else the input's, compressed as its own name says."""
    if form is None:
        form = source
        if form is None or not form.compressible:
            return form
        return form.compressed(compression_of(output))
    return form.compressed(compression_of(output)) if form.compressible and form.compression is None else form


def _spare_terminal(form: Format | None, output: str) -> None:
    binary = form is not None and (form.binary or form.compression is not None)
    if output == STDOUT and binary and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("binary data would go to the terminal", hint="write to a file with -o")


def _in_place_targets(files: Sequence[InputFile], output: str | None, output_format: str | None) -> list[Target]:
    if output is not None:
        raise UsageError("--in-place and -o/--output exclude each other")
    targets = []
    for file in files:
        if file.path == STDIN:
            raise UsageError("standard input cannot be changed in place", hint="name a file")
        if file.filesystem is not None:
            raise UsageError("a file in an object store cannot be changed in place", place=file.path)
        if not _is_regular(file.path):
            raise UsageError("only a regular file can be changed in place", place=file.path)
        if output_format and file.format and format_from_option(output_format, "").name != file.format.name:
            raise UsageError("a file changed in place keeps its format", place=file.path)
        if not os.access(file.path, os.W_OK):
            raise OutputError("is not writable", place=file.path)
        targets.append(Target(file.path, file.format))
    return targets


def _refuse_clashes(files: Sequence[InputFile], targets: Sequence[Target]) -> None:
    """Refuse an output that is one of the inputs, by whatever name, and two inputs with one output."""
    inputs = {}
    for file in files:
        if file.filesystem is None:
            key = _file_key(sys.stdin.fileno() if file.path == STDIN else file.path)
            inputs[key] = file.path
    inputs.pop(None, None)
    seen: dict[str, str] = {}
    for file, target in zip(files, targets, strict=True):
        key = _file_key(sys.stdout.fileno() if target.path == STDOUT else target.path)
        if key is not None and key in inputs:
            raise UsageError(
                "the output is the input", place=target.path, hint="use --in-place to replace the input safely"
            )
        real = target.path if target.path == STDOUT else os.path.realpath(target.path)
        if real in seen:
            raise UsageError(
                f"{seen[real]} and {file.path} would have the same output", place=target.path, hint="run them apart"
            )
        seen[real] = file.path


def _file_key(path: str | int) -> tuple[int, int] | None:
    """Name a regular file by device and inode, whatever path or descriptor leads there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _is_regular(path: str) -> bool:
    return path != STDOUT and os.path.isfile(path) and not path.startswith(("/dev/", "/proc/"))
