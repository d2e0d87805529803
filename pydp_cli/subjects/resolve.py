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
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import TemporaryFailure
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.physical import take_rows
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.subjects.asked import AskedColumn
from pydp_cli.subjects.catalogue import Catalogue, Key
from pydp_cli.subjects.file_matches import (
    NOTHING,
    FileMatches,
    as_first_reached,
    matched,
    matches_of,
    renumbered,
    unsearched,
)
from pydp_cli.subjects.known import Known, People, distinct_pairs
from pydp_cli.subjects.parquet_prune import Wanted
from pydp_cli.subjects.resolution import MAX_IDENTITIES, Person, Resolution, Step, Verdict
from pydp_cli.subjects.search import FileHits, Hits, Share, in_order, search_file, shares_of
from pydp_cli.subjects.subject import Subject
from pydp_cli.subjects.treated import Treated

MAX_ROUNDS = 100
PRUNE_UP_TO = 10_000


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
        table = as_first_reached(pa.concat_tables(parts) if parts else NOTHING, self.found.get((name, path)))
        columns = tuple(key.column for key in keys)
        seen = found[0][1].fingerprint
        if any(one.fingerprint != seen for _, one in found):
            raise TemporaryFailure("the file changed while it was searched", place=path, hint="run again")
        num_rows = max(one.num_rows for _, one in found)
        self.found[name, path] = matches_of(name, found[0][0].file, table, columns, num_rows, seen=seen)

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
        parts = [matched(found, own, [(at, hits[key]) for at, key in enumerate(keys)], mention=False)]
        for at, key in enumerate(keys):
            if key.other:
                mentioned = pc.if_else(
                    pc.equal(own, hits[key]).fill_null(False), pa.scalar(None, pa.int32()), hits[key]
                )
                parts.append(matched(found, mentioned, [(at, mentioned)], mention=True))
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
        files = tuple(renumbered(matches, number_of, over_places) for matches in self._in_order())
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
            self.found.get((name, file.path)) or unsearched(name, file)
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
