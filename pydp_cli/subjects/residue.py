"""Residue: what is left of a person in places that a search over rows does not reach.

Statistics, dictionaries and metadata of Parquet files; names of files and folders; summaries and checksums beside the
data; copies that editors and programs leave; free text; exports; and rows that were set aside. Findings name the place
and never the value.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from base64 import b64decode
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pydp_cli.datasets.compression import compression_of, open_decompressed
from pydp_cli.datasets.edits import NO_ROWS
from pydp_cli.datasets.formats import format_of_name, open_source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.datasets.parquet_dictionaries import Dictionary, dictionaries
from pydp_cli.errors import InputError, PydpError
from pydp_cli.pipeline.physical import densify
from pydp_cli.policy.identity_text import can_identify, identity_text, identity_value
from pydp_cli.policy.rights_checks import LEFT_BY_PROGRAMS, root_of
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.holds import HeldRows
from pydp_cli.subjects.needles import Needles
from pydp_cli.subjects.subject import Subject

SUMMARIES = frozenset({"_metadata", "_common_metadata"})
_MOST_MEMBERS = 100_000
_TEXTS = frozenset({"STRING", "ENUM", "JSON", "NONE"})
_WHOLE_NUMBERS = frozenset({"INT", "NONE"})


@dataclass(frozen=True)
class Residue:
    """One place in which something of a person is left."""

    path: str
    what: str
    dataset: str = ""

    def as_json(self) -> dict[str, str]:
        """Give it as JSON types."""
        return dict(vars(self))


def scan_residue(
    catalogue: Catalogue, people: Sequence[Subject], held: HeldRows, changed: Iterable[str] = ()
) -> list[Residue]:
    """Look for what is left of people under the roots of all datasets. `changed` are the files that were rewritten."""
    return list(dict.fromkeys(_Scan(catalogue, people, held, frozenset(map(os.path.realpath, changed))).run()))


class _Scan:
    def __init__(
        self, catalogue: Catalogue, people: Sequence[Subject], held: HeldRows, changed: frozenset[str]
    ) -> None:
        self.catalogue, self.held, self.changed = catalogue, held, changed
        self.policy = catalogue.policy
        self.needles = Needles.of(value for subject in people for _, value in subject.given)
        self.spaces: dict[str, set[str]] = {}
        for subject in people:
            for space, value in subject.given:
                self.spaces.setdefault(space, set()).add(value)
        self.masked: dict[str, str] = {}
        self.columns = {key.column: key.space for key in catalogue.keys if key.space in self.spaces}

    def run(self) -> Iterator[Residue]:
        claimed: set[str] = set()
        for name in self.policy.datasets:
            for file in self._files(name):
                claimed.add(os.path.realpath(file.path))
                yield from self._named(file.path, name)
                yield from self._parquet(file, name)
                yield from self._prose(file, name)
        for path in self._others(claimed):
            yield from self._named(path, "")
            if os.path.isfile(path):  # noqa: PTH113 - an empty folder has only a name
                yield from self._other(path)

    def _files(self, name: str) -> list[InputFile]:
        return [file for file in self.catalogue.files(name) if file.filesystem is None]

    def _others(self, claimed: set[str]) -> Iterator[str]:
        """Give the files under the roots of the datasets that none of them claims, and those that were set aside.

        Also empty folders, which may be named after somebody.
        """
        seen = set(claimed)
        base = os.path.realpath(self.policy.base_dir)
        state = os.path.realpath(self.policy.state_dir)
        for dataset in self.policy.datasets.values():
            if dataset.path is None or dataset.path == "-" or "://" in dataset.path:
                continue
            root = os.path.realpath(os.path.join(base, root_of(dataset.path, self.policy)))  # noqa: PTH118
            deep = not f"{base}/".startswith(f"{root.rstrip('/')}/")  # what is above the policy is not its own
            yield from _walk(root, seen, deep=deep, without=state)
        yield from _walk(os.path.join(state, "quarantine"), seen, deep=True, without="")  # noqa: PTH118

    def _named(self, path: str, dataset: str) -> Iterator[Residue]:
        """Look at the names of a file and its folders; `key=value` folders are looked at by their values."""
        if self._shown(path) != os.path.relpath(path, self.policy.base_dir):
            yield Residue(self._shown(path), "the name holds an identifier", dataset)

    def _parquet(self, file: InputFile, dataset: str) -> Iterator[Residue]:
        """Look at what a Parquet file says of its data besides the data."""
        shown = self._shown(file.path)
        with open(file.path, "rb") as stream:  # noqa: PTH123 - paths are strings here
            if stream.read(4) != b"PAR1":
                return
            decoded = _decoded_by_arrow(file.path)
            in_dictionaries = {
                (one.group, one.column)
                for one in dictionaries(stream, shown, self._may_identify, without=decoded)
                if self._in_dictionary(one)
            } | set(self._in_texts(file.path, decoded))
        with pq.ParquetFile(file.path) as parquet:
            for key, value in (parquet.metadata.metadata or {}).items():
                said = value if key != b"ARROW:schema" else b64decode(value)
                if self.needles.in_text(said.decode("utf-8", errors="replace")):
                    yield Residue(shown, f'the metadata "{key.decode(errors="replace")}" holds an identifier', dataset)
            for group, column in self._statistics(parquet):
                if not self._in_rows(parquet, group, column):
                    yield Residue(shown, f'the statistics of column "{column}" hold an identifier', dataset)
            for group, column in sorted(in_dictionaries):
                groups = range(parquet.num_row_groups) if _is_category(parquet.schema_arrow, column) else [group]
                if not any(self._in_rows(parquet, one, column) for one in groups):
                    yield Residue(shown, f'the dictionary of column "{column}" holds an identifier', dataset)

    def _in_rows(self, parquet: Any, group: int, column: str) -> bool:
        """Tell whether rows of a row group hold it there: then the search has told it, or a rule keeps it."""
        leaves = {parquet.schema.column(at).path: at for at in range(len(parquet.schema))}
        read = parquet.reader.read_row_group(group, column_indices=[leaves[column]], use_threads=False).column(0)
        return any(self._is_in(column, chunk) for chunk in read.chunks)

    def _is_in(self, column: str, values: pa.Array) -> bool:
        """Tell whether any of the values of a column is an identifier."""
        if pa.types.is_nested(values.type):
            return (
                any(self._is_in(column, part) for part in values.flatten())
                if _is_struct(values)
                else self._is_in(column, values.flatten())
            )
        if column in self.columns and can_identify(values.type) and self._has(column, values):
            return True
        text = densify(values)
        return pa.types.is_string(text.type) and bool(pc.any(self.needles.in_column(text)).as_py())

    def _has(self, column: str, values: pa.Array) -> bool:
        space = self.columns[column]
        text = identity_text(values, self.catalogue.identity(space))
        return bool(pc.any(pc.is_in(text, value_set=pa.array(sorted(self.spaces[space]), pa.string()))).as_py())

    def _may_identify(self, column: str, *, is_text: bool) -> bool:
        """Tell whether a value of a column could be an identifier: numbers are in the columns of people's ids only."""
        return column in self.columns or (is_text and bool(self.needles))

    def _in_dictionary(self, one: Dictionary) -> bool:
        """Tell whether an identifier is among the values of a dictionary, whether rows refer to it or not."""
        if not pa.types.is_binary(one.values.type):
            return self._has(one.column, one.values)
        texts = pa.array([value.decode("utf-8", errors="replace") for value in one.values.to_pylist()], pa.string())
        return self._is_in(one.column, texts)

    def _in_texts(self, path: str, columns: Collection[str]) -> Iterator[tuple[int, str]]:
        """Give the row groups and columns of text whose dictionaries, which Arrow gives whole, hold an identifier."""
        wanted = [column for column in columns if self._may_identify(column, is_text=True)]
        if not wanted:
            return
        with pq.ParquetFile(path, read_dictionary=wanted) as parquet:
            leaves = {parquet.schema.column(at).path: at for at in range(len(parquet.schema))}
            for group in range(parquet.num_row_groups):
                read = parquet.reader.read_row_group(
                    group, column_indices=[leaves[column] for column in wanted], use_threads=True
                )
                for column in wanted:
                    if any(self._is_in(column, chunk.dictionary) for chunk in read.column(column).chunks):
                        yield group, column

    def _statistics(self, parquet: Any) -> Iterator[tuple[int, str]]:
        """Give the row groups and columns whose least or greatest value is an identifier."""
        bounds: dict[str, list[tuple[int, str]]] = {}
        for number in range(parquet.metadata.num_row_groups):
            group = parquet.metadata.row_group(number)
            for at in range(group.num_columns):
                leaf = group.column(at)
                statistics = leaf.statistics
                if statistics is None or not statistics.has_min_max:
                    continue
                if self._may_identify(leaf.path_in_schema, is_text=statistics.physical_type == "BYTE_ARRAY"):
                    bounds.setdefault(leaf.path_in_schema, []).extend((number, one) for one in _bounds(statistics))
        for column, found in bounds.items():
            if self._is_in(column, pa.array([bound for _, bound in found], pa.string())):
                hit = {number: None for number, bound in found if self._is_in(column, pa.array([bound]))}
                yield from ((number, column) for number in hit)

    def _prose(self, file: InputFile, name: str) -> Iterator[Residue]:
        """Look into the columns of free text; rows that a hold keeps are left out."""
        dataset = self.policy.datasets[name]
        wanted = [
            column
            for column, treated in dataset.columns.items()
            if treated.prose or any(step.name == "free_text" for step in treated.anonymize or ())
        ]
        if not wanted or not self.needles:
            return
        with ExitStack() as closing:
            source = open_source(file, csv_options=dataset.csv, closing=closing)
            columns = [column for column in wanted if column in source.schema.names]
            found = dict.fromkeys(columns, 0)
            start = 0
            held = NO_ROWS if name in self.held.whole else self.held.of(name, file.path, 0)
            for chunk in () if name in self.held.whole else source.chunks():
                for batch in chunk.read():
                    kept = np.isin(np.arange(start, start + batch.num_rows), held)
                    start += batch.num_rows
                    for column in columns:
                        text = densify(batch.column(column))
                        if pa.types.is_string(text.type):
                            hits = self.needles.in_column(text).to_numpy(zero_copy_only=False)
                            found[column] += int((hits & ~kept).sum())
        for column, rows in found.items():
            if rows:
                yield Residue(self._shown(file.path), f'{rows:,} texts in column "{column}" hold an identifier', name)

    def _other(self, path: str) -> Iterator[Residue]:
        """Look into a file that no dataset claims."""
        shown, name = self._shown(path), os.path.basename(path)  # noqa: PTH119
        folder = os.path.dirname(path)  # noqa: PTH120
        if name in SUMMARIES and any(os.path.dirname(one).startswith(folder) for one in self.changed):  # noqa: PTH120
            yield Residue(shown, "it summarises files that were changed: write it again, or delete it")
            return
        if name.startswith(".") and name.endswith(".crc"):
            data = os.path.join(folder, name[1:-4])  # noqa: PTH118
            if os.path.realpath(data) in self.changed:
                yield Residue(shown, "it is the checksum of a file that was changed: delete it")
            return
        kind = "a copy that a program left" if name.endswith(LEFT_BY_PROGRAMS) else "a file that no dataset claims"
        if self._mentions(path):
            yield Residue(shown, f"{kind} holds an identifier")

    def _mentions(self, path: str) -> bool:
        """Tell whether a file of any kind holds an identifier; one that cannot be read may."""
        plain = path
        for suffix in LEFT_BY_PROGRAMS:
            plain = plain.removesuffix(suffix)
        form = format_of_name(plain)
        if form is not None:
            try:
                return self._in_table(InputFile(path, os.path.basename(path), form))  # noqa: PTH119
            except PydpError:
                pass  # it is not what its name says: its bytes are looked at
        try:
            with open(path, "rb") as stream:  # noqa: PTH123
                if zipfile.is_zipfile(stream):
                    return self._in_zip(stream)
                stream.seek(0)
                return self.needles.in_stream(open_decompressed(stream, compression_of(plain), path))
        except InputError:
            with open(path, "rb") as stream:  # noqa: PTH123
                return self.needles.in_stream(stream)
        except OSError as error:
            raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=path) from error

    def _in_table(self, file: InputFile) -> bool:
        with ExitStack() as closing:
            source = open_source(file, closing=closing)
            for chunk in source.chunks():
                for batch in chunk.read():
                    for name in batch.schema.names:
                        column = batch.column(name)
                        if name in self.columns and can_identify(column.type) and self._has(name, column):
                            return True
                        text = densify(column)
                        if pa.types.is_string(text.type) and pc.any(self.needles.in_column(text)).as_py():
                            return True
        return False

    def _in_zip(self, stream: BinaryIO) -> bool:
        try:
            with zipfile.ZipFile(stream) as archive:
                for member in archive.infolist()[:_MOST_MEMBERS]:
                    with archive.open(member) as inner:
                        if self.needles.in_stream(cast("BinaryIO", inner)):
                            return True
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise InputError("not a sound zip file", place=str(getattr(stream, "name", ""))) from error
        return False

    def _shown(self, path: str) -> str:
        """Name a file relative to the policy, with `…` for the identifiers in its name and those of its folders."""
        return os.path.join(*map(self._masked, Path(os.path.relpath(path, self.policy.base_dir)).parts))  # noqa: PTH118

    def _masked(self, part: str) -> str:
        if part not in self.masked:
            self.masked[part] = self._without_identifiers(part)
        return self.masked[part]

    def _without_identifiers(self, part: str) -> str:
        column, equals, value = part.partition("=")
        space = self.columns.get(unquote(column), "")
        if equals and identity_value(unquote(value), self.catalogue.identity(space)) in self.spaces.get(space, ()):
            return f"{column}=…"
        return self.needles.masked(part) if part == unquote(part) else self.needles.masked(unquote(part), part)


def _walk(root: str, seen: set[str], *, deep: bool, without: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        if not folders and not names:
            yield folder
        folders[:] = sorted(one for one in folders if os.path.realpath(os.path.join(folder, one)) != without)  # noqa: PTH118
        folders[:] = folders if deep else []
        for name in sorted(names):
            path = os.path.join(folder, name)  # noqa: PTH118
            if os.path.realpath(path) not in seen and os.path.isfile(path):  # noqa: PTH113
                seen.add(os.path.realpath(path))
                yield path


def _decoded_by_arrow(path: str) -> frozenset[str]:
    """Name the columns of text with dictionaries that Arrow can give as such: those that are in no other column."""
    with pq.ParquetFile(path) as parquet:
        kinds = {name: parquet.schema_arrow.field(name).type for name in set(parquet.schema_arrow.names)}
        groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
        with_dictionary = {
            group.column(at).path_in_schema
            for group in groups
            for at in range(group.num_columns)
            if group.column(at).has_dictionary_page
        }
    return frozenset(name for name in with_dictionary if name in kinds and pa.types.is_string(kinds[name]))


def _bounds(statistics: Any) -> list[str]:
    """Give the least and the greatest value of a column of whole numbers or texts; others identify nobody.

    They are texts, for no type of Arrow holds every whole number; and of a text the raw bytes are taken, for a writer
    may have cut it within a character. A time is not looked at: Python has not all that a file can hold.
    """
    kind, means = statistics.physical_type, statistics.logical_type.type
    if kind == "BYTE_ARRAY" and means in _TEXTS:
        return [bound.decode("utf-8", errors="replace") for bound in (statistics.min_raw, statistics.max_raw)]
    return [str(statistics.min), str(statistics.max)] if kind in {"INT32", "INT64"} and means in _WHOLE_NUMBERS else []


def _is_category(schema: pa.Schema, column: str) -> bool:
    """Tell whether a column is of categories: then each row group has those of all, and some row of any may have it."""
    at = schema.get_field_index(column)
    return at >= 0 and bool(pa.types.is_dictionary(schema.field(at).type))


def _is_struct(values: pa.Array) -> bool:
    return bool(pa.types.is_struct(values.type))
