"""Measure `pydp anonymize` beside a bare copy, the common script, DuckDB and polars; print ratios and write them down.

Whole processes, in turn, several rounds; each ratio is the median of the rounds. `make bench`, or for fewer rows
`make bench ARGS="--rows 200000 --rounds 3"`. `--large` adds 20 million rows, to show that memory does not grow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from contests import DATA, HERE, KEY_FILE, KEYRING, PEERS, Figure, anonymize, contestants, pydp, speed_figures
from measure import Contestant, race, times_as_fast
from report import as_text, machine, write_readme

FORMS = ("csv", "parquet")


def customers(rows: int) -> Path:
    """Generate the customers file of so many rows, once; gives its path without the ending."""
    stem = DATA / f"customers-{rows}"
    if not stem.with_suffix(".parquet").exists():
        print(f"generating {rows:,} rows", file=sys.stderr)
        DATA.mkdir(exist_ok=True)
        subprocess.run([sys.executable, HERE / "customers.py", str(rows), DATA], check=True)
    return stem


def make_keyring() -> None:
    """Make the keyring that the pseudonyms of the benchmark come from."""
    DATA.mkdir(exist_ok=True)
    KEYRING.unlink(missing_ok=True)
    KEY_FILE.unlink(missing_ok=True)
    subprocess.run([*pydp(), "keys", "init", "--keyring", KEYRING, "--key-file", KEY_FILE, "-q"], check=True)


def measure_speed(stem: Path, rounds: int, only: frozenset[str]) -> tuple[list[Figure], dict[str, object]]:
    """Race all on CSV and on Parquet, with one worker and with two, each format in one set of rounds."""
    figures: list[Figure] = []
    times: dict[str, object] = {}
    for form in FORMS:
        fields = {threads: contestants(stem.with_suffix(f".{form}"), threads, only) for threads in (1, 2)}
        if "pandas" in fields[2]:
            fields[2]["pandas"] = fields[1]["pandas"]  # it has one thread, and runs once a round
        print(f"{form}: {', '.join(fields[1])}", file=sys.stderr)
        runners = {id(who): who for field in fields.values() for who in field.values()}
        race(list(runners.values()), rounds)
        for threads, field in fields.items():
            figures += speed_figures(form, threads, field)
            times[f"{form}, {threads} thread{'s' * (threads > 1)}"] = {
                name: who.as_json() for name, who in field.items()
            }
        if "pydp" in fields[1]:
            scaling = times_as_fast(fields[2]["pydp"], fields[1]["pydp"])
            figures.append(Figure(f"{form}: two workers to one", scaling, 1.7))
    return figures, times


def measure_start(rounds: int) -> tuple[list[Figure], dict[str, object]]:
    """Measure what a run costs before it does anything."""
    small = customers(100).with_suffix(".csv")
    target = DATA / "out.small.csv"
    bare = Contestant("bare interpreter", [sys.executable, "-c", "pass"])
    helping = Contestant("pydp --help", [*pydp(), "--help"])
    hundred = Contestant("100 rows", anonymize(small, target, 1), output=target)
    race([bare, helping, hundred], max(rounds, 5) * 2)
    added_ms = (helping.best_s - bare.best_s) * 1000
    figures = [
        Figure("pydp --help, over a bare interpreter", added_ms, 150, "ms", at_most=True),
        Figure("a file of 100 rows", hundred.best_s, 1, "s", at_most=True),
    ]
    return figures, {who.name: who.as_json() for who in (bare, helping, hundred)}


def measure_memory(rounds: int) -> tuple[list[Figure], dict[str, object]]:
    """Compare the peaks of a million rows and of twenty."""
    figures: list[Figure] = []
    peaks: dict[str, object] = {}
    for form in FORMS:
        few, many = (
            Contestant(
                f"{form}, {rows:,} rows", anonymize(customers(rows).with_suffix(f".{form}"), target, 1), 1, target
            )
            for rows in (1_000_000, 20_000_000)
            for target in [DATA / f"out.{rows}.{form}"]
        )
        race([few, many], rounds)
        figures.append(Figure(f"{form}: peak of 20 M rows to 1 M", many.peak_mib / few.peak_mib, 1.1, at_most=True))
        figures.append(Figure(f"{form}: peak of 20 M rows", many.peak_mib, 300, "MiB", at_most=True))
        peaks |= {who.name: who.as_json() for who in (few, many)}
    return figures, peaks


def main() -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="measure memory with 20 million rows too")
    parser.add_argument("--only", help=f"who runs, separated by commas: pydp, {', '.join(PEERS)}")
    parser.add_argument("--no-write", action="store_true", help="leave results.json and README.md as they are")
    chosen = parser.parse_args()
    only = frozenset(name.strip() for name in chosen.only.split(",")) if chosen.only else frozenset[str]()
    with_pydp = not only or "pydp" in only
    if with_pydp:
        make_keyring()
    stem = customers(chosen.rows)
    described = machine()
    figures, times = measure_speed(stem, chosen.rounds, only)
    results: dict[str, object] = {"rows": chosen.rows, "rounds": chosen.rounds, "machine": described, "speed": times}
    if with_pydp:
        more, results["start"] = measure_start(chosen.rounds)
        figures += more
    if with_pydp and chosen.large:
        more, results["memory"] = measure_memory(1)
        figures += more
    results["figures"] = [figure.as_json() for figure in figures]
    print(as_text(results))
    if not chosen.no_write:
        (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        write_readme(HERE / "README.md", results)


if __name__ == "__main__":
    main()
