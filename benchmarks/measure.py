"""Run whole processes and measure them: wall time, processor time, and the peak memory of the largest of them.

This module and what runs it import nothing heavy: a child inherits its parent's peak at the moment it is made.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One finished process, with all that it started and waited for."""

    wall_s: float
    cpu_s: float
    peak_mib: float


@dataclass
class Contestant:
    """A command, and its runs."""

    name: str
    command: Sequence[str]
    threads: int = 1
    output: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    @property
    def best_s(self) -> float:
        """The shortest wall time."""
        return min(run.wall_s for run in self.runs)

    @property
    def peak_mib(self) -> float:
        """The median of the peaks."""
        return statistics.median(run.peak_mib for run in self.runs)

    def as_json(self) -> dict[str, object]:
        """Give the figures as plain data."""
        return {
            "threads": self.threads,
            "best_s": round(self.best_s, 3),
            "median_s": round(statistics.median(run.wall_s for run in self.runs), 3),
            "cpu_s": round(statistics.median(run.cpu_s for run in self.runs), 3),
            "peak_mib": round(self.peak_mib, 1),
            "wall_s": [round(run.wall_s, 3) for run in self.runs],
        }


def run(command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run a command to its end; raises where it fails."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        env={**inherited, **environment},  # compiled modules are kept, as they are where pydp is installed
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = child.stderr.read() if child.stderr else b""
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}\n{said.decode(errors='replace')}exit code {child.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**20)


def race(contestants: Sequence[Contestant], rounds: int) -> None:
    """Run all contestants in turn, round after round, so that a slow minute of the machine is everyone's."""
    for turn in range(rounds):
        for contestant in contestants:
            contestant.runs.append(run(contestant.command, contestant.environment))
            if contestant.output:
                contestant.output.unlink()
        print(f"  round {turn + 1} of {rounds}", file=sys.stderr)


def times_as_fast(one: Contestant, other: Contestant) -> float:
    """Tell how many times as fast `one` is: the median over the rounds, in each of which both ran."""
    return statistics.median(b.wall_s / a.wall_s for a, b in zip(one.runs, other.runs, strict=True))
