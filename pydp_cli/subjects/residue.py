"""Residue: what is left of a person in places that a search over rows does not reach.

What Parquet files say of their data; names of files and folders; summaries and checksums beside the data; copies that
editors and programs leave; free text; exports; and rows that were set aside. Findings name the place and never the
value.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa

from pydp_cli.datasets.compression import compression_of, open_decompressed
from pydp_cli.datasets.edits import NO_ROWS
from pydp_cli.datasets.formats import format_of_name, open_source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.datasets.presence import is_file
from pydp_cli.errors import InputError, PydpError
from pydp_cli.pipeline.physical import densify
from pydp_cli.policy.rights_checks import LEFT_BY_PROGRAMS, root_of
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.holds import HeldRows
from pydp_cli.subjects.residue_parquet import parquet_residue
from pydp_cli.subjects.sought import Sought
from pydp_cli.subjects.subject import Subject

SUMMARIES = frozenset({"_metadata", "_common_metadata"})
_MOST_MEMBERS = 100_000
_AT_ONCE = 2
"""Files that are looked into side by side; each takes a column of a row group."""


@dataclass(frozen=True)
class Residue:
    """One place in which something of a person is left, or may be where it is not `certain`."""

    path: str
    what: str
    dataset: str = ""
    certain: bool = True

    def as_json(self) -> dict[str, str]:
        """Give it as JSON types; what is certain and what is not are told apart by where they are told."""
        return {"path": self.path, "what": self.what, "dataset": self.dataset}


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
        self.sought = Sought(catalogue, people)
        self.needles = self.sought.needles
        self.unlisted: list[str] = []

    def run(self) -> Iterator[Residue]:
        files = [(name, file) for name in self.policy.datasets for file in self._files(name)]
        with ThreadPoolExecutor(_AT_ONCE, "pydp-residue") as pool:
            for found in pool.map(self._in_file, *zip(*files, strict=True)) if files else ():
                yield from found
        claimed = {os.path.realpath(file.path) for _, file in files}
        for path in self._others(claimed):
            yield from self._named(path, "")
            try:
                has_content = is_file(path)  # an empty folder has only a name
            except OSError:
                yield Residue(self._shown(path), "a file that no dataset claims cannot be read", certain=False)
                continue
            if has_content:
                yield from self._other(path)
        for folder in self.unlisted:
            yield Residue(self._shown(folder), "the folder cannot be listed", certain=False)

    def _in_file(self, name: str, file: InputFile) -> list[Residue]:
        return [*self._named(file.path, name), *self._parquet(file.path, name), *self._prose(file, name)]

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
            yield from self._walk(root, seen, deep=deep, without=state)
        for folder in sorted({os.path.dirname(path) for path in claimed}):  # noqa: PTH120 - where links lead to
            yield from self._walk(folder, seen, deep=False, without=state)
        yield from self._walk(os.path.join(state, "quarantine"), seen, deep=True, without="")  # noqa: PTH118

    def _walk(self, root: str, seen: set[str], *, deep: bool, without: str) -> Iterator[str]:
        for folder, folders, names in os.walk(root, onerror=self._note_unlisted):
            if not folders and not names:
                yield folder
            folders[:] = sorted(one for one in folders if os.path.realpath(os.path.join(folder, one)) != without)  # noqa: PTH118
            folders[:] = folders if deep else []
            for name in sorted(names):
                path = os.path.join(folder, name)  # noqa: PTH118
                if os.path.realpath(path) not in seen:
                    seen.add(os.path.realpath(path))
                    yield path

    def _note_unlisted(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):  # it went meanwhile, or never was
            self.unlisted.append(str(error.filename))

    def _named(self, path: str, dataset: str) -> Iterator[Residue]:
        """Look at the names of a file and its folders; `key=value` folders are looked at by their values."""
        if self._shown(path) != os.path.relpath(path, self.policy.base_dir):
            yield Residue(self._shown(path), "the name holds an identifier", dataset)

    def _parquet(self, path: str, dataset: str) -> Iterator[Residue]:
        for what, certain in parquet_residue(path, self._shown(path), self.sought):
            yield Residue(self._shown(path), what, dataset, certain)

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
        try:
            found = self._mentions(path) or any(certain for _, certain in parquet_residue(path, shown, self.sought))
        except (PydpError, OSError, pa.ArrowException):
            yield Residue(shown, f"{kind} cannot be read", certain=False)
            return
        if found:
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

    def _in_table(self, file: InputFile) -> bool:
        with ExitStack() as closing:
            source = open_source(file, closing=closing)
            for chunk in source.chunks():
                for batch in chunk.read():
                    if any(self.sought.is_in(name, batch.column(name)) for name in batch.schema.names):
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
        return os.path.join(*self.sought.masked(Path(os.path.relpath(path, self.policy.base_dir)).parts))  # noqa: PTH118
