"""What is measured beside what, and the floors that the figures are held to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measure import Contestant, times_as_fast

HERE = Path(__file__).parent
DATA = HERE / "data"
KEYRING, KEY_FILE = DATA / "bench.keyring", DATA / "bench.key"
PEERS = {"pyarrow copy": "bare_copy", "duckdb": "duckdb_sql", "polars": "polars_hash", "pandas": "pandas_hashlib"}


@dataclass(frozen=True)
class Figure:
    """A measured figure and its floor (or, where `at_most`, its ceiling); None where it is held to none."""

    what: str
    value: float
    limit: float | None = None
    unit: str = "×"
    at_most: bool = False

    def as_json(self) -> dict[str, object]:
        """Give the figure as plain data."""
        figure: dict[str, object] = {"what": self.what, "value": round(self.value, 3), "unit": self.unit}
        if self.limit is not None:
            figure["at_most" if self.at_most else "at_least"] = self.limit
            figure["met"] = self.value <= self.limit if self.at_most else self.value >= self.limit
        return figure


def pydp() -> list[str]:
    """Give the installed command."""
    script = Path(sys.executable).with_name("pydp")
    return [str(script)] if script.exists() else [sys.executable, "-m", "pydp_cli.cli.app"]


def anonymize(source: Path, target: Path, workers: int) -> list[str]:
    """Give the command that is measured."""
    policy = ["-p", str(HERE / "policy.yml"), "--dataset", "customers", "--key-file", str(KEY_FILE)]
    return [*pydp(), "anonymize", str(source), "-o", str(target), *policy, "--workers", str(workers), "-q"]


def contestants(source: Path, threads: int, only: frozenset[str]) -> dict[str, Contestant]:
    """Give those who do the job on a file, each with its own output; `only` names them, if not empty."""
    found = {}
    target = DATA / f"out.pydp{source.suffix}"
    found["pydp"] = Contestant("pydp", anonymize(source, target, threads), threads, target)
    for name, script in PEERS.items():
        target = DATA / f"out.{script}{source.suffix}"
        command = [sys.executable, str(HERE / "peers" / f"{script}.py"), str(source), str(target), str(threads)]
        environment = {"POLARS_MAX_THREADS": str(threads)} if name == "polars" else {}
        used = 1 if name == "pandas" else threads
        found[name] = Contestant(name, command, used, target, environment)
    return {name: who for name, who in found.items() if not only or name in only}


def speed_figures(form: str, threads: int, field: dict[str, Contestant]) -> Iterator[Figure]:
    """Compare pydp with the others that ran beside it.

    Those who treat columns too set limits for CSV only, which is what people hand to such scripts.
    """
    ours = field.get("pydp")
    if ours is None:
        return
    with_workers = f"{form}, {threads} worker{'s' * (threads > 1)}"
    if "pyarrow copy" in field:
        yield Figure(f"{with_workers}: rows/s of a bare copy", times_as_fast(ours, field["pyarrow copy"]), 0.35)
    floors: dict[str, float] = {"pandas": 8 if threads == 1 else 15, "duckdb": 1, "polars": 1 / 1.3}
    for name, floor in floors.items():
        if name in field:
            limit = floor if form == "csv" else None
            yield Figure(f"{with_workers}: rows/s of {name}", times_as_fast(ours, field[name]), limit)
    if threads == 1:
        if "pandas" in field:
            share = ours.peak_mib / field["pandas"].peak_mib
            yield Figure(f"{with_workers}: memory of pandas", share, 0.25 if form == "csv" else None, at_most=True)
        yield Figure(f"{with_workers}: peak memory", ours.peak_mib, 300, "MiB", at_most=True)
