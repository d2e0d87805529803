"""Measure `pydp erase-user` beside the find-and-forget algorithm, DuckDB and polars, on a generated tree.

`python benchmarks/erasing.py --files 40 --rows 700000` makes about 1 GB. All erase the same people from a fresh copy of
the tree in turn; the others filter rows by the id and write every file again. `erase-user` follows links, asks for
holds, changes all files or none, searches everything once more, and certifies what it counted. `plan` is the search and
the plan alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from contests import HERE, Figure, pydp
from measure import Contestant, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=6)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="pydp-bench-"))
    try:
        print(json.dumps(measure(top, asked.files, asked.rows, asked.rounds), indent=2))
    finally:
        shutil.rmtree(top)


def measure(top: Path, files: int, rows: int, rounds: int) -> dict[str, object]:
    """Generate the tree, race on copies of it, and give the figures."""
    made, tree = top / "made", top / "tree"
    subprocess.run([sys.executable, HERE / "people_tree.py", made, str(files), str(rows)], check=True)
    policy = made / "pydp.yml"
    policy.write_text(policy.read_text().replace("version: 1\n", "version: 1\nkeyring: ring\n"))
    keys = ["--keyring", made / "ring", "--key-file", top / "key"]
    subprocess.run([*pydp(), "keys", "init", *keys, "-q"], check=True)
    lists = {count: top / f"people-{count}.csv" for count in (0, 1, 10, 10_000)}
    for count, path in lists.items():
        ids = [7 * number + 3 for number in range(count)] or [10**9]
        path.write_text("customer_id\n" + "".join(f"{number}\n" for number in ids))
    runners = {
        "erase 10": _erase(tree, lists[10], "--yes"),
        "find and forget": _peer("find_and_forget", tree, lists[10]),
        "duckdb": _peer("erase_sql", "duckdb", tree, lists[10]),
        "polars": _peer("erase_sql", "polars", tree, lists[10]),
        "erase 1": _erase(tree, lists[1], "--yes"),
        "erase 10,000": _erase(tree, lists[10_000], "--yes"),
        "nobody": _erase(tree, lists[0], "--yes"),
        "plan": _erase(tree, lists[10], "--plan", str(top / "erase.plan")),
    }
    for turn in range(rounds):
        for runner in runners.values():
            _copy(made, tree)
            runner.runs.append(run(runner.command, runner.environment))
            (top / "erase.plan").unlink(missing_ok=True)
        print(f"  round {turn + 1} of {rounds}", file=sys.stderr)
    median = {name: statistics.median(one.wall_s for one in runner.runs) for name, runner in runners.items()}
    ten = runners["erase 10"]
    figures = [
        Figure("10 people: times as fast as find and forget", median["find and forget"] / median["erase 10"], 4),
        Figure("10 people: times as fast as DuckDB", median["duckdb"] / median["erase 10"], 2.5),
        Figure("10 people: times as fast as polars", median["polars"] / median["erase 10"], 2.5),
        Figure("10,000 people: times as long as one", median["erase 10,000"] / median["erase 1"], 1.5, at_most=True),
        Figure("nobody: seconds", median["nobody"], None, "s"),
        Figure("peak memory", ten.peak_mib, None, "MiB"),
    ]
    return {
        "megabytes": round(sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) / 1e6),
        "figures": [figure.as_json() for figure in figures],
        "runs": {name: runner.as_json() for name, runner in runners.items()},
    }


def _erase(tree: Path, people: Path, *more: str) -> Contestant:
    command = [*pydp(), "erase-user", "-p", str(tree / "pydp.yml"), "--subjects", str(people), "-q"]
    return Contestant("erase-user", [*command, "--key-file", str(tree.parent / "key"), *more])


def _peer(script: str, *arguments: str | Path) -> Contestant:
    return Contestant(script, [sys.executable, str(HERE / "peers" / f"{script}.py"), *map(str, arguments)], threads=2)


def _copy(made: Path, tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(made, tree)
    os.sync()


if __name__ == "__main__":
    main()
