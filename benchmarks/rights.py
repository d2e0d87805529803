"""Measure `pydp export-user` beside polars on a generated tree: one person, and 10,000 people in one pass.

`python benchmarks/rights.py --files 40 --rows 700000` makes about 1 GB. Each ratio is of the medians of the rounds,
which run in turn. polars gives the rows of one id of one column; `export-user` follows links and addresses, and writes
a verified bundle.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from contests import HERE, pydp
from measure import Contestant, race

POLARS = """
import sys
import polars as pl
who = int(sys.argv[1])
for pattern, column, scan in (
    ("data/customers.parquet", "id", pl.scan_parquet),
    ("data/orders/*.parquet", "customer_id", pl.scan_parquet),
    ("data/tickets.csv", "customer_id", pl.scan_csv),
):
    rows = scan(sys.argv[2] + "/" + pattern).filter(pl.col(column) == who).collect()
    rows.write_ndjson(f"{sys.argv[2]}/polars-{column}.jsonl")
"""
RESOLVE = """
import sys
from pathlib import Path
from pydp_cli.cli.arrow import load_arrow
load_arrow()
from pydp_cli.policy.loader import load_policy
from pydp_cli.subjects.catalogue import catalogue_of
from pydp_cli.subjects.resolve import resolve
from pydp_cli.subjects.subject import read_subjects
catalogue = catalogue_of(load_policy(sys.argv[1] + "/pydp.yml"))
resolve(catalogue, read_subjects(Path(sys.argv[2]), catalogue))
"""

CONSENT = """
import json, os, sys, time
import numpy as np
import pyarrow as pa
from pydp_cli.pipeline.references import ReferenceKey
from pydp_cli.subjects.hash_set import HashSet
from pydp_cli.subjects.purpose import Agreed, Check
people, rows = 1_000_000, 4_000_000
key = ReferenceKey("email", b"abcd", os.urandom(32))
named = pa.array([f"user{number}@example.com" for number in range(people)])
hashes = key.hashes(named)
agreed = Agreed((Check("email", None, key, HashSet.of(hashes), HashSet.of(hashes.slice(0, people // 10))),))
column = named.take(pa.array(np.random.default_rng(7).integers(0, people, rows)))
batches = [column.slice(start, 1 << 16) for start in range(0, rows, 1 << 16)]
begin = time.process_time()
passed = sum(agreed({"email": batch}).true_count for batch in batches)
print(json.dumps({"rows_per_cpu_second": round(rows / (time.process_time() - begin)), "passed": passed / rows}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="pydp-bench-"))
    try:
        figures = measure(top / "tree", asked.files, asked.rows, asked.rounds)
    finally:
        shutil.rmtree(top)
    print(json.dumps(figures, indent=2))


def measure(tree: Path, files: int, rows: int, rounds: int) -> dict[str, object]:
    """Generate the tree, race, and give the figures."""
    subprocess.run([sys.executable, HERE / "people_tree.py", tree, str(files), str(rows)], check=True)
    lists = {}
    for count in (1, 10_000):
        lists[count] = tree / f"people-{count}.csv"
        lists[count].write_text("customer_id\n" + "".join(f"{7 * number}\n" for number in range(count)))
    who = "77777"
    export = [*pydp(), "export-user", "-p", str(tree / "pydp.yml"), "--subject", f"customer_id={who}", "--force", "-q"]
    runners = {
        "export": Contestant("export-user", [*export, "-o", str(tree / "copy.zip")]),
        "polars": Contestant("polars", [sys.executable, "-c", POLARS, who, str(tree)], threads=2),
        "one": Contestant("resolve one", [sys.executable, "-c", RESOLVE, str(tree), str(lists[1])]),
        "many": Contestant("resolve 10,000", [sys.executable, "-c", RESOLVE, str(tree), str(lists[10_000])]),
    }
    race(list(runners.values()), rounds)
    median = {name: statistics.median(run.wall_s for run in who.runs) for name, who in runners.items()}
    cpu = {name: statistics.median(run.cpu_s for run in who.runs) for name, who in runners.items()}
    consent = subprocess.run([sys.executable, "-c", CONSENT], check=True, capture_output=True, text=True)
    return {
        "consent filter, 1 million people": json.loads(consent.stdout),
        "megabytes": round(sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) / 1e6),
        "export-user: times as fast as polars": round(median["polars"] / median["export"], 2),
        "export-user: CPU time, of that of polars": round(cpu["export"] / cpu["polars"], 2),
        "10,000 people: times as long as one": round(median["many"] / median["one"], 2),
        "runs": {name: who.as_json() for name, who in runners.items()},
    }


if __name__ == "__main__":
    main()
