"""Which keys columns of files are under, by their metadata and the first bytes of each cell; nothing is decrypted."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pyarrow as pa

from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.globs import walk_files
from pydp_cli.datasets.locations import InputFile, find_inputs
from pydp_cli.datasets.parquet_footer import master_keys
from pydp_cli.errors import InputError, PydpError
from pydp_cli.pipeline.cell_metadata import mark_of
from pydp_cli.pipeline.decrypt import can_be_undone
from pydp_cli.pipeline.physical import densify
from pydp_cli.pipeline.transform_files import dataset_path
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.model import Policy
from pydp_cli.transforms.cells import count_by_key
from pydp_cli.transforms.types import is_text

__all__ = [
    "MODULAR_PREFIX",
    "WHOLE",
    "FileKeys",
    "Policy",
    "files_of",
    "not_telling",
    "scan_file",
    "scan_paths",
    "scan_policy",
    "untold",
]

WHOLE = "(whole file)"
"""Stands for the column, where a file is encrypted as a whole."""
MODULAR_PREFIX = "pydp-"
"""What the name of a key begins with in Parquet Modular Encryption; its id follows."""
CELL_WAYS = frozenset({"random", "deterministic", "per_subject"})


@dataclass
class FileKeys:
    """What one file's columns are under: for each column, cells by key id.

    `noted` are the keys that the metadata of columns names whose values do not name their key (format-preserving,
    tokens, blind indexes), with the number of values. `columns` are all that it has. `failure` says why the file could
    not be looked at, `is_table` whether it is of a format that is known.
    """

    path: str
    dataset: str | None = None
    size: int = 0
    cells: dict[str, Counter[bytes]] = field(default_factory=dict)
    noted: dict[str, Counter[bytes]] = field(default_factory=dict)
    failure: str | None = None
    is_table: bool = True
    columns: frozenset[str] = frozenset()

    def total(self) -> Counter[bytes]:
        """Count all cells and values by key id."""
        return sum([*self.cells.values(), *self.noted.values()], Counter())


def scan_policy(policy: Policy) -> Iterator[FileKeys]:
    """Look at every file of every dataset of a policy; one that has no files is told as a failure."""
    for name in policy.datasets:
        try:
            files = find_inputs([dataset_path(policy, name)])
        except PydpError as error:
            yield FileKeys(error.place or f'dataset "{name}"', name, failure=error.message)
            continue
        for file in files:
            yield scan_file(file, name, policy.datasets[name].csv)


def scan_paths(paths: Iterable[str]) -> Iterator[FileKeys]:
    """Look at files, and at every file of folders; what is no data file is told as a failure."""
    for path in paths:
        for one in files_of(path):
            try:
                (file,) = find_inputs([one])
            except PydpError as error:  # noqa: PERF203 - a file's reading outweighs it
                yield FileKeys(one, failure=error.message, is_table=False)
            else:
                yield scan_file(file)


def untold(policy: Policy, found: FileKeys, family: str) -> dict[str, str | None]:
    """Name the columns of a file that are under a key of a family, where neither values nor file tell its version.

    Each comes with the key that the policy names for it.
    """
    if found.dataset is None or found.failure is not None:
        return {}
    columns = not_telling(policy, found.dataset, family)
    return {name: key for name, key in columns.items() if name in found.columns and name not in found.noted}


def not_telling(policy: Policy, dataset: str, family: str = "cell") -> dict[str, str | None]:
    """Name a dataset's columns whose values do not name their key, each with the key that the policy names for it.

    Of the family `cell` these are columns of format-preserving encryption, of `token` those of tokens.
    """
    columns = policy.datasets[dataset].columns
    if family == "token":
        return {
            name: None
            for name, treated in columns.items()
            if treated.anonymize is not None and len(treated.anonymize) == 1 and can_be_undone(treated.anonymize[0])
        }
    encrypted = {name: treated.encrypt for name, treated in columns.items() if treated.encrypt is not None}
    return {name: spec.key for name, spec in encrypted.items() if spec.fpe is not None}


def scan_file(file: InputFile, dataset: str | None = None, csv_options: CsvOptions | None = None) -> FileKeys:
    """Look at one file."""
    found = FileKeys(file.path, dataset)
    try:
        found.size = os.stat(file.path).st_size if file.filesystem is None else 0  # noqa: PTH116 - the path as written
        with ExitStack() as closing:
            source = open_source(file, csv_options=csv_options, closing=closing)
            found.columns = frozenset(source.schema.names)
            noting = {name: ids for column in source.schema for name, ids in _noted(column)}
            for chunk in source.chunks():
                for batch in chunk.read():
                    _count(batch, noting, found)
    except PydpError as error:
        modular = _modular(file)
        if modular:
            found.noted[WHOLE] = Counter(dict.fromkeys(modular, 1))
        else:
            found.failure = error.message
    except OSError as error:
        found.failure = f"cannot be read ({(error.strerror or 'error').lower()})"
    return found


def _modular(file: InputFile) -> list[bytes]:
    """Give the keys that a Parquet file names which is encrypted as a whole (modular encryption)."""
    if file.filesystem is not None:
        return []
    try:
        with open(file.path, "rb") as stream:  # noqa: PTH123 - the path as written
            names = master_keys(stream)
    except (OSError, ValueError, KeyError, TypeError):  # no such file, or damaged: what was said of it stands
        return []
    ids = [name.removeprefix(MODULAR_PREFIX) for name in names if name.startswith(MODULAR_PREFIX)]
    return [bytes.fromhex(key_id) for key_id in ids if _KEY_ID.fullmatch(key_id)]


_KEY_ID = re.compile("[0-9a-f]{8}")


def files_of(path: str) -> list[str]:
    """Name every data file that a path stands for, of any format; a path that matches nothing stands for itself."""
    if not os.path.isdir(path):  # noqa: PTH112 - the path as written
        try:
            return [file.path for file in find_inputs([path])]
        except InputError:
            return [path]
    return [f"{path.rstrip('/')}/{name}" for name in walk_files(path)]


def _noted(column: pa.Field) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    mark = mark_of(column)
    if mark is not None and mark.way not in CELL_WAYS:
        yield column.name, tuple(bytes.fromhex(use.key_id) for use in mark.keys)


def _count(batch: pa.RecordBatch, noting: dict[str, tuple[bytes, ...]], found: FileKeys) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in noting:
            values = Counter(dict.fromkeys(noting[name], len(column) - column.null_count))
            found.noted[name] = found.noted.get(name, Counter()) + values
        elif may_hold_cells(column.type):
            cells = count_by_key(densify(column) if pa.types.is_dictionary(column.type) else column)
            if cells:
                found.cells[name] = found.cells.get(name, Counter()) + cells


def may_hold_cells(kind: pa.DataType) -> bool:
    """Tell whether values of a type can be cells: text, or bytes of any length."""
    dense = dense_type(kind)
    return is_text(dense) or bool(
        pa.types.is_binary(dense) or pa.types.is_large_binary(dense) or pa.types.is_binary_view(dense)
    )
