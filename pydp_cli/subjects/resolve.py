"""Find everything of a person: breadth-first over the links of the catalogue, until nothing new turns up.

    catalogue = catalogue_of(policy)
    found = resolve(catalogue, [parse_subjects(["email=anna@example.com"], catalogue)], keyring=keyring)
    found.people[0].verdict        # found, not found, ambiguous or limit
    found.files                    # for each file: the positions of the person's rows

All people of a batch are looked for in the same passes. Values compare as their identity says; null, empty and shared
values never join. A row that is found only by a column about other people is a *mention*: it leads no further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.datasets.locations import InputFile
from pydp_cli.errors import LimitReached, Refused, TemporaryFailure
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.physical import take_rows
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.subjects.asked import AskedColumn
from pydp_cli.subjects.catalogue import Catalogue, Key
from pydp_cli.subjects.known import Known, People, distinct_pairs
from pydp_cli.subjects.parquet_prune import Wanted
from pydp_cli.subjects.scan import Fingerprint, fingerprint
from pydp_cli.subjects.search import FileHits, Hits, Share, in_order, search_file, shares_of
from pydp_cli.subjects.subject import Subject
from pydp_cli.subjects.treated import Treated

Verdict = Literal["found", "not found", "ambiguous", "limit"]
MAX_IDENTITIES = 50
MAX_ROUNDS = 100
PRUNE_UP_TO = 10_000


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


@dataclass(frozen=True)
class Step:
    """How rows were reached: by a key of a dataset, how many rows, and the values of which spaces they gave."""

    space: str
    dataset: str
    column: str
    rows: int
    gave: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        given = ", ".join(f"{space} ({count:,})" for space, count in self.gave)
        return f"{self.space} → {self.dataset}.{self.column}: {self.rows:,} rows" + (f", give {given}" if given else "")


@dataclass(frozen=True)
class Person:
    """One person as resolved: the subjects (by number) that are this person, and the values they are known by."""

    subjects: tuple[int, ...]
    identities: dict[str, tuple[str, ...]] = field(repr=False)
    rows: int
    verdict: Verdict


@dataclass(frozen=True)
class Resolution:
    """What was found, in `files`; `person_of[i]` is the place in `people` of the i-th subject that was asked for."""

    people: tuple[Person, ...]
    person_of: tuple[int, ...]
    files: tuple[FileMatches, ...]
    trail: tuple[Step, ...]
    rounds: int

    def of_dataset(self, dataset: str) -> list[FileMatches]:
        """Give the matches of a dataset's files."""
        return [matches for matches in self.files if matches.dataset == dataset]

    def require_unambiguous(self) -> None:
        """Refuse a person of whom it is not clear who they are; the trail tells how that came."""
        for person in self.people:
            if person.verdict == "limit":
                raise LimitReached(
                    f"more than {MAX_IDENTITIES} identifiers hang together: a value that people share may join them",
                    hint="declare it under `shared:` of its identity; the trail shows where they came from",
                )
        spaces = sorted(self._ambiguous_spaces())
        if spaces:
            raise Refused(
                f"it is not clear who this is: several {', '.join(spaces)} hang together",
                hint="name the one that is meant with --subject, or use --merge if they are one person",
            )

    def _ambiguous_spaces(self) -> set[str]:
        return {
            space
            for person in self.people
            if person.verdict == "ambiguous"
            for space, values in person.identities.items()
            if len(values) > 1
        }


Progress = Callable[[str], None]
"""Told the path of each file before it is searched."""


def resolve(
    catalogue: Catalogue,
    subjects: Sequence[Subject],
    *,
    keyring: Keyring | None = None,
    max_identities: int = MAX_IDENTITIES,
    merge: bool = False,
    progress: Progress | None = None,
) -> Resolution:
    """Find the rows of every subject in every dataset of the catalogue.

    Raises `TemporaryFailure` where a file changes meanwhile. Verdicts are per person: call `require_unambiguous` where
    one that is not clear must stop the run. With `merge`, several ids of one person are taken as theirs.
    """
    return _Search(catalogue, subjects, Treated(catalogue, keyring), max_identities, progress).run(merge=merge)


class _Search:
    def __init__(
        self,
        catalogue: Catalogue,
        subjects: Sequence[Subject],
        treated: Treated,
        max_identities: int,
        progress: Progress | None,
    ) -> None:
        self.catalogue, self.subjects, self.treated = catalogue, subjects, treated
        self.max_identities, self.progress = max_identities, progress
        self.people = People(len(subjects))
        self.known: dict[str, Known] = {key.space: Known() for key in catalogue.keys}
        self.files = {name: catalogue.files(name) for name in catalogue.order}
        self.searched: dict[str, tuple[int, ...]] = {}
        self.found: dict[tuple[str, str], FileMatches] = {}
        self.gave: dict[tuple[str, str], Counter[str]] = {}
        self.reached: list[Key] = []
        self.over: set[int] = set()
        for number, subject in enumerate(subjects):
            for space, value in subject.given:
                self.known[space].add(value, number, self.people)

    def run(self, *, merge: bool) -> Resolution:
        rounds = 0
        while rounds < MAX_ROUNDS:
            due = [name for name in self.catalogue.order if self._is_due(name)]
            if not due:
                break
            rounds += 1
            for name in due:
                if self._is_due(name):
                    self._search(name)
            self._drop_those_over_the_limit()
        return self._resolution(rounds, merge=merge)

    def _state(self, name: str) -> tuple[int, ...]:
        return tuple(self.known[key.space].version for key in self.catalogue.keys_of(name))

    def _is_due(self, name: str) -> bool:
        """Tell whether there is something new to look for in a dataset."""
        known = any(self.known[key.space].values for key in self.catalogue.keys_of(name))
        return known and self.searched.get(name) != self._state(name)

    def _search(self, name: str) -> None:
        """Search a dataset for all that is known.

        Its files, and shares of the large ones, are searched at the same time, and all for what was known before the
        first: so what is found, and how it was reached, is the same on every machine. Where one of them tells
        something new, the dataset is due again.
        """
        keys = self.catalogue.keys_of(name)
        for key in keys:
            self.treated.spell(key.space, self.known[key.space], self.people)
        self.searched[name] = self._state(name)
        columns, wanted = tuple(self._asked_of(key) for key in keys), self._wanted(keys)
        dataset = self.catalogue.policy.datasets[name]

        def task(share: Share) -> Callable[[], FileHits]:
            if self.progress is not None and not share.number:
                self.progress(share.file.path)
            return lambda: search_file(
                share,
                columns,
                csv=dataset.csv,
                decode=lambda schema, sample, stored: self.treated.decoder(name, schema, sample, stored, columns),
                wanted=wanted,
            )

        found = in_order(shares_of(self.files[name]), task)
        for path, group in groupby(found, lambda pair: pair[0].file.path):
            self._note(name, path, list(group), keys)

    def _note(self, name: str, path: str, found: list[tuple[Share, FileHits]], keys: tuple[Key, ...]) -> None:
        """Note what was found in a file, share by share."""
        parts = [self._match(hits, keys) for _, one in found for hits in one.hits]
        table = _as_first_reached(pa.concat_tables(parts) if parts else _NOTHING, self.found.get((name, path)))
        columns = tuple(key.column for key in keys)
        seen = found[0][1].fingerprint
        if any(one.fingerprint != seen for _, one in found):
            raise TemporaryFailure("the file changed while it was searched", place=path, hint="run again")
        num_rows = max(one.num_rows for _, one in found)
        self.found[name, path] = _matches(name, found[0][0].file, table, columns, num_rows, seen=seen)

    def _asked_of(self, key: Key) -> AskedColumn:
        known = self.known[key.space]
        return AskedColumn(key.column, self.catalogue.identity(key.space), known.look_up() if known.values else None)

    def _wanted(self, keys: tuple[Key, ...]) -> dict[str, Wanted] | None:
        """Say what to look for in each column, where that is little enough to look at statistics first."""
        wanted = {}
        for key in keys:
            texts, _ = self.known[key.space].index()
            if len(texts) > PRUNE_UP_TO:
                return None
            identity = self.catalogue.identity(key.space)
            exact = identity is None or not (identity.normalize or identity.type)
            wanted[key.column] = Wanted.of(texts.to_pylist(), exact=exact)
        return wanted

    def _match(self, found: Hits, keys: tuple[Key, ...]) -> pa.Table:
        """Tell whose the rows are that were found, and learn what else these people are known by."""
        hits = {key: found.whose[key.column] for key in keys}
        own = self._own(found, [hits[key] for key in keys if not key.other])
        self._learn(found, {key: hit for key, hit in hits.items() if not key.other}, own)
        parts = [_part(found, own, [(at, hits[key]) for at, key in enumerate(keys)], mention=False)]
        for at, key in enumerate(keys):
            if key.other:
                mentioned = pc.if_else(
                    pc.equal(own, hits[key]).fill_null(False), pa.scalar(None, pa.int32()), hits[key]
                )
                parts.append(_part(found, mentioned, [(at, mentioned)], mention=True))
        for part in parts:
            for number in pc.unique(part.column("by")).to_pylist():
                if keys[number] not in self.reached:
                    self.reached.append(keys[number])
        return pa.concat_tables(parts)

    def _own(self, found: Hits, hits: list[pa.Int32Array]) -> pa.Int32Array:
        """Give whose each row is; where two keys name two subjects, they are one person."""
        if not hits:
            return pa.nulls(len(found.rows), pa.int32())
        own = pc.coalesce(*hits)
        for hit in hits:
            differ = pc.not_equal(own, hit).fill_null(False)
            if differ.true_count:
                pairs = pa.table({"a": own.filter(differ), "b": hit.filter(differ)}).group_by(["a", "b"]).aggregate([])
                for one, other in zip(pairs["a"].to_pylist(), pairs["b"].to_pylist(), strict=True):
                    self.people.join(one, other)
        return own

    def _learn(self, found: Hits, hits: dict[Key, pa.Int32Array], own: pa.Int32Array) -> None:
        """Note what else the rows that are somebody's are known by: only their values are looked at."""
        rows = pc.indices_nonzero(own.is_valid())
        if not len(rows):
            return
        whose = own.take(rows)
        by = {key: hit.take(rows).is_valid() for key, hit in hits.items()}
        for key in hits:
            text = identity_text(take_rows(found.columns[key.column], rows), self.catalogue.identity(key.space))
            new = pc.and_(pc.invert(by[key]), text.is_valid())
            if not new.true_count:
                continue
            source = next(other for other in by if pc.any(pc.and_(new, by[other])).as_py())
            gave = self.gave.setdefault((source.dataset, source.column), Counter())
            for value, subject in distinct_pairs(text.filter(new), whose.filter(new)):
                if self.over and self.people.root(subject) in self.over:
                    continue
                gave[key.space] += self.known[key.space].add(value, subject, self.people)

    def _drop_those_over_the_limit(self) -> None:
        """Stop following people of whom there are too many identifiers: something shared joined strangers."""
        counts: Counter[int] = Counter()
        for space, known in self.known.items():
            if space in self.catalogue.policy.identities:
                counts.update(self.people.root(subject) for subject in known.values.values())
        asked = Counter(self.people.root(number) for number in range(len(self.subjects)))
        over = {root for root, count in counts.items() if count > self.max_identities * asked[root]}
        if over - self.over:
            self.over |= over
            for known in self.known.values():
                known.forget(over, self.people)

    def _resolution(self, rounds: int, *, merge: bool) -> Resolution:
        roots = self.people.roots()
        over = {self.people.root(root) for root in self.over}
        places = {int(root): place for place, root in enumerate(np.unique(roots))}
        number_of = np.array([places[int(root)] for root in roots], np.int32)
        over_places = {places[root] for root in over if root in places}
        files = tuple(_renumbered(matches, number_of, over_places) for matches in self._in_order())
        rows: Counter[int] = Counter()
        for matches in files:
            values, counts = np.unique(matches.people.to_numpy(), return_counts=True)
            rows.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        identities: list[dict[str, list[str]]] = [{} for _ in places]
        for space, known in self.known.items():
            for value, subject in known.values.items():
                identities[number_of[subject]].setdefault(space, []).append(value)
        members: list[list[int]] = [[] for _ in places]
        for subject, place in enumerate(number_of.tolist()):
            members[place].append(subject)
        people = []
        for place, subjects in enumerate(members):
            named = {space: tuple(sorted(values)) for space, values in sorted(identities[place].items())}
            verdict = self._verdict(subjects, named, rows[place], over=place in over_places, merge=merge)
            people.append(Person(tuple(subjects), named, rows[place], verdict))
        return Resolution(tuple(people), tuple(number_of.tolist()), files, tuple(self._trail()), rounds)

    def _in_order(self) -> list[FileMatches]:
        """Give the matches of all files in the order of the catalogue; files that were not searched hold nothing."""
        return [
            self.found.get((name, file.path)) or _unsearched(name, file)
            for name in self.catalogue.order
            for file in self.files[name]
        ]

    def _verdict(
        self, subjects: list[int], named: dict[str, tuple[str, ...]], rows: int, *, over: bool, merge: bool
    ) -> Verdict:
        if over:
            return "limit"
        given = {pair for number in subjects for pair in self.subjects[number].given}
        together = {
            space: {pair for pair in given if pair[0] == space}
            for space in self.catalogue.subject_spaces
            if len(subjects) == 1
        }
        for space in self.catalogue.subject_spaces:
            values = set(named.get(space, ()))
            if len(values) > 1 and not merge and not values <= {value for _, value in together.get(space, ())}:
                return "ambiguous"
        return "found" if rows else "not found"

    def _trail(self) -> list[Step]:
        steps = []
        for key in self.reached:
            rows = 0
            for file in self.files[key.dataset]:
                matches = self.found.get((key.dataset, file.path))
                if matches is not None:
                    rows += pc.sum(pc.equal(matches.by, matches.keys.index(key.column))).as_py() or 0
            given = self.gave.get((key.dataset, key.column), Counter())
            gave = tuple((space, count) for space, count in given.items() if count)
            steps.append(Step(key.space, key.dataset, key.column, rows, gave))
        return steps


_NOTHING = pa.table(
    {
        "row": pa.array([], pa.int64()),
        "person": pa.array([], pa.int32()),
        "mention": pa.array([], pa.bool_()),
        "by": pa.array([], pa.int8()),
    }
)


def _part(found: Hits, owner: pa.Int32Array, hits: list[tuple[int, pa.Int32Array]], *, mention: bool) -> pa.Table:
    """Write down the rows that have an owner, with the first key by which they were found."""
    rows = pc.indices_nonzero(owner.is_valid())
    if not len(rows):
        return _NOTHING
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


def _as_first_reached(table: pa.Table, before: FileMatches | None) -> pa.Table:
    """Let own rows that an earlier round found keep the key by which it did: that is how they were reached.

    A mention keeps its column, for a row may mention several people, each in another one.
    """
    if before is None or not len(before.rows):
        return table
    own = pc.invert(before.mention)
    first = before.by.filter(own).take(pc.index_in(table.column("row"), value_set=before.rows.filter(own)))
    reached = pc.coalesce(first, table.column("by"))
    return table.set_column(3, "by", pc.if_else(table.column("mention"), table.column("by"), reached))


def _matches(
    name: str, file: InputFile, table: pa.Table, keys: tuple[str, ...], num_rows: int, *, seen: Fingerprint | None
) -> FileMatches:
    row, person, mention, by = (table.column(column).combine_chunks() for column in _NOTHING.column_names)
    return FileMatches(name, file, row, person, mention, by, keys, num_rows, seen)


def _unsearched(name: str, file: InputFile) -> FileMatches:
    """Stand for a file in which nothing was looked for, because nothing is known that it could hold."""
    return _matches(name, file, _NOTHING, (), -1, seen=fingerprint(file))


def _renumbered(
    matches: FileMatches, number_of: np.ndarray[tuple[int], np.dtype[np.int32]], dropped: set[int]
) -> FileMatches:
    """Name people by their place; those over the limit have no rows."""
    people = pa.array(number_of[matches.people.to_numpy()], pa.int32())
    table = pa.table([matches.rows, people, matches.mention, matches.by], names=_NOTHING.column_names)
    if dropped:
        table = table.filter(pc.invert(pc.is_in(people, value_set=pa.array(sorted(dropped), pa.int32()))))
    return _matches(matches.dataset, matches.file, table, matches.keys, matches.num_rows, seen=matches.fingerprint)
