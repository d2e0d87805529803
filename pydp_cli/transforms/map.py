"""Replace values by others that are listed, in the policy or in a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field, model_validator

from pydp_cli.errors import BadValue, InputError
from pydp_cli.transforms.canonical import CANONICAL, canonical_text
from pydp_cli.transforms.constant import Value, value_in
from pydp_cli.transforms.file_name import FileName
from pydp_cli.transforms.parse import MOST_ROWS_NAMED
from pydp_cli.transforms.registry import Binding, Rows, TransformOptions, transform

HEADER = ["from", "to"]


@transform("map", takes=CANONICAL, reversible=False, leaks="which values were replaced by which", main_option="values")
class Map(TransformOptions):
    """Replace listed values: `plan: {map: {values: {gold: paid, silver: paid}, default: other}}`.

    `from: plans.csv` reads the list from a CSV file with the header `from,to`, relative to the policy. `default` must
    be said: a value for everything that is not listed, or `keep`, `null` or `error`. Null stays null. Values are
    compared as the column's type, so that `1` is found in an integer column; the type stays, and the new values must
    fit it, unless `returns: text`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)

    values: Annotated[dict[Value, Value] | None, Field(description="The new value for each old one.")] = None
    source: Annotated[
        FileName | None, Field(alias="from", min_length=1, description="A CSV file with the header `from,to`.")
    ] = None
    default: Annotated[
        Value | None,
        Field(description="What becomes of a value that is not listed: a value, or `keep`, `null` or `error`."),
    ]
    returns: Annotated[
        Literal["same", "text"], Field(description="Whether the column keeps its type or becomes text.")
    ] = "same"

    @model_validator(mode="after")
    def _one_list(self) -> Map:
        if (self.values is None) == (self.source is None):
            raise ValueError("give either `values` or `from`")
        return self

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Keep the type, or give text."""
        return pa.string() if self.returns == "text" else taken

    def leak(self) -> str:
        """Say what is left of values that are not listed."""
        return "every value that is not listed" if self.default == "keep" else self.info.leaks

    def makes_null(self) -> bool:
        """Say whether a value that is not listed becomes null."""
        return self.default in (None, "null")

    def check_takes(self, kind: pa.DataType, column: str) -> None:
        """Refuse values that the column cannot hold."""
        super().check_takes(kind, column)
        if self.values is not None:
            self._bound(self.values, kind, column)

    def bind(self, binding: Binding) -> Mapped:
        """Read the file, and bring both sides of the list to the column's type."""
        values = read_mapping(binding.base_dir / self.source) if self.source is not None else self.values
        return self._bound(values or {}, binding.taken, binding.column)

    def apply(self, column: pa.Array) -> pa.Array:
        """Replace by the list in the policy."""
        if self.values is None:
            raise InputError("the file of a mapping is read when the policy is compiled")
        return self._bound(self.values, column.type, "")(column)

    def _bound(self, values: Mapping[Value, Value], kind: pa.DataType, column: str) -> Mapped:
        given = self.gives(kind)
        default: pa.Scalar = pa.scalar(None, given)
        unlisted: Literal["value", "keep", "error"] = "value"
        if self.default in ("keep", "error"):
            unlisted = "keep" if self.default == "keep" else "error"
        elif self.default not in (None, "null"):
            assert self.default is not None
            default = value_in(given, self.default, column)
        old = pa.array([value_in(kind, key, column).as_py() for key in values], kind)
        new = pa.array([value_in(given, value, column).as_py() for value in values.values()], given)
        return Mapped(canonical_text(old), new, default, unlisted)


@dataclass(frozen=True)
class Mapped:
    """A list of values in the type of its column."""

    old: pa.StringArray
    new: pa.Array
    default: pa.Scalar
    unlisted: Literal["value", "keep", "error"]

    def __call__(self, column: pa.Array, rows: Rows | None = None) -> pa.Array:
        """Look every value up."""
        del rows
        text = canonical_text(column)
        place = pc.index_in(text, self.old)
        listed = self.new.take(place)
        missing = pc.and_(pc.is_null(place), pc.is_valid(text))
        if not pc.any(missing).as_py():
            return listed
        if self.unlisted == "error":
            found = tuple(pc.indices_nonzero(missing)[:MOST_ROWS_NAMED].to_pylist())
            raise BadValue("not a value that the mapping lists", hint="list it, or set another `default`", rows=found)
        if self.unlisted == "keep":
            kept = column if column.type == listed.type else text
            return pc.if_else(missing, kept, listed).cast(listed.type)
        return pc.if_else(missing, self.default, listed).cast(listed.type)


def read_mapping(path: Path) -> dict[Value, Value]:
    """Read a CSV file with the header `from,to`, in UTF-8; raises `InputError` with the line that is wrong."""
    values: dict[Value, Value] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            if next(reader, None) != HEADER:
                raise InputError("the first line of a mapping is its header, `from,to`", place=f"{path}:1")
            for row in reader:
                if not row:
                    continue
                if len(row) != len(HEADER):
                    raise InputError(f"a mapping has two columns, not {len(row)}", place=f"{path}:{reader.line_num}")
                if row[0] in values:
                    raise InputError("a value is listed twice", place=f"{path}:{reader.line_num}")
                values[row[0]] = row[1]
    except OSError as error:
        raise InputError(f"cannot read the mapping: {error.strerror}", place=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("the mapping is not UTF-8", place=str(path)) from None
    except csv.Error as error:
        raise InputError(f"the mapping is not CSV: {error}", place=str(path)) from None
    return values
