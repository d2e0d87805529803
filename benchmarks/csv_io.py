"""CSV in and out beside bare pyarrow, one thread each, in one run: `python benchmarks/csv_io.py [--rows 2000000]`.

The file has 9 columns and about 108 bytes a row, in three forms: without quotes, with quotes where they are needed (one
row in three), and with quotes around everything. pyarrow reads to strings and writes with its defaults (quotes around
everything, null and "" the same) and checks neither quotes nor line endings.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pydp_cli.datasets.csv_dialect import CsvDialect
from pydp_cli.datasets.csv_read import open_csv
from pydp_cli.datasets.csv_write import CsvSink

REPEATS = 7
FIRST = ["Anna", "Ben", "Carla", "David", "Emma", "Felix", "Greta", "Hans", "Ines", "Jan", "Lena", "Jürgen", "Zoë"]
LAST = ["Schmidt", "Müller", "Weber", "Fischer", "Meyer", "Wagner", "Becker", "Schulz", "Hoffmann", "Koch", "Neumann"]
NOTES = ["called no answer", "likes blue", "", "regular customer for years", "prefers e-mail", "ok"]
QUOTED_NOTES = ["called, no answer", 'likes "blue"', "", "regular customer for years", "prefers e-mail", "ok"]


def table(rows: int, notes: list[str]) -> pa.Table:
    rng = np.random.default_rng(1)

    def numbers(low: int, high: int) -> pa.Array:
        return pa.array(rng.integers(low, high, rows)).cast(pa.string())

    def choice(values: list[str]) -> pa.Array:
        return pa.array(values).take(pa.array(rng.integers(0, len(values), rows)))

    first, last = choice(FIRST), choice(LAST)
    local = pc.binary_join_element_wise(pc.utf8_lower(first), pc.utf8_lower(last), numbers(0, 10**6), ".")
    note = choice(notes)
    return pa.table(
        {
            "id": pa.array(np.arange(rows) + 10**7).cast(pa.string()),
            "email": pc.binary_join_element_wise(local, "example.com", "@"),
            "phone": pc.binary_join_element_wise("+49 170", numbers(10**6, 10**7), " "),
            "name": pc.binary_join_element_wise(first, last, " "),
            "birth_date": pa.array(rng.integers(-10_000, 15_000, rows).astype(np.int32))
            .cast(pa.date32())
            .cast("string"),
            "zip": numbers(10_000, 100_000),
            "salary": numbers(20_000, 150_000),
            "country": choice(["DE", "FR", "AT", "CH", "US"]),
            "note": pc.if_else(pc.equal(note, ""), pa.scalar(None, pa.string()), note),
        }
    )


def write(path: Path, data: pa.Table, *, quote_all: bool) -> None:
    if quote_all:
        pyarrow.csv.write_csv(data, path)
        return
    with path.open("wb") as file:
        sink = CsvSink(file, data.schema, CsvDialect())
        for batch in data.to_batches(max_chunksize=10_000):
            sink.write(sink.encoder.encode(batch), None)
        sink.close()


def arrow_reader(path: Path):
    strings = dict.fromkeys(table(1, NOTES).column_names, pa.string())
    return pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        convert_options=pyarrow.csv.ConvertOptions(column_types=strings),
    )


def arrow_read(path: Path) -> int:
    return sum(batch.num_rows for batch in arrow_reader(path))


def arrow_copy(path: Path) -> int:
    rows, reader = 0, arrow_reader(path)
    with pyarrow.csv.CSVWriter("/dev/null", reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def arrow_write(batches: list[pa.RecordBatch]) -> int:
    with pyarrow.csv.CSVWriter("/dev/null", batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sum(batch.num_rows for batch in batches)


def pydp_batches(path: Path):
    with path.open("rb", buffering=0) as file:
        for chunk in open_csv(file, path.name, path=path).chunks():
            yield from chunk.read()


def pydp_read(path: Path) -> int:
    return sum(batch.num_rows for batch in pydp_batches(path))


def pydp_write(batches) -> int:
    rows, sink = 0, None
    with Path("/dev/null").open("wb", buffering=0) as file:
        for batch in batches:
            sink = sink or CsvSink(file, batch.schema, CsvDialect())
            sink.write(sink.encoder.encode(batch), None)
            rows += batch.num_rows
        sink.close()
    return rows


def pydp_copy(path: Path) -> int:
    return pydp_write(pydp_batches(path))


def best_of(jobs: dict[str, Callable[[], int]], rows: int) -> dict[str, float]:
    """Run the jobs in turn, so that a busy machine is busy for all, and keep the best time of each."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(REPEATS):
        for name, job in jobs.items():
            started = time.perf_counter()
            assert job() == rows
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    rows = parser.parse_args().rows
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    print(f"{'':30}{'pydp s':>9}{'pyarrow s':>11}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for form, notes, quote_all in (
            ("no quotes", NOTES, False),
            ("quotes where needed", QUOTED_NOTES, False),
            ("quotes everywhere", QUOTED_NOTES, True),
        ):
            path = Path(folder, "customers.csv")
            write(path, table(rows, notes), quote_all=quote_all)
            batches = list(pydp_batches(path))
            best = best_of(
                {
                    "pyarrow read": lambda path=path: arrow_read(path),
                    "pydp read": lambda path=path: pydp_read(path),
                    "pyarrow write": lambda batches=batches: arrow_write(batches),
                    "pydp write": lambda batches=batches: pydp_write(batches),
                    "pyarrow copy": lambda path=path: arrow_copy(path),
                    "pydp copy": lambda path=path: pydp_copy(path),
                },
                rows,
            )
            print(f"{form}, {path.stat().st_size / 1e6:.0f} MB")
            for job in ("read", "write", "copy"):
                ours, theirs = best[f"pydp {job}"], best[f"pyarrow {job}"]
                print(f"  {job:28}{ours:9.3f}{theirs:11.3f}{ours / theirs:7.2f}")


if __name__ == "__main__":
    main()
