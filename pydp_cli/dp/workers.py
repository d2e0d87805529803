"""Forked workers that read, scatter, bound and add up; the parent sees file places and exact totals, never rows.

Each worker has a store of its own, made before it was forked, into which it scatters the rows of the chunks that it
decodes. When all chunks are read, a second set of workers takes the shards, each from all stores.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from pydp_cli.datasets.interface import Chunk
from pydp_cli.datasets.signals import uninterrupted
from pydp_cli.dp.aggregates import Totals
from pydp_cli.dp.scan import Key, Scan, Scanned
from pydp_cli.dp.shards import Extents, Ints, Shards
from pydp_cli.errors import TemporaryFailure

Reduce = Callable[[int], Totals]
"""Bounds one shard and adds it up."""


@dataclass
class _Worker:
    """What a worker of the first set holds; there is one in each process."""

    shards: Shards
    places: dict[Key, int]
    store: int


@dataclass(frozen=True)
class Scattered:
    """What became of a chunk: the groups that its worker had not met before, and where its rows are."""

    store: int
    keys: list[Key] = field(repr=False)
    extents: list[Extents] = field(repr=False)


def placed(scanned: Scanned, places: dict[Key, int]) -> Ints:
    """Give the batch's groups their places among all groups, in place."""
    moved = np.array([places.setdefault(key, len(places)) for key in scanned.keys], np.int64)
    if len(scanned.rows):
        scanned.rows[:, 1] = moved[scanned.rows[:, 1]]
    return scanned.rows


def scatter_all(
    chunks: Iterable[tuple[Scan, Chunk]], shards: Shards, places: dict[Key, int], workers: int
) -> Iterator[Scattered]:
    """Scan all chunks in workers, each into a store of its own, and tell in the order of the chunks where rows are."""
    context = multiprocessing.get_context("fork")
    turn = context.Value("i", 0)
    with _pool(workers, _start_scattering, (shards, places, turn)) as pool:
        flying: deque[Future[Scattered]] = deque()
        pickled: tuple[Scan, bytes] | None = None
        for scan, chunk in chunks:
            if pickled is None or pickled[0] is not scan:
                pickled = scan, pickle.dumps(scan)
            with uninterrupted():  # a signal's exception inside of the pool would break it, or be lost
                flying.append(pool.submit(_scatter, pickled[1], chunk))
            if len(flying) > workers + 2:
                yield _landed(flying.popleft())
        while flying:
            yield _landed(flying.popleft())


def reduce_all(reduce: Reduce, numbers: int, workers: int) -> Iterator[Totals]:
    """Give the totals of all shards, a few at a time, in order."""
    with _pool(workers, _start_reducing, (reduce,)) as pool:
        step = max(1, numbers // (workers * 4))
        flying = deque(pool.submit(_reduce, first, min(first + step, numbers)) for first in range(0, numbers, step))
        while flying:
            yield _landed(flying.popleft())


@contextmanager
def _pool(workers: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_start,
        initargs=(os.getpid(), start, arguments),
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        raise TemporaryFailure(
            "a worker process was killed",
            hint="it may have run out of memory: try again with fewer --workers",
        ) from error
    finally:
        with uninterrupted():
            pool.shutdown(wait=True, cancel_futures=True)


def _landed(future: Future[Any]) -> Any:
    with uninterrupted():
        return future.result()


def _start(parent: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Prepare a worker: signals are the parent's to handle, and a worker whose parent died ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    start(*arguments)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


_worker: _Worker | None = None
_reducing: Reduce | None = None


def _start_scattering(shards: Shards, places: dict[Key, int], turn: Any) -> None:
    global _worker  # noqa: PLW0603 - set once, before the worker does anything
    with turn.get_lock():
        store, turn.value = turn.value, turn.value + 1
    _worker = _Worker(shards, dict(places), store)


def _start_reducing(reduce: Reduce) -> None:
    global _reducing  # noqa: PLW0603 - set once, before the worker does anything
    _reducing = reduce


@lru_cache(maxsize=4)
def _scan_of(pickled: bytes) -> Scan:
    scan: Scan = pickle.loads(pickled)  # noqa: S301 - it is this run's own, from the parent
    return scan


def _scatter(pickled: bytes, chunk: Chunk) -> Scattered:
    assert _worker is not None
    scan, extents, known = _scan_of(pickled), [], len(_worker.places)
    for batch in chunk.read():
        rows = placed(scan.of(batch), _worker.places)
        if len(rows):
            extents.append(_worker.shards.scatter(rows, _worker.store))
    return Scattered(_worker.store, list(_worker.places)[known:], extents)


def _reduce(first: int, end: int) -> Totals:
    assert _reducing is not None
    totals = _reducing(first)
    for number in range(first + 1, end):
        totals.add(_reducing(number))
    return totals
