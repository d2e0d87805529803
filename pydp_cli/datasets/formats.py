"""The file formats: which there are, how a name tells one, and how each is opened for reading and writing.

A package may add a format of its own through the entry point group `pydp.formats`: an object with the fields of
`Handler`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa

from pydp_cli.datasets.compression import (
    EXTENSIONS,
    compression_of,
    open_compressed,
    open_decompressed,
    without_compression,
)
from pydp_cli.datasets.interface import Sink, Source
from pydp_cli.datasets.spool import seekable
from pydp_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from pydp_cli.datasets.csv_dialect import CsvOptions
    from pydp_cli.datasets.locations import InputFile

_SUFFIXES = {kind: suffix for suffix, kind in EXTENSIONS.items()}


@dataclass(frozen=True)
class Format:
    """A format as one file has it: `csv` compressed with `gzip` is `.csv.gz`."""

    name: str
    compression: str | None = None

    @property
    def extension(self) -> str:
        """The extension that tells this format."""
        return handler_of(self.name).extensions[0] + (_SUFFIXES[self.compression] if self.compression else "")

    @property
    def compressible(self) -> bool:
        """Whether the whole file may be compressed from outside."""
        return not handler_of(self.name).binary

    @property
    def binary(self) -> bool:
        """Whether a terminal cannot show it."""
        return handler_of(self.name).binary

    def compressed(self, kind: str | None) -> Format:
        """Give the same format under another compression."""
        return replace(self, compression=kind)


@dataclass(frozen=True)
class Opening:
    """What a handler is told when a source is opened. `stream` is plain bytes, `path` a local uncompressed file."""

    stream: BinaryIO
    name: str
    path: str | None = None
    csv_options: CsvOptions | None = None
    set_aside: bool = False
    block_bytes: int | None = None


@dataclass(frozen=True)
class Making:
    """What a handler is told when a sink is made. `treated` are the columns whose values are new; None: any may be."""

    stream: BinaryIO
    schema: pa.Schema
    like: Source | None = None
    treated: frozenset[str] | None = None
    csv_options: CsvOptions | None = None
    changed_format: bool = False


@dataclass(frozen=True)
class Handler:
    """One format: its extensions, and how to open it. `binary` ones need a seekable stream and are never wrapped."""

    name: str
    extensions: tuple[str, ...]
    open: Callable[[Opening], Source]
    make: Callable[[Making], Sink]
    binary: bool = False


def _open_delimited(delimiter: str | None) -> Callable[[Opening], Source]:
    def open_(opening: Opening) -> Source:
        from pydp_cli.datasets.csv_dialect import CsvOptions
        from pydp_cli.datasets.csv_read import open_csv

        options = opening.csv_options or CsvOptions()
        if delimiter is not None and options.delimiter is None:
            options = options.model_copy(update={"delimiter": delimiter})
        more: dict[str, Any] = {} if opening.block_bytes is None else {"block_bytes": opening.block_bytes}
        source: Source = open_csv(
            opening.stream,
            opening.name,
            options,
            set_aside=opening.set_aside,
            path=Path(opening.path) if opening.path else None,
            **more,
        )
        return source

    return open_


def _make_delimited(delimiter: str) -> Callable[[Making], Sink]:
    def make(making: Making) -> Sink:
        from pydp_cli.datasets.csv_dialect import CsvOptions, dialect_of_new_file
        from pydp_cli.datasets.csv_write import CsvSink

        dialect = getattr(making.like, "dialect", None)
        if dialect is None:
            dialect = dialect_of_new_file(
                making.csv_options or CsvOptions(), f"x{'.tsv' if delimiter != ',' else '.csv'}"
            )
        elif making.changed_format:  # from .csv to .tsv or back
            dialect = replace(dialect, delimiter=delimiter)
        sink: Sink = CsvSink(making.stream, making.schema, dialect)
        return sink

    return make


def _open_parquet(opening: Opening) -> Source:
    from pydp_cli.datasets.parquet_read import open_parquet

    if opening.path is None:
        return open_parquet(opening.stream, opening.name)
    opening.stream.close()  # pyarrow's own reading of a path is faster
    return open_parquet(opening.path, opening.name)


def _make_parquet(making: Making) -> Sink:
    from pydp_cli.datasets.parquet_write import ParquetSink

    return ParquetSink(making.stream, making.schema, making.like, treated=making.treated)


_BUILT_IN = (
    Handler("csv", (".csv",), _open_delimited(None), _make_delimited(",")),
    Handler("tsv", (".tsv", ".tab"), _open_delimited("\t"), _make_delimited("\t")),
    Handler("parquet", (".parquet", ".pq", ".parq"), _open_parquet, _make_parquet, binary=True),
)


@functools.cache
def handlers() -> dict[str, Handler]:
    """List the formats by name; a package cannot take the name of a built-in one."""
    found = {entry.name: entry for entry in entry_points(group="pydp.formats")}
    return {name: entry.load() for name, entry in found.items()} | {one.name: one for one in _BUILT_IN}


def handler_of(name: str) -> Handler:
    """Find a format by name."""
    return handlers()[name]


def format_of_name(name: str) -> Format | None:
    """Tell a file's format by its extension: `.csv`, `.csv.gz`, `.tsv.xz`, `.parquet`; None if unknown."""
    compression, stem = compression_of(name), without_compression(name).lower()
    for one in handlers().values():
        if stem.endswith(one.extensions) and not (one.binary and compression):
            return Format(one.name, compression)
    return None


def plain_name(name: str) -> str:
    """Drop the extensions that tell a format: `a/orders.csv.gz` becomes `a/orders`."""
    if format_of_name(name) is None:
        return name
    return os.path.splitext(without_compression(name))[0]  # noqa: PTH122 - keeps the path as written


def format_from_option(text: str, option: str) -> Format:
    """Read what --input-format and --output-format say: `csv`, `csv.gz`, `parquet`."""
    known = format_of_name(f"x.{text}") or (Format(text) if text in handlers() else None)
    if known is None:
        raise UsageError(f'unknown format "{text}"', place=option or None, hint=f"one of: {', '.join(handlers())}")
    return known


def open_source(
    file: InputFile,
    *,
    csv_options: CsvOptions | None = None,
    set_aside: bool = False,
    block_bytes: int | None = None,
    closing: contextlib.ExitStack | None = None,
) -> Source:
    """Open one input for reading; its format is looked at where the name does not tell. `closing` gets to close it.

    Raises `InputError` with the file's name where it cannot be read or is not of that format.
    """
    name = file.relative_name if file.path == "-" else file.path
    stream, path = _open_stream(file, name)
    if closing is not None and file.path != "-":
        closing.callback(stream.close)
    form = file.format
    if form is None:
        form, stream = _sniff(stream)
    handler = handler_of(form.name)
    if handler.binary:
        stream = seekable(stream, name)
    elif form.compression is not None:
        stream, path = open_decompressed(stream, form.compression, name), None
    return handler.open(Opening(stream, name, path, csv_options, set_aside, block_bytes))


def open_sink(
    stream: BinaryIO,
    form: Format | None,
    schema: pa.Schema,
    *,
    like: Source | None = None,
    like_format: Format | None = None,
    treated: frozenset[str] | None = None,
    csv_options: CsvOptions | None = None,
) -> Sink:
    """Make the sink that writes `schema` to a staged stream, like the source where both are of one format.

    `form` is None where the output takes the format that the source turned out to have. `like_format` is the source's
    own, where it is known, so that `.csv` to `.tsv` changes the delimiter and `.csv` to `.csv` does not.
    """
    if form is None:
        form = format_of_source(like)
    changed = like_format is not None and like_format.name != form.name
    outer = open_compressed(stream, form.compression) if form.compression else stream
    sink = handler_of(form.name).make(Making(outer, schema, like, treated, csv_options, changed))
    return _CompressedSink(sink, outer) if form.compression else sink


def format_of_source(source: Source | None) -> Format:
    """Tell the format that an opened source turned out to have."""
    return Format("parquet" if hasattr(source, "num_row_groups") else "csv")


class _CompressedSink:
    """A sink whose stream has a trailer of its own to write."""

    def __init__(self, inner: Sink, stream: BinaryIO) -> None:
        self.encoder, self.write = inner.encoder, inner.write
        self._inner, self._stream = inner, stream

    def close(self) -> None:
        self._inner.close()
        self._stream.close()

    def abandon(self) -> None:
        self._inner.abandon()


def _open_stream(file: InputFile, name: str) -> tuple[BinaryIO, str | None]:
    try:
        if file.filesystem is not None:
            return file.filesystem.open_input_file(file.path), None
        if file.path == "-":
            return sys.stdin.buffer, None
        stream = _InputStream(io.FileIO(file.path), 1 << 18)
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise InputError(f"cannot be read ({reason})", place=name) from error
    return cast("BinaryIO", stream), file.path if stream.seekable() else None


class _InputStream(io.BufferedReader):
    """A file that a source holds for as long as it lives, and that closes with it."""

    def __del__(self) -> None:
        self.close()


def _sniff(stream: BinaryIO) -> tuple[Format, BinaryIO]:
    """Look at the first bytes of a stream that has no name: Parquet's magic, else text."""
    buffered: Any = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)
    head = buffered.peek(4)[:4]
    return Format("parquet" if head in {b"PAR1", b"PARE"} else "csv"), buffered
