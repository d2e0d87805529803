"""What is sought of people where rows are not told apart: the values that name them, and the columns that may."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.pipeline.physical import densify
from pydp_cli.policy.identity_text import can_identify, identity_text, identity_value
from pydp_cli.subjects.bloom_filters import Digests, digests_of
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.needles import Needles
from pydp_cli.subjects.parquet_prune import Wanted
from pydp_cli.subjects.subject import Subject

_WHOLE_NUMBER = re.compile("0|-?[1-9][0-9]{0,18}")


class Sought:
    """The identifiers of some people: `columns` are the key columns that may hold them, by name, with their spaces."""

    def __init__(self, catalogue: Catalogue, people: Sequence[Subject]) -> None:
        self.catalogue = catalogue
        self.needles = Needles.of(value for subject in people for _, value in subject.given)
        self.spaces: dict[str, set[str]] = {}
        for subject in people:
            for space, value in subject.given:
                self.spaces.setdefault(space, set()).add(value)
        self.columns = {key.column: key.space for key in catalogue.keys if key.space in self.spaces}
        self._masked: dict[str, str] = {}
        self._digests: dict[tuple[str, str], Digests] = {}

    def may_be_in(self, column: str, *, is_text: bool) -> bool:
        """Tell whether a value of a column could be an identifier: numbers are in the columns of people's ids only."""
        return column in self.columns or (is_text and bool(self.needles))

    def is_in(self, column: str, values: pa.Array) -> bool:
        """Tell whether any of the values of a column is an identifier, or a text that holds one."""
        if pa.types.is_struct(values.type):
            return any(self.is_in(column, part) for part in values.flatten())
        if pa.types.is_nested(values.type):
            return self.is_in(column, values.flatten())
        if column in self.columns and can_identify(values.type) and self.is_one_of(column, values):
            return True
        text = densify(values)
        return pa.types.is_string(text.type) and bool(pc.any(self.needles.in_column(text)).as_py())

    def is_one_of(self, column: str, values: pa.Array) -> bool:
        """Tell whether any of the values of a column of ids is one of those sought."""
        space = self.columns[column]
        identity = self.catalogue.identity(space)
        if values.type == pa.int64() and (identity is None or not identity.normalize):
            return bool(pc.any(pc.is_in(values, value_set=self._numbers[space])).as_py())
        text = identity_text(values, self.catalogue.identity(space))
        return bool(pc.any(pc.is_in(text, value_set=self._texts[space])).as_py())

    def digests(self, column: str, physical: str) -> Digests:
        """Give what is sought in a column of ids as a bloom filter knows values of a physical type."""
        key = self.columns[column], physical
        if key not in self._digests:
            self._digests[key] = digests_of(Wanted.of(self.spaces[key[0]], exact=True).stored(physical))
        return self._digests[key]

    @cached_property
    def _texts(self) -> dict[str, pa.StringArray]:
        return {space: pa.array(sorted(values), pa.string()) for space, values in self.spaces.items()}

    @cached_property
    def _numbers(self) -> dict[str, pa.Int64Array]:
        """What of each space is a whole number as it is written without spelling it otherwise."""
        numbers = {
            space: [int(value) for value in values if _WHOLE_NUMBER.fullmatch(value)]
            for space, values in self.spaces.items()
        }
        return {
            space: pa.array([one for one in of_space if -(2**63) <= one < 2**63], pa.int64())
            for space, of_space in numbers.items()
        }

    def masked(self, parts: Iterable[str]) -> list[str]:
        """Give the parts of a path with `…` for the identifiers in them, those of `key=value` by their values."""
        masked = []
        for part in parts:
            if part not in self._masked:
                self._masked[part] = self._without_identifiers(part)
            masked.append(self._masked[part])
        return masked

    def _without_identifiers(self, part: str) -> str:
        column, equals, value = part.partition("=")
        space = self.columns.get(unquote(column), "")
        if equals and identity_value(unquote(value), self.catalogue.identity(space)) in self.spaces.get(space, ()):
            return f"{column}=…"
        return self.needles.masked(part) if part == unquote(part) else self.needles.masked(unquote(part), part)
