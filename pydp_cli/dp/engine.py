"""The whole of a query but the noise: batches stream in, rows scatter to shards, shards are bounded and added up."""

from __future__ import annotations

import multiprocessing
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.interface import Chunk
from pydp_cli.datasets.locations import InputFile
from pydp_cli.dp.aggregates import Totals
from pydp_cli.dp.bounding import bound
from pydp_cli.dp.calibration import features_of
from pydp_cli.dp.hashing import PersonHash
from pydp_cli.dp.queries import Question
from pydp_cli.dp.scan import Key, Scan, Scanned, make_scan
from pydp_cli.dp.shards import Shards
from pydp_cli.policy.model import DatasetPolicy


@dataclass(frozen=True)
class Seams:
    """What the audit replaces to see itself fail: never set by a command."""

    bounded: bool = True


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
    features, hasher = features_of(question), PersonHash()
    seams = seams or Seams()
    places: dict[Key, int] = {}
    if not question.selects:
        for key in product(*(column.keys or () for column in question.group_by)):
            places[key] = len(places)
    shards = Shards(2 + len(features), scratch)
    try:
        for file in files:
            with ExitStack() as closing:
                source = open_source(file, csv_options=dataset.csv, set_aside=True, closing=closing)
                scan = make_scan(question, dataset, features, hasher, source.schema, alone=len(files) == 1)
                for scanned in _scan_all(scan, source.chunks(), workers):
                    shards.add(_placed(scanned, places))
        groups = max(1, len(places))
        limits = (question.groups, question.rows_per_group) if seams.bounded else (1 << 40, 1 << 40)
        totals = Totals(groups)
        for shard in shards:
            totals.add_rows(*bound(shard, *limits), features)
    finally:
        shards.close()
    return list(places), totals


def _placed(scanned: Scanned, places: dict[Key, int]) -> Any:
    """Give the batch's groups their places among all groups."""
    moved = np.array([places.setdefault(key, len(places)) for key in scanned.keys], np.int64)
    if len(scanned.rows):
        scanned.rows[:, 1] = moved[scanned.rows[:, 1]]
    return scanned.rows


def _scan_all(scan: Scan, chunks: Iterator[Chunk], workers: int) -> Iterator[Scanned]:
    if workers == 1:
        for chunk in chunks:
            yield from map(scan.of, chunk.read())
        return
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(scan,)) as pool:
        flying: deque[Future[list[Scanned]]] = deque()
        for chunk in chunks:
            flying.append(pool.submit(_scan_chunk, chunk))
            if len(flying) > workers + 2:
                yield from flying.popleft().result()
        while flying:
            yield from flying.popleft().result()


_scan: Scan | None = None


def _start(scan: Scan) -> None:
    global _scan  # noqa: PLW0603 - set once, before the worker does anything
    _scan = scan


def _scan_chunk(chunk: Chunk) -> list[Scanned]:
    assert _scan is not None
    return [_scan.of(batch) for batch in chunk.read()]
