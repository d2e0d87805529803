"""The rows of one file that are of somebody looked for, as tables of positions that are put together share by share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.datasets.locations import InputFile
from pydp_cli.subjects.scan import Fingerprint, fingerprint
from pydp_cli.subjects.search import Hits


@dataclass(frozen=True)
class FileMatches:
    """The rows of one file that are of somebody looked for: position, whose, by which key, and whether a mention.

    A row that is of several people is there once for each. Positions count from 0, in the order of the file.
    """

    dataset: str
    file: InputFile
    rows: pa.Int64Array
    people: pa.Int32Array
    mention: pa.BooleanArray
    by: pa.Int8Array
    keys: tuple[str, ...]
    num_rows: int
    fingerprint: Fingerprint | None

    def of(self, person: int, *, mentions: bool = True) -> pa.Int64Array:
        """Give the positions of one person's rows, each once and in order."""
        order, people = self._by_person
        chosen = order[np.searchsorted(people, person) : np.searchsorted(people, person, side="right")]
        if not mentions:
            chosen = chosen[~self.mention.to_numpy(zero_copy_only=False)[chosen]]
        return pa.array(np.unique(self.rows.to_numpy()[chosen]))

    @cached_property
    def _by_person(
        self,
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int32]]]:
        people = self.people.to_numpy()
        order = np.argsort(people, kind="stable")
        return order, people[order]

    def owned(self) -> pa.Int64Array:
        """Give the positions of the rows that are anybody's own."""
        return pa.array(np.unique(self.rows.filter(pc.invert(self.mention)).to_numpy()))


NOTHING = pa.table(
    {
        "row": pa.array([], pa.int64()),
        "person": pa.array([], pa.int32()),
        "mention": pa.array([], pa.bool_()),
        "by": pa.array([], pa.int8()),
    }
)


def matched(found: Hits, owner: pa.Int32Array, hits: list[tuple[int, pa.Int32Array]], *, mention: bool) -> pa.Table:
    """Write down the rows that have an owner, with the first key by which they were found."""
    rows = pc.indices_nonzero(owner.is_valid())
    if not len(rows):
        return NOTHING
    by = pa.nulls(len(rows), pa.int8())
    for at, hit in hits:
        here = hit.take(rows).is_valid()
        by = pc.coalesce(by, pc.if_else(here, pa.scalar(at, pa.int8()), pa.scalar(None, pa.int8())))
    return pa.table(
        {
            "row": found.rows.take(rows),
            "person": owner.take(rows),
            "mention": pa.array(np.full(len(rows), mention)),
            "by": by,
        }
    )


def as_first_reached(table: pa.Table, before: FileMatches | None) -> pa.Table:
    """Let own rows that an earlier round found keep the key by which it did: that is how they were reached.

    A mention keeps its column, for a row may mention several people, each in another one.
    """
    if before is None or not len(before.rows):
        return table
    own = pc.invert(before.mention)
    first = before.by.filter(own).take(pc.index_in(table.column("row"), value_set=before.rows.filter(own)))
    reached = pc.coalesce(first, table.column("by"))
    return table.set_column(3, "by", pc.if_else(table.column("mention"), table.column("by"), reached))


def matches_of(
    name: str, file: InputFile, table: pa.Table, keys: tuple[str, ...], num_rows: int, *, seen: Fingerprint | None
) -> FileMatches:
    """Give the rows of a table as those of a file."""
    row, person, mention, by = (table.column(column).combine_chunks() for column in NOTHING.column_names)
    return FileMatches(name, file, row, person, mention, by, keys, num_rows, seen)


def unsearched(name: str, file: InputFile) -> FileMatches:
    """Stand for a file in which nothing was looked for, because nothing is known that it could hold."""
    return matches_of(name, file, NOTHING, (), -1, seen=fingerprint(file))


def renumbered(
    matches: FileMatches, number_of: np.ndarray[tuple[int], np.dtype[np.int32]], dropped: set[int]
) -> FileMatches:
    """Name people by their place; those over the limit have no rows."""
    people = pa.array(number_of[matches.people.to_numpy()], pa.int32())
    table = pa.table([matches.rows, people, matches.mention, matches.by], names=NOTHING.column_names)
    if dropped:
        table = table.filter(pc.invert(pc.is_in(people, value_set=pa.array(sorted(dropped), pa.int32()))))
    return matches_of(matches.dataset, matches.file, table, matches.keys, matches.num_rows, seen=matches.fingerprint)
