"""Erase people by filtering every file and writing it again, with DuckDB or polars.

python erase_sql.py duckdb|polars TREE PEOPLE.csv
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

Rewrite = Callable[[Path, str, Path], None]


def duckdb_rewrite(people: list[int]) -> Rewrite:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SET preserve_insertion_order = true")
    connection.execute("CREATE TABLE people AS SELECT unnest(?) AS who", [people])

    def rewrite(source: Path, column: str, target: Path) -> None:
        reader, form = ("read_parquet", "FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 50000")
        if source.suffix == ".csv":
            reader, form = "read_csv", "FORMAT csv, HEADER"
        rows = f"SELECT * FROM {reader}('{source}') WHERE {column} NOT IN (SELECT who FROM people)"
        connection.execute(f"COPY ({rows}) TO '{target}' ({form})")

    return rewrite


def polars_rewrite(people: list[int]) -> Rewrite:
    import polars as pl

    def rewrite(source: Path, column: str, target: Path) -> None:
        scan = pl.scan_csv(source) if source.suffix == ".csv" else pl.scan_parquet(source)
        kept = scan.filter(~pl.col(column).is_in(people))
        if source.suffix == ".csv":
            kept.sink_csv(target)
        else:
            kept.sink_parquet(target, compression="snappy", row_group_size=50_000)

    return rewrite


def main() -> None:
    tree = Path(sys.argv[2]) / "data"
    people = [int(text) for text in Path(sys.argv[3]).read_text().split()[1:]]
    rewrite = (duckdb_rewrite if sys.argv[1] == "duckdb" else polars_rewrite)(people)
    files = [(tree / "customers.parquet", "id"), (tree / "tickets.csv", "customer_id")]
    for path, column in [*files, *((path, "customer_id") for path in sorted((tree / "orders").glob("*.parquet")))]:
        temp = path.with_suffix(".new")
        rewrite(path, column, temp)
        with temp.open("rb") as file:
            os.fsync(file.fileno())
        temp.replace(path)


if __name__ == "__main__":
    main()
