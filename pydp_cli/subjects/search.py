"""Search one file for what is known of people, and several files at the same time.

A search reads, looks up, and keeps only the rows in which something was found. It changes nothing that others see, so
that threads can do it: decoding and looking up run outside of the interpreter's lock.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.datasets.csv_dialect import CsvOptions
from pydp_cli.datasets.locations import InputFile
from pydp_cli.errors import TemporaryFailure
from pydp_cli.pipeline.physical import take_rows
from pydp_cli.subjects.asked import AskedColumn, look_up
from pydp_cli.subjects.parquet_prune import Wanted
from pydp_cli.subjects.scan import Decode, Fingerprint, KeyBatch, fingerprint, merged, scan_keys

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_THREADS = 8
LARGE_BYTES = 16 << 20
SHARES = 4


@dataclass(frozen=True)
class Hits:
    """Rows in which something was found: their positions, their values in every key column, and whose those are."""

    rows: pa.Int64Array
    columns: Mapping[str, pa.Array]
    whose: Mapping[str, pa.Int32Array]


@dataclass(frozen=True)
class FileHits:
    """What was found in a file, the number of its rows, and what it looked like."""

    hits: tuple[Hits, ...]
    num_rows: int
    fingerprint: Fingerprint | None


@dataclass(frozen=True)
class Share:
    """Some of the row groups of a file: the share of a number, of so many."""

    file: InputFile
    number: int = 0
    of: int = 1


def shares_of(files: Sequence[InputFile]) -> list[Share]:
    """Divide large Parquet files, where there are too few files for every processor to have one.

    The number of shares depends on the files alone.
    """
    shares = []
    for file in files:
        seen = fingerprint(file)
        is_large = len(files) <= MOST_THREADS and seen is not None and seen[1] > LARGE_BYTES
        of = SHARES if is_large and file.format is not None and file.format.name == "parquet" else 1
        shares += [Share(file, number, of) for number in range(of)]
    return shares


def search_file(
    share: Share,
    asked: Sequence[AskedColumn],
    *,
    csv: CsvOptions,
    decode: Decode,
    wanted: Mapping[str, Wanted] | None,
) -> FileHits:
    """Find the rows of a file that hold something known; raises `TemporaryFailure` where it changes meanwhile."""
    file = share.file
    before = fingerprint(file)
    hits = []
    end = 0
    columns = list(dict.fromkeys(one.column for one in asked))
    for batch in merged(
        scan_keys(file, columns, csv=csv, decode=decode, wanted=wanted, share=(share.number, share.of))
    ):
        end = batch.start + batch.num_rows
        found = _found(batch, asked)
        if found is not None:
            hits.append(found)
    if fingerprint(file) != before:
        raise TemporaryFailure("the file changed while it was searched", place=file.path, hint="run again")
    return FileHits(tuple(hits), end, before)


def _found(batch: KeyBatch, asked: Sequence[AskedColumn]) -> Hits | None:
    whose = {one.column: look_up(one, batch.columns[one.column]) for one in asked}
    somebody = None
    for hit in whose.values():
        if hit is not None:
            somebody = hit.is_valid() if somebody is None else pc.or_(somebody, hit.is_valid())
    if somebody is None:
        return None
    rows = pc.indices_nonzero(somebody)
    within = rows if batch.rows is None else batch.rows.take(rows)
    return Hits(
        pc.add(within.cast(pa.int64()), batch.start),
        {name: take_rows(column, rows) for name, column in batch.columns.items()},
        {name: pa.nulls(len(rows), pa.int32()) if hit is None else hit.take(rows) for name, hit in whose.items()},
    )


def in_order(items: Iterable[Item], task: Callable[[Item], Callable[[], Result]]) -> Iterator[tuple[Item, Result]]:
    """Do a task for each item, a few at the same time, and give the results in the order of the items.

    A task is made when its turn comes, here, and done in a thread; no more wait than there are threads.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(threads, "pydp-search") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(task(item))))
                if len(waiting) > threads:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
