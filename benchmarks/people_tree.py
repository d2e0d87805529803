"""Generate a tree of Parquet and CSV files about people, with its policy: half of the ids clustered, half random.

python benchmarks/people_tree.py FOLDER FILES ROWS_PER_FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

POLICY = """version: 1
identities: {customer_id: {}, email: {normalize: [casefold]}}
datasets:
  customers:
    path: data/customers.parquet
    other_columns: keep
    identifiers: {id: customer_id, email: email}
  orders:
    path: data/orders/*.parquet
    other_columns: keep
    links: {customer_id: customers.id}
  tickets:
    path: data/tickets.csv
    other_columns: keep
    links: {customer_id: customers.id}
"""
PEOPLE = 200_000


def main() -> None:
    folder, files, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    random = np.random.default_rng(7)
    (folder / "data" / "orders").mkdir(parents=True)
    (folder / "pydp.yml").write_text(POLICY)
    ids = np.arange(PEOPLE)
    emails = [f"user{number}@example.com" for number in ids]
    customers = pa.table({"id": ids, "email": emails, "name": [f"Name {number}" for number in ids]})
    pq.write_table(customers, folder / "data" / "customers.parquet", row_group_size=20_000)
    for number in range(files):
        who = random.integers(0, PEOPLE, rows)
        table = pa.table(
            {
                "order_id": np.arange(rows) + number * rows,
                "customer_id": np.sort(who) if number % 2 == 0 else who,
                "total": random.random(rows),
                "note": pa.array(random.integers(0, 10**12, rows)).cast(pa.string()),
            }
        )
        pq.write_table(table, folder / "data" / "orders" / f"{number:03}.parquet", row_group_size=50_000)
    tickets = pa.table(
        {"customer_id": random.integers(0, PEOPLE, rows // 4), "text": ["it does not work"] * (rows // 4)}
    )
    pc.write_csv(tickets, folder / "data" / "tickets.csv")


if __name__ == "__main__":
    main()
