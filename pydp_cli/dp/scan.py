"""From a batch of rows to an integer matrix: the person's hash, the group, and the features; picklable for workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.dp.features import Feature, check_numeric, numbers_of
from pydp_cli.dp.hashing import PersonHash
from pydp_cli.dp.queries import GroupColumn, Question
from pydp_cli.errors import BadValue, InputError
from pydp_cli.pipeline.compilation import declared_type, logical_schema
from pydp_cli.pipeline.model import Parse
from pydp_cli.pipeline.physical import densify
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.conditions import Condition, compile_condition
from pydp_cli.policy.model import DatasetPolicy

Ints = npt.NDArray[np.int64]
Key = tuple[str, ...]


class _NoRows:
    """Stands for the rows of a column where a parse does not look at them."""

    num_rows = 0

    def original(self, column: str) -> pa.Array:
        """There are none."""
        raise KeyError(column)

    treated = original


NO_ROWS = _NoRows()


@dataclass(frozen=True)
class Scanned:
    """The rows of a batch that count. The group column of `rows` indexes `keys`."""

    keys: list[Key]
    rows: Ints


@dataclass(frozen=True)
class Scan:
    """What is read of every batch of one file."""

    question: Question
    features: tuple[Feature, ...]
    person: PersonHash
    condition: Condition | None
    parses: tuple[tuple[str, Parse], ...]
    as_text: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be decoded of a file."""
        wanted = {feature.column for feature in self.features} | {group.name for group in self.question.group_by}
        wanted |= set(self.condition.columns) if self.condition is not None else set()
        wanted |= {self.question.user} if self.question.user is not None else set()
        return tuple(sorted(wanted))

    def of(self, batch: pa.RecordBatch) -> Scanned:
        """Give the rows that have a person and a group, and meet the condition."""
        question = self.question
        counts = np.ones(batch.num_rows, bool)
        if self.condition is not None:
            parses = dict(self.parses)
            columns = {name: self._read(batch, name, parses.get(name)) for name in self.condition.columns}
            counts &= np.asarray(self.condition(columns).to_numpy(zero_copy_only=False), bool)
        if question.user is not None:
            counts &= pc.is_valid(batch.column(question.user)).to_numpy(zero_copy_only=False)
        codes = np.zeros(batch.num_rows, np.int64)
        labels: list[Sequence[str]] = []
        for group in question.group_by:
            code, names = _codes(densify(batch.column(group.name)), group)
            counts &= code >= 0
            codes = codes * len(names) + code
            labels.append(names)
        kept = np.flatnonzero(counts)
        rows = np.empty((len(kept), 2 + len(self.features)), np.int64, order="F")
        rows[:, 0] = self._people(batch, kept)
        present, rows[:, 1] = np.unique(codes[kept], return_inverse=True)
        read: dict[tuple[str, float | None], npt.NDArray[np.float64]] = {}
        for place, feature in enumerate(self.features):
            source = (feature.column, feature.nulls)
            if source not in read:
                column = densify(batch.column(feature.column))
                read[source] = numbers_of(column, feature.nulls)[kept]
            rows[:, 2 + place] = feature.of(read[source])
        return Scanned([_key(int(code), labels) for code in present], np.ascontiguousarray(rows))

    def _people(self, batch: pa.RecordBatch, kept: Ints) -> Ints:
        if self.question.user is None:
            generator = np.random.default_rng()
            return generator.integers(-(1 << 63), 1 << 63, len(kept), dtype=np.int64, endpoint=False)
        column = densify(batch.column(self.question.user)).take(pa.array(kept))
        if self.as_text and not pa.types.is_string(column.type):
            column = column.cast(pa.string())
        hashed: Ints = self.person.of(column).view(np.int64)
        return hashed

    @staticmethod
    def _read(batch: pa.RecordBatch, name: str, parse: Parse | None) -> pa.Array:
        column = densify(batch.column(name))
        return column if parse is None else _parsed(column, parse)


def make_scan(
    question: Question,
    dataset: DatasetPolicy,
    features: tuple[Feature, ...],
    person: PersonHash,
    schema: pa.Schema,
    *,
    alone: bool = True,
) -> Scan:
    """Check a file's columns, and bind the question to them; raises `InputError` for a column that is not there.

    Unless the file is `alone`, people are compared as text: 7 in one file and "7" in another are one person.
    """
    wanted = {feature.column for feature in features} | {group.name for group in question.group_by}
    if question.user is not None:
        wanted.add(question.user)
    for name in sorted(wanted):
        if name not in schema.names:
            raise InputError(f'there is no column "{name}"', hint=f"columns: {', '.join(schema.names[:20])}")
    for feature in features:
        check_numeric(schema.field(feature.column))
    condition, parses = None, []
    if question.where is not None:
        condition = compile_condition(question.where, logical_schema(dataset, schema))
        for name in sorted(condition.columns):
            kind = declared_type(dataset, schema.field(name))
            parses += [] if kind is None else [(name, Parse(kind))]
    integer = question.user is not None and pa.types.is_integer(dense_type(schema.field(question.user).type))
    return Scan(question, features, person, condition, tuple(parses), as_text=not (integer and alone))


def _codes(column: pa.Array, group: GroupColumn) -> tuple[Ints, Sequence[str]]:
    """Give each row's place among the labels, -1 where it has none."""
    text = column if pa.types.is_string(column.type) else column.cast(pa.string())
    if group.keys is not None:
        found = pc.index_in(text, pa.array(group.keys, pa.string()))
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64), group.keys
    encoded = text.dictionary_encode()
    places = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return places, encoded.dictionary.to_pylist() or [""]


def _key(code: int, labels: list[Sequence[str]]) -> Key:
    key = []
    for names in reversed(labels):
        code, place = divmod(code, len(names))
        key.append(names[place])
    return tuple(reversed(key))


def _parsed(column: pa.Array, parse: Parse) -> pa.Array:
    """Read text as a declared type; what cannot be read is null, because data must not decide an error."""
    try:
        return parse(column, NO_ROWS)
    except BadValue:
        if len(column) == 1:
            return pa.nulls(1, parse.kind)
        middle = len(column) // 2
        return pa.concat_arrays([_parsed(column.slice(0, middle), parse), _parsed(column.slice(middle), parse)])
