"""A line on the terminal that tells how far a long run is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

AFTER_SECONDS = 1.0


@contextmanager
def progress_line(quiet: bool) -> Iterator[Callable[[str, int], None] | None]:
    """Show the rows done of each file, for work over a second; gives what to tell them, None where nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    import time

    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
    )
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    tasks = {}
    began = time.monotonic()

    def advance(name: str, rows: int) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(Path(name).name)
        bar.advance(tasks[name], rows)
        if not bar.live.is_started and time.monotonic() - began > AFTER_SECONDS:
            bar.start()

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()
