"""Measure `pydp dp-stats` beside DuckDB (the same bounding without noise), OpenDP over Polars, and PipelineDP.

`python benchmarks/dp.py --rows 1000000 --rounds 3`: count, sum, mean and median in ten groups; six rows a person.
`--large`: 12 million rows of 2 million people, and the memory that 50 million rows take.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from contests import DATA, HERE, Figure, pydp
from measure import Contestant, race, times_as_fast


def generate(rows: int) -> str:
    """Write the file of orders, once; in a process of its own, so that nothing heavy is imported here."""
    import subprocess

    path = DATA / f"orders-{rows}.parquet"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        code = (
            "import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq\n"
            "rows, path = int(sys.argv[1]), sys.argv[2]\n"
            "rng = np.random.default_rng(7)\n"
            "names = pa.array([f'c{n}' for n in range(10)])\n"
            "schema = pa.schema([('person', pa.int64()), ('category', pa.string()), ('amount', pa.float64())])\n"
            "with pq.ParquetWriter(path, schema) as writer:\n"
            "    for start in range(0, rows, 1 << 20):\n"
            "        n = min(1 << 20, rows - start)\n"
            "        person = rng.integers(0, max(1, rows // 6), n)\n"
            "        category = names.take(pa.array(rng.integers(0, 10, n)))\n"
            "        amount = np.round(rng.gamma(2, 40, n), 2)\n"
            "        writer.write_batch(pa.record_batch([person, category, amount], schema=schema))\n"
        )
        subprocess.run([sys.executable, "-c", code, str(rows), str(path)], check=True)
    return str(path)


def command(path: str, workers: int) -> list[str]:
    """Give the command that is measured; a dry run, so that every round computes."""
    asked = ["--count", "--sum", "amount:0:500", "--mean", "amount:0:500", "--quantiles", "amount:0:500"]
    groups = ["--group-by", "category=" + ",".join(f"c{n}" for n in range(10))]
    limits = ["--groups-per-person", "3", "--rows-per-group", "4", "--workers", str(workers)]
    return [
        *pydp(),
        "dp-stats",
        path,
        "--user",
        "person",
        "--epsilon",
        "1",
        *asked,
        *groups,
        *limits,
        "--dry-run",
        "-q",
    ]


def peers_python() -> str | None:
    """Give the interpreter that has OpenDP with its Polars, and PipelineDP; they need versions of their own."""
    named = os.environ.get("DP_PEERS_PYTHON") or str(HERE.parent / "build" / "dp-peers" / "bin" / "python")
    return named if Path(named).exists() else None


def large_memory() -> list[Figure]:
    """Show that memory does not grow: a million rows and fifty; the large file is deleted."""
    few, many = (Contestant(f"{rows:,} rows", command(generate(rows), 2), 2) for rows in (1_000_000, 50_000_000))
    try:
        race([few, many], 1)
    finally:
        (DATA / "orders-50000000.parquet").unlink(missing_ok=True)
    show([few, many])
    return [
        Figure("peak of 50 M rows to 1 M", many.peak_mib / few.peak_mib),
        Figure("peak of 50 M rows", many.peak_mib, 400, "MiB", at_most=True),
    ]


def measure_speed(rows: int, rounds: int, peers: str | None) -> list[Figure]:
    """Race on one file: pydp and DuckDB with one and two, OpenDP over Polars with all that it takes."""
    path = generate(rows)
    one, two = (Contestant(f"pydp, {n} worker(s)", command(path, n), n) for n in (1, 2))
    duck = [sys.executable, str(HERE / "peers" / "dp_duckdb.py"), path]
    peer, peer_two = (Contestant(f"duckdb, {n} thread(s)", [*duck, str(n)], n) for n in (1, 2))
    runners = [one, two, peer, peer_two]
    opendp = Contestant("opendp + polars", [peers or "", str(HERE / "peers" / "dp_opendp.py"), path, str(rows)], 2)
    runners += [opendp] if peers else []
    race(runners, rounds)
    show(runners)
    figures = [
        Figure("time of duckdb's, one thread", 1 / times_as_fast(one, peer), 1.3, at_most=True),
        Figure("time of duckdb's, two threads", 1 / times_as_fast(two, peer_two), 1.3, at_most=True),
        Figure("two workers to one", times_as_fast(two, one), 1.7),
        Figure("peak memory", max(one.peak_mib, two.peak_mib), 400, "MiB", at_most=True),
    ]
    if peers:
        figures += [
            Figure("speed of opendp + polars", times_as_fast(two, opendp), 3),
            Figure("memory of opendp + polars", two.peak_mib / opendp.peak_mib, 0.15, at_most=True),
        ]
    return figures


def measure_pipelinedp(rounds: int, peers: str) -> list[Figure]:
    """Race PipelineDP on a million rows, which it takes one by one."""
    path = generate(1_000_000)
    one = Contestant("pydp, 1 worker, 1 M rows", command(path, 1))
    other = Contestant("pipelinedp, 1 M rows", [peers, str(HERE / "peers" / "dp_pipelinedp.py"), path])
    race([one, other], min(rounds, 2))
    show([one, other])
    return [Figure("speed of pipelinedp, 1 M rows", times_as_fast(one, other), 20)]


def show(runners: list[Contestant]) -> None:
    """Print what was measured of each."""
    for who in runners:
        cpu_s = min(run.cpu_s for run in who.runs)
        print(f"{who.name:26} {who.best_s:7.2f} s  {cpu_s:7.2f} processor s  {who.peak_mib:7,.0f} MiB")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="12 million rows, and the memory of 50 million")
    chosen = parser.parse_args()
    peers = peers_python()
    if peers is None:
        print("opendp and pipelinedp are left out: no interpreter has them (see README.md)", file=sys.stderr)
    figures = measure_speed(12_000_000 if chosen.large else chosen.rows, chosen.rounds, peers)
    figures += measure_pipelinedp(chosen.rounds, peers) if peers else []
    figures += large_memory() if chosen.large else []
    for figure in figures:
        found = figure.as_json()
        limit = "" if figure.limit is None else f"  {'at most' if figure.at_most else 'at least'} {figure.limit}"
        print(
            f"{figure.what:32} {figure.value:8.2f} {figure.unit}{limit}  {'' if found.get('met', True) else 'NOT MET'}"
        )


if __name__ == "__main__":
    main()
