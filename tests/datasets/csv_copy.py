"""Read CSV bytes to rows, and write rows to CSV bytes, as a run does."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field

import pyarrow as pa

from pydp_cli.datasets.csv_dialect import CsvDialect, CsvOptions
from pydp_cli.datasets.csv_read import CsvSource, open_csv
from pydp_cli.datasets.csv_write import CsvSink

Row = tuple["str | None", ...]


@dataclass
class Content:
    names: list[str]
    rows: list[Row]
    dialect: CsvDialect
    rejected: list[tuple[int, bytes]] = field(default_factory=list)


def open_bytes(data: bytes, options: CsvOptions | None = None, name: str = "f.csv", **more) -> CsvSource:
    return open_csv(io.BytesIO(data), name, options, **more)


def read_csv(data: bytes, options: CsvOptions | None = None, **more) -> Content:
    source = open_bytes(data, options, **more)
    rows: list[Row] = []
    rejected: list[tuple[int, bytes]] = []
    for made in source.chunks():
        chunk = pickle.loads(pickle.dumps(made))
        for batch in chunk.read():
            assert batch.schema == source.schema
            batch.validate(full=True)
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        rejected += chunk.rejected
    return Content(source.schema.names, rows, source.dialect, rejected)


def write_csv(batches: list[pa.RecordBatch], schema: pa.Schema, dialect: CsvDialect) -> bytes:
    out = io.BytesIO()
    sink = CsvSink(out, schema, dialect)
    encoder = pickle.loads(pickle.dumps(sink.encoder))
    for batch in batches:
        sink.write(encoder.encode(batch), None)
    sink.close()
    return out.getvalue()


def write_rows(names: list[str], rows: list[Row], dialect: CsvDialect) -> bytes:
    schema = pa.schema([(name, pa.string()) for name in names])
    columns = [[row[position] for row in rows] for position in range(len(names))]
    arrays = [pa.array(column, pa.string()) for column in columns]
    return write_csv([pa.RecordBatch.from_arrays(arrays, schema=schema)], schema, dialect)


def copy_csv(data: bytes, options: CsvOptions | None = None, **more) -> bytes:
    source = open_bytes(data, options, **more)
    batches = [batch for chunk in source.chunks() for batch in chunk.read()]
    return write_csv(batches, source.schema, source.dialect)
