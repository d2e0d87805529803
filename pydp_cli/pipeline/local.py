"""Run a compiled pipeline over a file on this machine: one process, or forked workers.

Whatever the number of workers, batches are treated in the same pieces and written in the same order, so the result is
the same to the byte.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from pydp_cli.datasets.interface import Chunk, Encoder, Sink, Source
from pydp_cli.datasets.signals import raise_lost_interrupt, uninterrupted
from pydp_cli.errors import RowError, TemporaryFailure
from pydp_cli.pipeline.counts import Counts
from pydp_cli.pipeline.model import Pipeline
from pydp_cli.pipeline.shelf import lay_down, make_shelves, pick_up


@dataclass(frozen=True)
class Work:
    """What a worker does with every chunk. Picklable."""

    pipeline: Pipeline
    encoder: Encoder
    measure: bool

    def treat(self, chunk: Chunk) -> Treated:
        """Read, treat and encode one chunk."""
        pieces: list[Any] = []
        rejected: list[tuple[int, bytes]] = []
        counts = Counts()
        for batch in chunk.read():
            try:
                treated, failures, dropped = self.pipeline.apply_counted(batch)
            except RowError as error:
                error.rows = tuple(row + counts.rows_in for row in error.rows)
                return Treated(pieces, counts, chunk.group, rejected, error)
            counts.add_batch(self.pipeline, batch, treated, measure=self.measure)
            counts.failures.update(failures)
            counts.dropped.update(dropped)
            pieces.append(self.encoder.encode(treated))
        rejected.extend(getattr(chunk, "rejected", ()))
        return Treated(self.encoder.gather(pieces, chunk.group), counts, chunk.group, rejected)


@dataclass
class Treated:
    """A treated chunk on its way to the sink; `failure` counts its rows from the start of the chunk."""

    pieces: list[Any]
    counts: Counts
    group: int | None
    rejected: list[tuple[int, bytes]]
    failure: RowError | None = None


def run_file(
    source: Source,
    sink: Sink,
    pipeline: Pipeline,
    *,
    name: str,
    workers: int = 1,
    measure: bool = False,
    on_rejected: Callable[[list[tuple[int, bytes]]], None] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Counts:
    """Stream one file through a pipeline, and count what went in and came out.

    Memory is bounded by the chunks in flight (`workers + 2`). Raises `RowError` with the data row's number in the file.
    """
    total = Counts()
    try:
        for treated in _treat_all(Work(pipeline, sink.encoder, measure), source.chunks(), workers):
            _check(treated, name, total.rows_in)
            if treated.rejected and on_rejected is not None:
                on_rejected(treated.rejected)
            for piece in treated.pieces:
                sink.write(piece, treated.group)
            total.add(treated.counts)
            raise_lost_interrupt()
            if on_rows is not None:
                on_rows(treated.counts.rows_in)
    except BaseException:
        sink.abandon()
        raise
    sink.close()
    return total


def _check(treated: Treated, name: str, rows_before: int) -> None:
    if treated.failure is not None:
        raise _placed(treated.failure, name, rows_before)


def _treat_all(work: Work, chunks: Iterator[Chunk], workers: int) -> Iterator[Treated]:
    head = list(islice(chunks, 2))
    everything = chain(head, chunks)
    if workers == 1 or len(head) < 2:  # a single chunk keeps a single process busy
        yield from map(work.treat, everything)
    else:
        yield from _treat_in_processes(work, everything, workers)


def _treat_in_processes(work: Work, chunks: Iterator[Chunk], workers: int) -> Iterator[Treated]:
    method = "fork" if sys.platform == "linux" else "spawn"
    in_flight = workers + 2
    shelves = make_shelves(in_flight) if method == "fork" else []
    free = deque(range(in_flight))
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context(method),
        initializer=_start_worker,
        initargs=(work, shelves, os.getpid()),
    )
    flying: deque[tuple[int, Future[Treated]]] = deque()
    try:
        for chunk in chunks:
            with uninterrupted():  # a signal's exception inside of the pool would break it, or be lost
                task = free.popleft()
                flying.append((task, pool.submit(_treat_in_worker, chunk, task)))
            if not free:
                yield _landed(*flying[0], shelves)
                free.append(flying.popleft()[0])
        while flying:
            yield _landed(*flying.popleft(), shelves)
    except BrokenProcessPool as error:
        raise TemporaryFailure(
            "a worker process was killed",
            hint="it may have run out of memory: try again with fewer --workers",
        ) from error
    finally:
        with uninterrupted():
            pool.shutdown(wait=True, cancel_futures=True)


def _landed(task: int, future: Future[Treated], shelves: list[mmap.mmap]) -> Treated:
    with uninterrupted():
        treated = future.result()
    if shelves:
        treated.pieces = pick_up(treated.pieces, shelves[task])
    return treated


_work: Work | None = None
_shelves: list[mmap.mmap] = []


def _start_worker(work: Work, shelves: list[mmap.mmap], parent: int) -> None:
    """Prepare a worker: signals are the parent's to handle, and a worker whose parent died ends too."""
    global _work, _shelves
    _work, _shelves = work, shelves
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _treat_in_worker(chunk: Chunk, task: int) -> Treated:
    assert _work is not None
    treated = _work.treat(chunk)
    if _shelves:
        treated.pieces = lay_down(treated.pieces, _shelves[task])
    return treated


def _placed(error: RowError, name: str, rows_before: int) -> RowError:
    """Say where in the file a value could not be read or decrypted."""
    places = [row + rows_before + 1 for row in error.rows]
    where = f", row{'s' * (len(places) > 1)} {', '.join(map(str, places))}" if places else ""
    column = f", {error.place}" if error.place else ""
    return type(error)(error.message, place=f"{name}{where}{column}", hint=error.hint, rows=tuple(places))
