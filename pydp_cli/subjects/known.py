"""What is known of the people looked for while they are resolved: which value of which space is whose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

COMPARED_VALUES = 8
"""So few values are compared with a column one by one before it is hashed."""


class People:
    """Groups of subjects that turned out to be one person (union-find over their numbers)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def __len__(self) -> int:
        return len(self._parent)

    def root(self, subject: int) -> int:
        """Give the number that stands for a subject's group."""
        while self._parent[subject] != subject:
            self._parent[subject] = self._parent[self._parent[subject]]
            subject = self._parent[subject]
        return subject

    def join(self, one: int, other: int) -> None:
        """Note that two subjects are one person."""
        first, second = sorted((self.root(one), self.root(other)))
        self._parent[second] = first

    def roots(self) -> npt.NDArray[np.int32]:
        """Give the root of every subject."""
        return np.array([self.root(subject) for subject in range(len(self))], np.int32)


@dataclass(frozen=True)
class LookUp:
    """What was known of a space at one moment; it does not change, so that threads can search with it."""

    version: int
    values: pa.StringArray
    subjects: npt.NDArray[np.int32]
    numbers: pa.Int64Array
    number_subjects: npt.NDArray[np.int32]

    def texts(self, column: pa.StringArray) -> pa.Int32Array | None:
        """Give the subject of each value, null where it is nobody's; None where all are nobody's."""
        return _whose(column, self.values, self.subjects)

    def whole_numbers(self, column: pa.Array) -> pa.Int32Array | None:
        """Give the subject of each whole number, without writing the numbers out as text."""
        return _whose(column.cast(pa.int64()), self.numbers, self.number_subjects)


def _whose(column: pa.Array, values: pa.Array, subjects: npt.NDArray[np.int32]) -> pa.Int32Array | None:
    if len(values) > COMPARED_VALUES:
        return pa.array(subjects).take(pc.index_in(column, value_set=values))
    found = None  # to compare costs a fraction of hashing, and most batches hold nobody
    for value, subject in zip(values, subjects.tolist(), strict=True):
        equal = pc.equal(column, value).fill_null(False)
        if equal.true_count:
            others = pa.scalar(None, pa.int32()) if found is None else found
            found = pc.if_else(equal, pa.scalar(subject, pa.int32()), others)
    return found


@dataclass
class Known:
    """The values of one space, each with its subject. `forms` are spellings of them in treated columns."""

    values: dict[str, int] = field(default_factory=dict)
    forms: dict[str, str] = field(default_factory=dict)
    version: int = 0
    _built: tuple[int, pa.StringArray, npt.NDArray[np.int32]] | None = None
    _look_up: LookUp | None = None

    def add(self, value: str, subject: int, people: People) -> bool:
        """Note a value; tell whether it is new. One that is another subject's makes both one person."""
        value = self.forms.get(value, value)
        new = value not in self.values
        before = self.values.setdefault(value, subject)
        if people.root(before) != people.root(subject):
            people.join(before, subject)
        self.version += new
        return new

    def add_forms(self, forms: Iterable[tuple[str | None, str]], people: People) -> None:
        """Note how values are spelled in treated columns; a spelling that was taken for a value is one no more."""
        for form, value in forms:
            if form is None or form == value or form in self.forms or value not in self.values:
                continue
            mistaken = self.values.pop(form, None)
            if mistaken is not None:
                people.join(mistaken, self.values[value])
            self.forms[form] = value
            self.version += 1

    def forget(self, subjects: set[int], people: People) -> None:
        """Forget the values of people who are not followed any more."""
        self.values = {value: at for value, at in self.values.items() if people.root(at) not in subjects}
        self.forms = {form: value for form, value in self.forms.items() if value in self.values}
        self.version += 1

    def look_up(self) -> LookUp:
        """Give what tells whose a value is, as far as is known now."""
        if self._look_up is None or self._look_up.version != self.version:
            values, subjects = self.index()
            plain = pc.match_substring_regex(values, "^(0|-?[1-9][0-9]{0,17})$")
            numbers = values.filter(plain).cast(pa.int64())
            chosen = subjects[plain.to_numpy(zero_copy_only=False)]
            self._look_up = LookUp(self.version, values, subjects, numbers, chosen)
        return self._look_up

    def index(self) -> tuple[pa.StringArray, npt.NDArray[np.int32]]:
        """Give all spellings and whose they are."""
        if self._built is None or self._built[0] != self.version:
            texts = [*self.values, *self.forms]
            subjects = [*self.values.values(), *(self.values[value] for value in self.forms.values())]
            self._built = (self.version, pa.array(texts, pa.string()), np.array(subjects, np.int32))
        return self._built[1], self._built[2]


def distinct_pairs(texts: pa.StringArray, subjects: pa.Int32Array) -> Iterable[tuple[str, int]]:
    """Give each pair of a value and a subject once."""
    table = pa.table({"text": texts, "subject": subjects}).group_by(["text", "subject"]).aggregate([])
    return zip(table.column("text").to_pylist(), table.column("subject").to_pylist(), strict=True)
