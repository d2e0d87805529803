"""Take a person's rows out of a file: only the row groups that hold them, readable, other people's data redacted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.datasets.parquet_read import BATCH_ROWS, ParquetSource
from pydp_cli.errors import KeyringError, Refused, TemporaryFailure, WrongKey
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline import physical
from pydp_cli.pipeline.head import read_head
from pydp_cli.pipeline.readable import Readable, index_columns, readable
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.policy.model import ColumnPolicy
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.file_matches import FileMatches
from pydp_cli.subjects.resolution import Person
from pydp_cli.subjects.scan import fingerprint

FEW_ROWS = 1 << 13
"""Rows of a batch where few rows of a row group are asked for: what follows the last is not decoded."""
SPARSE = 100
JOINED_ROWS = 1000
Positions = npt.NDArray[np.int64]


@dataclass
class Left:
    """What was left out of a dataset's rows: columns that no key opens, and cells about other people."""

    unreadable: set[str] = field(default_factory=set)
    redacted: Counter[str] = field(default_factory=Counter)

    def add(self, other: Left) -> None:
        """Add what was left out of other rows."""
        self.unreadable |= other.unreadable
        self.redacted += other.redacted


Piece = tuple[pa.RecordBatch, pa.BooleanArray]
Pieces = Iterator[tuple[Positions, pa.RecordBatch]]


def take_rows(
    catalogue: Catalogue,
    matches: FileMatches,
    place: int,
    *,
    keyring: Keyring | None,
    left: Left,
    collected: Collected | None = None,
) -> Iterator[Piece]:
    """Give the rows of one person in the order of the file, batch by batch, and which of them are the person's own.

    They are taken from those that were collected for several people, where they are there, and else read. Raises
    `TemporaryFailure` where the file is not the one that was searched.
    """
    rows = matches.of(place).to_numpy()
    if not len(rows):
        return
    own = matches.of(place, mentions=False)
    pieces = None if collected is None else collected.of(matches, rows)
    for positions, batch in pieces or read_rows(catalogue, matches, rows, keyring=keyring, left=left):
        yield batch, pc.is_in(pa.array(positions), value_set=own)


def joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Put small pieces of the same columns together: what follows costs as much for one row as for a thousand."""
    for _, group in groupby(_numbered(pieces), lambda numbered: numbered[0]):
        batches, owns = zip(*(piece for _, piece in group), strict=True)
        if len(batches) == 1:
            yield batches[0], owns[0]
        else:
            whole = pa.Table.from_batches(batches).combine_chunks().to_batches()
            yield whole[0], pa.concat_arrays(owns)


def _numbered(pieces: Iterable[Piece]) -> Iterator[tuple[int, Piece]]:
    """Give the same number to pieces that go together."""
    number, rows, schema = 0, 0, None
    for batch, own in pieces:
        fits = rows + batch.num_rows <= JOINED_ROWS and not any(map(pa.types.is_dictionary, batch.schema.types))
        if not fits or schema is None or not batch.schema.equals(schema):
            number, rows, schema = number + 1, 0, batch.schema
        rows += batch.num_rows
        yield number, (batch, own)


def read_rows(
    catalogue: Catalogue, matches: FileMatches, rows: Positions, *, keyring: Keyring | None, left: Left
) -> Pieces:
    """Read rows of a file, decrypted as far as the keyring can; other people's data is still in them."""
    if fingerprint(matches.file) != matches.fingerprint:
        raise TemporaryFailure("the file changed since it was searched", place=matches.file.path, hint="run again")
    dataset = catalogue.policy.datasets[matches.dataset]
    with ExitStack() as closing:
        source = open_source(matches.file, csv_options=dataset.csv, closing=closing)
        head = None if isinstance(source, ParquetSource) else read_head(source)
        sample = None if head is None else head.batch
        hashes = index_columns(dataset, source.schema)
        made = _open_cells(catalogue, matches.dataset, source.schema, sample, hashes=hashes, keyring=keyring, left=left)
        if isinstance(source, ParquetSource):
            batches = _parquet_batches(source, rows)
        else:
            chunks = source.chunks() if head is None else head.chunks()
            batches = _selected((batch for chunk in chunks for batch in chunk.read()), rows, 0)
        for positions, taken in batches:
            clear = _decrypted(taken.drop_columns(hashes), made, left.unreadable)
            yield positions, _with_partitions(clear, matches.file)


class Collected:
    """The rows of several people, read in one pass over the files that hold them."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, str], list[tuple[Positions, pa.RecordBatch]]] = {}

    def add(
        self, catalogue: Catalogue, matches: FileMatches, people: Sequence[int], *, keyring: Keyring | None
    ) -> None:
        """Read the rows of some people of a file.

        A file is left to be read for each person where a column does not open: another person's cell may be why.
        """
        rows = np.unique(np.concatenate([matches.of(place).to_numpy() for place in people]))
        left = Left()
        pieces = list(read_rows(catalogue, matches, rows, keyring=keyring, left=left)) if len(rows) else []
        if not left.unreadable:
            self._pieces[matches.dataset, matches.file.path] = pieces

    def of(self, matches: FileMatches, rows: Positions) -> Pieces | None:
        """Give some of the rows; None where those of the file are not here."""
        pieces = self._pieces.get((matches.dataset, matches.file.path))
        return None if pieces is None else _among(pieces, rows)


def _among(pieces: Sequence[tuple[Positions, pa.RecordBatch]], rows: Positions) -> Pieces:
    for positions, batch in pieces:
        chosen = rows[np.searchsorted(rows, positions[0]) : np.searchsorted(rows, positions[-1], side="right")]
        if len(chosen):
            at = pa.array(np.searchsorted(positions, chosen))
            columns = [physical.take_rows(column, at) for column in batch.columns]
            yield chosen, pa.record_batch(columns, batch.schema.names)


def _parquet_batches(source: ParquetSource, rows: Positions) -> Iterator[tuple[Positions, pa.RecordBatch]]:
    """Decode the row groups that hold the rows, each up to its last row that is asked for."""
    start = 0
    for group, count in enumerate(source.group_rows):
        here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + count)]
        if len(here):
            many = len(here) * SPARSE > count
            batches = source.batches_of(group, batch_rows=BATCH_ROWS if many else FEW_ROWS)
            yield from _selected(batches, here, start)
        start += count


def _selected(
    batches: Iterator[pa.RecordBatch], rows: Positions, start: int
) -> Iterator[tuple[Positions, pa.RecordBatch]]:
    for batch in batches:
        end = start + batch.num_rows
        chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)]
        if len(chosen):
            at = pa.array(chosen - start)
            columns = [physical.take_rows(batch.column(number), at) for number in range(batch.num_columns)]
            yield chosen, pa.record_batch(columns, batch.schema.names)
        if end > rows[-1]:
            return
        start = end


def _open_cells(
    catalogue: Catalogue,
    dataset: str,
    schema: pa.Schema,
    sample: pa.RecordBatch | None,
    *,
    hashes: Sequence[str],
    keyring: Keyring | None,
    left: Left,
) -> list[Readable]:
    """Compile what decrypts each column; those that cannot be are left out, and noted."""
    made = []
    for column in schema.names:
        if column in hashes:
            continue
        try:
            one = readable(catalogue.policy, dataset, schema, keyring=keyring, columns=[column], sample=sample)
        except (KeyringError, Refused):
            left.unreadable.add(column)
            continue
        if one is not None:
            made.append(one)
    return made


def _decrypted(batch: pa.RecordBatch, made: Sequence[Readable], unreadable: set[str]) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in batch.schema.names}
    for one in made:
        try:
            plain = one.apply(batch)
        except WrongKey:
            unreadable.update(one.decrypts)
            continue
        columns |= {name: plain.column(name) for name in one.decrypts}
    kept = {name: column for name, column in columns.items() if name not in unreadable}
    return pa.record_batch(list(kept.values()), list(kept))


def _with_partitions(batch: pa.RecordBatch, file: InputFile) -> pa.RecordBatch:
    """Add what the names of a file's folders say of its rows."""
    more = {name: value for name, value in file.partition_columns.items() if name not in batch.schema.names}
    added = [pa.array([value] * batch.num_rows, pa.string()) for value in more.values()]
    return pa.record_batch([*batch.columns, *added], [*batch.schema.names, *more])


class Redaction:
    """Nulls what is about others: columns about other people, and in a mention whatever identifies its owner."""

    def __init__(self, catalogue: Catalogue, dataset: str, person: Person, left: Left) -> None:
        self.catalogue, self.person, self.left = catalogue, person, left
        self.dataset = catalogue.policy.datasets[dataset]
        self.spaces = {
            key.column: key.space for key in catalogue.keys_of(dataset) if catalogue.identity(key.space) is not None
        }

    def apply(self, batch: pa.RecordBatch, is_own: pa.BooleanArray) -> pa.RecordBatch:
        """Redact the rows of a batch, and count the cells."""
        columns = []
        for name in batch.schema.names:
            column = batch.column(name)
            hidden = self._hidden(name, column, is_own)
            hidden = pc.and_(hidden, column.is_valid())
            count = hidden.true_count
            if count:
                self.left.redacted[name] += count
                plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
                column = pc.if_else(hidden, pa.scalar(None, plain.type), plain)
            columns.append(column)
        return pa.record_batch(columns, batch.schema.names)

    def _hidden(self, name: str, column: pa.Array, is_own: pa.BooleanArray) -> pa.BooleanArray:
        about_others = name in self.dataset.other_people
        treated = self.dataset.columns.get(name)
        space = self.spaces.get(name)
        if space is None:
            personal = not _is_nobodys(treated)
            if about_others:
                return pa.array(np.ones(len(column), bool))
            return pc.invert(is_own) if personal else pa.array(np.zeros(len(column), bool))
        known = pa.array(self.person.identities.get(space, ()), pa.string())
        mine = pc.is_in(identity_text(column, self.catalogue.identity(space)), value_set=known)
        return pc.invert(mine) if about_others else pc.invert(pc.or_(mine, is_own))


def _is_nobodys(treated: ColumnPolicy | None) -> bool:
    """Tell whether the policy says of a column that it is no personal data: kept as it is, and of no category.

    Only such columns of somebody else's row are shown to a person whom it mentions. A column that is changed before it
    is used elsewhere, or encrypted, or that nobody decided about, tells of the row's owner.
    """
    if treated is None or treated.category is not None or treated.encrypt is not None or not treated.anonymize:
        return False
    return all(step.name == "keep" for step in treated.anonymize)
