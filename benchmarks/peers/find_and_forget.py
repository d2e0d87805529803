"""Erase people by the find-and-forget algorithm: decode every file with a hit, compare row by row, encode it again.

python find_and_forget.py TREE PEOPLE.csv
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import pyarrow.parquet as pq


def main() -> None:
    tree, people = Path(sys.argv[1]), set(Path(sys.argv[2]).read_text().split()[1:])
    numbers = {int(text) for text in people}
    for path in (tree / "data" / "customers.parquet", *sorted((tree / "data" / "orders").glob("*.parquet"))):
        column = "id" if path.name == "customers.parquet" else "customer_id"
        source = pq.ParquetFile(path)
        temp = path.with_suffix(".new")
        with pq.ParquetWriter(temp, source.schema_arrow) as writer:
            for group in range(source.num_row_groups):
                table = source.read_row_group(group)
                keep = [value not in numbers for value in table.column(column).to_pylist()]
                writer.write_table(table.filter(keep))
        _publish(temp, path)
    path = tree / "data" / "tickets.csv"
    temp = path.with_suffix(".new")
    with path.open(newline="") as source, temp.open("w", newline="") as target:
        reader, writer = csv.reader(source), csv.writer(target)
        writer.writerow(next(reader))
        writer.writerows(row for row in reader if row[0] not in people)
    _publish(temp, path)


def _publish(temp: Path, path: Path) -> None:
    with temp.open("rb") as file:
        os.fsync(file.fileno())
    temp.replace(path)


if __name__ == "__main__":
    main()
