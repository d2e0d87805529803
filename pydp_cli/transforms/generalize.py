"""Replace values by the coarser groups of a hierarchy file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.errors import BadValue, InputError
from pydp_cli.transforms.canonical import CANONICAL, canonical_text
from pydp_cli.transforms.file_name import FileName
from pydp_cli.transforms.hierarchy import read_hierarchy
from pydp_cli.transforms.parse import MOST_ROWS_NAMED
from pydp_cli.transforms.registry import Binding, Rows, TransformOptions, transform

SUPPRESSED = "*"


@transform("generalize", takes=CANONICAL, reversible=False, leaks="the group at the level that is chosen")
class Generalize(TransformOptions):
    """Replace a value by its group: `education: {generalize: {hierarchy: education.csv, level: 1}}`.

    The file lists every value once, with its groups from fine to coarse, without a header, as ARX writes it:
    `Bachelors;Higher education;*`. Level 0 is the value itself. Its path is relative to the policy. Null stays null. A
    value that the file does not list ends the run, or becomes `*` with `unknown: redact`. The result is text.
    """

    hierarchy: Annotated[FileName, Field(min_length=1, description="The file of the hierarchy.")]
    level: Annotated[int, Field(ge=0, description="The level: 1 is the finest group.")]
    unknown: Annotated[
        Literal["error", "redact", "null"],
        Field(description="What becomes of a value that the file does not list."),
    ] = "error"
    delimiter: Annotated[
        str, Field(min_length=1, max_length=1, description="What separates the levels in the file.")
    ] = ";"

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Give text."""
        del taken
        return pa.string()

    def leak(self) -> str:
        """Name the level."""
        return f"the group at level {self.level}" if self.level else "every value that the file lists"

    def makes_null(self) -> bool:
        """Say whether a value that the file does not list becomes null."""
        return self.unknown == "null"

    def bind(self, binding: Binding) -> Generalized:
        """Read the file."""
        path = binding.base_dir / self.hierarchy
        levels = read_hierarchy(path, self.delimiter).levels
        if self.level >= len(levels):
            raise InputError(f"there is no level {self.level}: the highest is {len(levels) - 1}", place=str(path))
        return Generalized(pa.array(levels[0], pa.string()), pa.array(levels[self.level], pa.string()), self.unknown)


@dataclass(frozen=True)
class Generalized:
    """One level of a hierarchy."""

    values: pa.StringArray
    groups: pa.StringArray
    unknown: Literal["error", "redact", "null"]

    def __call__(self, column: pa.Array, rows: Rows | None = None) -> pa.StringArray:
        """Look every value up."""
        del rows
        text = canonical_text(column)
        groups = self.groups.take(pc.index_in(text, self.values))
        missing = pc.and_(pc.is_null(groups), pc.is_valid(text))
        if self.unknown == "null" or not pc.any(missing).as_py():
            return groups
        if self.unknown == "error":
            found = tuple(pc.indices_nonzero(missing)[:MOST_ROWS_NAMED].to_pylist())
            raise BadValue("not a value that the hierarchy lists", hint="list it, or set `unknown: redact`", rows=found)
        return pc.if_else(missing, SUPPRESSED, groups)
