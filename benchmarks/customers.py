"""Generate the customers file that is measured: any number of rows, nine columns, as CSV and as Parquet.

`python benchmarks/customers.py ROWS FOLDER` writes `customers-ROWS.csv` and `.parquet`, about 105 bytes a row in CSV.
Fields are quoted only where they must be; ids, addresses and telephone numbers are all different.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SEED = 7
BATCH_ROWS = 200_000
FIRST = "Ada Jürgen Zoë Maria Björn Siân Łukasz Grace Omar Chloé Tadhg Fenna Priya Noor Till Mary José Wei Anna Kwame"
LAST = (
    "Lovelace Müller O'Brien Wiśniewski Nguyen García Lefèvre Smith Patel Jansen Öztürk Hopper Kowalska Johnson "
    "Hofstätter Papadopoulos Okafor MacDonald Benoît Großmann"
)
COUNTRIES = "DE FR GB NL PL US AT ES IT SE"
NOTES = (*[None] * 8, "", "VIP", "prefers letters", "called twice", "Smith, J. referred", 'said "later"', "a\nb")


def batch(rng: np.random.Generator, start: int, rows: int) -> pa.RecordBatch:
    """Make customers number `start` and following."""

    def pick(values: list[str | None]) -> pa.Array:
        return pa.array(values).take(pa.array(rng.integers(0, len(values), rows)))

    def padded(numbers: np.ndarray, width: int) -> pa.Array:
        return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")

    number = np.arange(start, start + rows)
    scattered = (number * 48_271 + 11) % 899_999_963  # a permutation: all different, in no order
    first, last = pick(FIRST.split()), pick(LAST.split())
    local = pick(["ada", "jurgen", "zoe", "maria", "bjorn", "sian", "lukasz", "grace", "omar", "chloe"])
    host = pick(["example.com", "example.org", "mail.example", "post.example"])
    born = rng.integers(-12_000, 13_000, rows).astype(np.int32)
    salary = rng.integers(24, 240, rows) * 500
    columns = {
        "id": pc.binary_join_element_wise("C", padded(scattered, 11), ""),
        "name": pc.binary_join_element_wise(first, last, " "),
        "email": pc.binary_join_element_wise(pc.binary_join_element_wise(local, padded(number, 7), "."), host, "@"),
        "phone": pc.binary_join_element_wise("+49", padded(scattered, 10), ""),
        "birth_date": pa.array(born).view(pa.date32()).cast(pa.string()),
        "zip": padded(rng.integers(1_000, 99_999, rows), 5),
        "country": pick(COUNTRIES.split()),
        "salary": pa.array(salary).cast(pa.string()),
        "note": pick(list(NOTES)),
    }
    return pa.record_batch(columns)


def csv_lines(rows: pa.RecordBatch) -> bytes:
    """Format rows: null is an empty field, the empty string is `""`."""
    fields = []
    for column in rows.columns:
        special = pc.or_(pc.match_substring_regex(column, '[",\r\n]'), pc.equal(column, ""))
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
        fields.append(pc.fill_null(pc.if_else(special, quoted, column), ""))
    lines = pc.binary_join_element_wise(*fields, ",")
    return ("\n".join(lines.to_pylist()) + "\n").encode()


def generate(rows: int, folder: Path) -> None:
    """Write both files, under their names only when they are complete."""
    rng = np.random.default_rng(SEED)
    schema = batch(rng, 0, 1).schema
    csv, parquet = folder / f"customers-{rows}.csv", folder / f"customers-{rows}.parquet"
    parts = [path.with_name(f"{path.name}.part") for path in (csv, parquet)]
    with parts[0].open("wb") as lines, pq.ParquetWriter(parts[1], schema, compression="snappy") as writer:
        lines.write((",".join(schema.names) + "\n").encode())
        for start in range(0, rows, BATCH_ROWS):
            made = batch(rng, start, min(BATCH_ROWS, rows - start))
            lines.write(csv_lines(made))
            writer.write_batch(made)
    parts[0].rename(csv)
    parts[1].rename(parquet)


if __name__ == "__main__":
    generate(int(sys.argv[1]), Path(sys.argv[2]))
