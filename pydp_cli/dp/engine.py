"""The whole of a query but the noise: batches stream in, rows scatter to shards, shards are bounded and added up.

The totals are the same whatever the number of workers: chunks are noted and groups are numbered in the order of the
files, so that a shard is the same array and its random choice the same, whoever made it.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice, product
from pathlib import Path

import numpy as np

from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.interface import Chunk, Source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.datasets.parquet_groups import by_groups
from pydp_cli.datasets.parquet_read import ParquetSource
from pydp_cli.dp.aggregates import Totals
from pydp_cli.dp.bounding import bound
from pydp_cli.dp.calibration import features_of
from pydp_cli.dp.features import Feature
from pydp_cli.dp.hashing import PersonHash
from pydp_cli.dp.queries import Question
from pydp_cli.dp.scan import Key, Scan, make_scan
from pydp_cli.dp.shards import SHARDS, Ints, Shards
from pydp_cli.dp.workers import placed, reduce_all, scatter_all
from pydp_cli.policy.model import DatasetPolicy


@dataclass(frozen=True)
class Seams:
    """What the audit replaces to see itself fail: never set by a command."""

    bounded: bool = True
    seed: int | None = None


def check_files(question: Question, files: list[InputFile], dataset: DatasetPolicy) -> None:
    """Find, before a budget is touched, what the schemas of the files do not allow; reads no row."""
    hasher = PersonHash()
    with ExitStack() as closing:
        for file in files:
            if file.path == "-":
                continue  # what was read of a pipe cannot be put back
            source = open_source(file, csv_options=dataset.csv, closing=closing)
            make_scan(question, dataset, features_of(question), hasher, source.schema)


def exact_totals(
    question: Question,
    files: list[InputFile],
    dataset: DatasetPolicy,
    scratch: Path,
    *,
    workers: int = 1,
    seams: Seams | None = None,
) -> tuple[list[Key], Totals]:
    """Read all files, and give the exact bounded totals of each group. What comes out is private."""
    seams = seams or Seams()
    seed = secrets.randbits(128) if seams.seed is None else seams.seed
    features = features_of(question)
    places: dict[Key, int] = {}
    if not question.selects:
        for key in product(*(column.keys or () for column in question.group_by)):
            places[key] = len(places)
    limits = (question.groups, question.rows_per_group) if seams.bounded else (1 << 40, 1 << 40)
    with ExitStack() as closing:
        chunks = _chunks_of(question, files, dataset, PersonHash(seams.seed), workers)
        closing.callback(chunks.close)
        head = list(islice(chunks, 2))
        if len(head) < 2 or sys.platform != "linux":  # a single chunk keeps a single process busy
            workers = 1
        shards = Shards(2 + len(features), scratch, stores=workers)
        closing.callback(shards.close)
        everything = chain(head, chunks)
        head = []
        if workers == 1:
            for scan, chunk in everything:
                for batch in chunk.read():
                    shards.add(placed(scan.of(batch), places))
            reduce = _Reducing(shards, None, max(1, len(places)), features, limits, seed)
            return list(places), _summed(map(reduce, range(SHARDS)))
        numbers = _scatter_in_workers(everything, shards, places, workers, selects=question.selects)
        reduce = _Reducing(shards, numbers, max(1, len(places)), features, limits, seed)
        return list(places), _summed(reduce_all(reduce, SHARDS, workers))


def _chunks_of(
    question: Question, files: list[InputFile], dataset: DatasetPolicy, hasher: PersonHash, workers: int
) -> Generator[tuple[Scan, Chunk], None, None]:
    """Open one file after the other, and give its pieces, with how they are to be read."""
    for file in files:
        with ExitStack() as closing:
            source = open_source(file, csv_options=dataset.csv, set_aside=True, closing=closing)
            scan = make_scan(question, dataset, features_of(question), hasher, source.schema, alone=len(files) == 1)
            for chunk in _pieces(source, scan.columns or None, workers):
                yield scan, chunk


def _pieces(source: Source, columns: tuple[str, ...] | None, workers: int) -> Iterator[Chunk]:
    """Cut a file into pieces that workers decode themselves, where it can be; only the columns that are asked for."""
    if not isinstance(source, ParquetSource):
        yield from source.chunks()
        return
    groups = by_groups(source, columns) if workers > 1 else None
    if groups is not None:
        yield from groups.chunks()
        return
    for group in range(source.num_row_groups):
        yield from source.chunks_of(group, columns)


def _scatter_in_workers(
    chunks: Iterator[tuple[Scan, Chunk]], shards: Shards, places: dict[Key, int], workers: int, *, selects: bool
) -> list[Ints] | None:
    """Note where workers put the rows, and give, for each store, the places of the groups that it numbered itself."""
    numbered: list[list[int]] = [[] for _ in range(workers)]
    for scattered in scatter_all(chunks, shards, places, workers):
        numbered[scattered.store] += [places.setdefault(key, len(places)) for key in scattered.keys]
        for extents in scattered.extents:
            shards.note(extents, scattered.store)
    return [np.array(one, np.int64) for one in numbered] if selects else None


@dataclass(frozen=True)
class _Reducing:
    """Bounds one shard and adds it up; `numbers` are the places of the groups that each store numbered itself."""

    shards: Shards
    numbers: list[Ints] | None
    groups: int
    features: tuple[Feature, ...]
    limits: tuple[int, int]
    seed: int

    def __call__(self, number: int) -> Totals:
        totals = Totals(self.groups)
        rows = self.shards.shard(number, self.numbers or ())
        totals.add_rows(*bound(rows, *self.limits, seed=(self.seed, number)), self.features)
        return totals


def _summed(parts: Iterator[Totals]) -> Totals:
    totals = next(parts)
    for part in parts:
        totals.add(part)
    return totals
