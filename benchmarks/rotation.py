"""Measure rotation: many whole files of two sizes, re-encryption beside one encryption, and the scan for keys.

    python benchmarks/rotation.py [--files 1000] [--rows 1000000] [--rounds 3]

Whole processes, rounds interleaved; each figure is the best of its rounds. `rewrap-files` writes the 8 KiB of a header
whatever the file's size, so the two sizes must cost the same. `reencrypt` decrypts and compares what it wrote.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from contests import Figure, pydp
from measure import run

SIZES = (1 << 10, 1 << 20)
MOST_OF_ENCRYPT, LEAST_SCANNED = 2.5, 20e6


def command(folder: Path, *arguments: object) -> list[str]:
    """Give a command line with the keyring of a folder."""
    return [*pydp(), *map(str, arguments), "--keyring", str(folder / "ring"), "--key-file", str(folder / "key")]


def timed(line: list[str]) -> float:
    """Run a command, and give its wall time."""
    return run(line, {}).wall_s


def rewrapping(folder: Path, files: int, rounds: int) -> list[Figure]:
    """Compare many small files with as many large ones."""
    best = dict.fromkeys(SIZES, float("inf"))
    for size in SIZES:
        of_size = folder / f"size-{size}"
        of_size.mkdir()
        first = of_size / "0"
        first.write_bytes(os.urandom(size))
        timed(command(folder, "encrypt", "--whole-file", first, "-q"))
        first.unlink()
        for number in range(1, files):  # copies of one envelope: each has its own header to rewrite
            shutil.copyfile(of_size / "0.pydp", of_size / f"{number}.pydp")
    os.sync()  # what was just copied is not what is measured
    for _ in range(rounds):
        for size in SIZES:
            line = command(folder, "rotate-keys", folder / f"size-{size}", "--mode", "rewrap-files", "-q")
            best[size] = min(best[size], timed(line))
    small, large = (best[size] for size in SIZES)
    return [
        Figure(f"rewrap-files: {files:,} files of 1 KiB", small, unit="s"),
        Figure(f"rewrap-files: {files:,} files of 1 MiB to 1 KiB", large / small, 1.25, at_most=True),
    ]


def reencrypting(folder: Path, rows: int, rounds: int) -> list[Figure]:
    """Compare re-encryption with the encryption that made the file, and measure the scan for keys."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = np.random.default_rng(1).integers(10**4, 10**9, rows)
    emails = pa.array([f"{number}@example.com" for number in numbers])
    plain, sealed = folder / "plain.parquet", folder / "sealed.parquet"
    pq.write_table(pa.table({"id": range(rows), "email": emails, "name": emails, "total": numbers / 7}), plain)
    columns = ("--set", "email=random", "--set", "name=random")
    encrypt = command(folder, "encrypt", plain, "-o", sealed, "--force", *columns, "-q")
    reencrypt = command(folder, "rotate-keys", sealed, "--mode", "reencrypt", "-q")
    usage = command(folder, "keys", "usage", sealed, "--json")
    best = {"encrypt": float("inf"), "reencrypt": float("inf"), "usage": float("inf")}
    for _ in range(rounds):
        for name, line in (("encrypt", encrypt), ("usage", usage), ("reencrypt", reencrypt)):
            best[name] = min(best[name], timed(line))
    return [
        Figure("reencrypt: time of one encrypt", best["reencrypt"] / best["encrypt"], MOST_OF_ENCRYPT, at_most=True),
        Figure("keys usage: a whole process", 2 * rows / best["usage"] / 1e6, unit="M cells/s"),
        Figure("keys usage: cells in memory", _scanned(emails) / 1e6, LEAST_SCANNED / 1e6, unit="M cells/s"),
    ]


def _scanned(emails: object) -> float:
    """Give how many text cells a second are counted by their keys, once they are in memory."""
    from pydp_cli.crypto.cells import Place, count_by_key, seal_base64

    cells = seal_base64(emails, bytes(range(64)), b"\0\0\0\1", Place("people", "email"), [], deterministic=False)
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        count_by_key(cells)
        best = min(best, time.process_time() - began)
    return len(cells) / best


def main() -> int:
    """Print the figures; end with 1 where one misses what it is held to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timed(command(folder, "keys", "init", "-q"))
        figures = rewrapping(folder, options.files, options.rounds)
        figures += reencrypting(folder, options.rows, options.rounds)
    missed = 0
    for figure in figures:
        told = figure.as_json()
        limit = "" if figure.limit is None else f"  ({'<=' if figure.at_most else '>='} {figure.limit:g})"
        verdict = "" if told.get("met", True) else "  MISSED"
        print(f"{figure.what:48} {figure.value:8.2f} {figure.unit}{limit}{verdict}")
        missed += not told.get("met", True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
