"""The physical limit: a bare pyarrow streaming copy, CSV to CSV or Parquet to Parquet, treating nothing.

`python bare_copy.py INPUT OUTPUT THREADS`
"""

import sys
from pathlib import Path

import pyarrow as pa

source, target, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
pa.set_cpu_count(threads)

if source.endswith(".csv"):
    from pyarrow import csv

    with Path(source).open(encoding="utf-8") as file:
        names = file.readline().rstrip("\n").split(",")
    reader = csv.open_csv(
        source,
        read_options=csv.ReadOptions(use_threads=threads > 1),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    with csv.CSVWriter(target, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
else:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source)
    with pq.ParquetWriter(target, file.schema_arrow, compression="snappy") as writer:
        for batch in file.iter_batches(use_threads=threads > 1):
            writer.write_batch(batch)
