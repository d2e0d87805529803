"""Measure `pydp dp-stats` beside DuckDB, which does the same bounding without noise: time, memory, two workers.

`python benchmarks/dp.py --rows 1000000 --rounds 3`: count, sum, mean and median in ten groups; six rows a person.
"""

from __future__ import annotations

import argparse
import sys

from contests import DATA, HERE, pydp
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


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    path = generate(chosen.rows)
    one, two = (Contestant(f"pydp, {n} worker(s)", command(path, n), n) for n in (1, 2))
    duck = [sys.executable, str(HERE / "peers" / "dp_duckdb.py"), path]
    peer, peer_two = (Contestant(f"duckdb, {n} thread(s)", [*duck, str(n)], n) for n in (1, 2))
    race([one, two, peer, peer_two], chosen.rounds)
    for who in (one, two, peer, peer_two):
        print(f"{who.name:20} {who.best_s:7.2f} s  {who.peak_mib:7.0f} MiB")
    print(f"time of duckdb's, one thread: {1 / times_as_fast(one, peer):.2f}x (at most 1.3)")
    print(f"two workers to one: {times_as_fast(two, one):.2f}x (at least 1.7)")


if __name__ == "__main__":
    main()
