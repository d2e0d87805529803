"""Change some rows of a file and leave all else as it is, to the byte.

    edits = Edits(delete=np.array([3, 8]), replace={"email": Replacement(np.array([5]), to_nulls)})
    with transaction.replacement(file.path) as stream:
        edited = rewrite_file(file, stream, edits)

Rows are named by their positions in the file, from 0. What cannot be kept as it is (a type, an encoding, an encrypted
column) is refused, and never coerced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.datasets.csv_dialect import CsvOptions
    from pydp_cli.datasets.locations import InputFile

Rows = npt.NDArray[np.int64]
NO_ROWS: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class Replacement:
    """New values for some rows of a column; `rows` are sorted, each once.

    `make` is given the values that some of these rows have, in the order of the file, and gives as many of the same
    type. They are of the column's Arrow type, those of dictionary columns decoded; in CSV they are text.
    """

    rows: Rows
    make: Callable[[pa.Array], pa.Array]

    def values(self, old: pa.Array, *, place: str) -> pa.Array:
        """Make the new values, and refuse those of another type."""
        new = self.make(old)
        if new.type != old.type or len(new) != len(old):
            raise UsageError("the new values are not of the column's type", place=place)
        return new


@dataclass(frozen=True)
class Edits:
    """What happens to one file: rows that go, sorted and each once, and columns that get new values."""

    delete: Rows = field(default_factory=lambda: NO_ROWS)
    replace: Mapping[str, Replacement] = field(default_factory=dict)

    def between(self, start: int, end: int) -> Edits:
        """Give what happens to the rows from `start` to before `end`, with positions counted from `start`."""
        replace = {
            name: Replacement(rows, one.make)
            for name, one in self.replace.items()
            if len(rows := _between(one.rows, start, end))
        }
        return Edits(_between(self.delete, start, end), replace)

    def __bool__(self) -> bool:
        """Tell whether anything happens."""
        return bool(len(self.delete)) or any(len(one.rows) for one in self.replace.values())

    @property
    def last(self) -> int:
        """The last row to which anything happens, or -1."""
        every = [self.delete, *(one.rows for one in self.replace.values())]
        return max((int(rows[-1]) for rows in every if len(rows)), default=-1)


@dataclass(frozen=True)
class Edited:
    """What became of a file. A unit is a row group, or a block of text; `bytes_copied` were not even decoded."""

    rows_before: int
    rows_deleted: int
    cells_changed: int
    units_copied: int
    units_encoded: int
    units_dropped: int
    bytes_copied: int

    @property
    def rows_after(self) -> int:
        """How many rows are left."""
        return self.rows_before - self.rows_deleted


def rewrite_file(file: InputFile, stream: BinaryIO, edits: Edits, *, csv: CsvOptions | None = None) -> Edited:
    """Write to `stream` what a local file becomes.

    Raises `InputError` where the file cannot be read, and `UsageError` where a column is not in it, cannot take the new
    values, or is of a kind that cannot be written as it is.
    """
    format_name = _format_name(file)
    if format_name == "parquet":
        from pydp_cli.datasets.parquet_edit import edit_parquet

        return edit_parquet(file.path, stream, edits)
    if format_name in {"csv", "tsv"}:
        from pydp_cli.datasets.csv_edit import edit_csv

        return edit_csv(file, stream, edits, csv)
    raise UsageError(f"{format_name} files cannot be changed in place", place=file.path)


def _format_name(file: InputFile) -> str:
    if file.filesystem is not None or file.path == "-":
        raise UsageError("only local files can be changed in place", place=file.path)
    if file.format is not None:
        return file.format.name
    with open(file.path, "rb") as stream:  # noqa: PTH123 - paths are strings here
        return "parquet" if stream.read(4) in {b"PAR1", b"PARE"} else "csv"


def _between(rows: Rows, start: int, end: int) -> Rows:
    first, last = np.searchsorted(rows, [start, end])
    return rows[first:last] - start
