"""What is known of the people looked for while they are resolved: which value of which space is whose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


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


@dataclass
class Known:
    """The values of one space, each with its subject. `forms` are spellings of them in treated columns."""

    values: dict[str, int] = field(default_factory=dict)
    forms: dict[str, str] = field(default_factory=dict)
    version: int = 0
    _built: tuple[int, pa.StringArray, npt.NDArray[np.int32]] | None = None
    _numbers: tuple[int, pa.Int64Array, npt.NDArray[np.int32]] | None = None

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

    def look_up(self, text: pa.StringArray) -> pa.Int32Array:
        """Give the subject of each value, null where it is nobody's."""
        values, subjects = self.index()
        place = pc.index_in(text, value_set=values)
        return pa.array(subjects).take(place)

    def look_up_numbers(self, column: pa.Array) -> pa.Int32Array:
        """Give the subject of each whole number, without writing the numbers out as text."""
        if self._numbers is None or self._numbers[0] != self.version:
            values, subjects = self.index()
            plain = pc.match_substring_regex(values, "^(0|-?[1-9][0-9]{0,17})$")
            chosen = plain.to_numpy(zero_copy_only=False)
            self._numbers = (self.version, values.filter(plain).cast(pa.int64()), subjects[chosen])
        place = pc.index_in(column.cast(pa.int64()), value_set=self._numbers[1])
        return pa.array(self._numbers[2]).take(place)

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
