"""Say to pyarrow's writer what makes a new Parquet file like the one it came from."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pydp_cli.datasets.parquet_footer import ColumnLayout
from pydp_cli.datasets.parquet_read import Layout

_CODECS = {"UNCOMPRESSED": "NONE", "LZ4_RAW": "LZ4", "LZ4_HADOOP": "LZ4", "LZO": "SNAPPY"}
_ENCODINGS = {
    "DELTA_BINARY_PACKED": {"INT32", "INT64"},
    "DELTA_LENGTH_BYTE_ARRAY": {"BYTE_ARRAY"},
    "DELTA_BYTE_ARRAY": {"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"},
    "BYTE_STREAM_SPLIT": {"FLOAT", "DOUBLE", "INT32", "INT64", "FIXED_LEN_BYTE_ARRAY"},
}
_ROUND_TRIP_KEYS = {b"PARQUET:field_id"}


class Model(Protocol):
    """What a new file is to be like."""

    @property
    def schema(self) -> pa.Schema:
        """Its schema."""
        ...

    @property
    def layout(self) -> Layout:
        """How it is stored."""
        ...

    @property
    def group_rows(self) -> tuple[int, ...]:
        """The rows of its row groups."""
        ...


def writer_options(schema: pa.Schema, like: Model | None, *, treated: frozenset[str] | None) -> dict[str, Any]:
    """Choose the options of `pq.ParquetWriter`. `treated` are the columns with new values; None: any may be."""
    options: dict[str, Any] = {"version": "2.6"}
    if like is None:
        return options | {"compression": "zstd", "write_page_checksum": True}
    pairs = _pair_leaves(schema, like)
    layout = like.layout
    usual = Counter(_codec(one) for one in layout.columns).most_common(1)
    dictionary = [path for path, _, was in pairs if was is None or was.has_dictionary]
    options |= {
        "compression": {path: _codec(was) if was else usual[0][0] for path, _, was in pairs} or "snappy",
        "use_dictionary": dictionary or False,
        "data_page_version": layout.data_page_version,
        "write_page_checksum": layout.has_checksums,
        "write_page_index": any(was.has_page_index for was in layout.columns),
        "store_schema": layout.stores_arrow_schema or not _same_without_arrow_schema(schema, like.schema),
        "use_deprecated_int96_timestamps": _writes_int96(pairs),
    }
    encodings = {path: found for path, leaf, was in pairs if (found := _encoding(leaf, was))}
    if encodings:
        options["column_encoding"] = encodings
    rows = max(like.group_rows, default=0)
    filters = {path: {"ndv": rows, "fpp": 0.05} for path, _, was in pairs if was and was.has_bloom_filter and rows}
    if filters:
        options["bloom_filter_options"] = filters
    sorting = _sorting(pairs, like, treated)
    if sorting:
        options["sorting_columns"] = sorting
    return options


Pair = tuple[str, Any, "ColumnLayout | None"]


def _pair_leaves(schema: pa.Schema, like: Model) -> list[Pair]:
    """Pair each leaf of the new file with the source's: by column, and within a column by position.

    Paths alone would not do: writers name what is inside a list `item`, `element` or `array`.
    """
    out = pa.BufferOutputStream()
    with pq.ParquetWriter(out, schema):
        pass
    new = pq.ParquetFile(pa.BufferReader(out.getvalue())).schema
    roots = _roots(like)
    before: dict[str, list[ColumnLayout]] = {}
    for root, was in zip(roots, like.layout.columns, strict=True):
        before.setdefault(root, []).append(was)
    pairs: list[Pair] = []
    at = 0
    for field in schema:
        count = _count_leaves(field.type)
        old = before.get(field.name, [])
        for number in range(count):
            leaf = new.column(at)
            pairs.append((leaf.path, leaf, old[number] if len(old) == count else (old[0] if old else None)))
            at += 1
    return pairs


def _roots(like: Model) -> list[str]:
    """Name the top-level column of each of the source's leaves."""
    return [field.name for field in like.schema for _ in range(_count_leaves(field.type))]


def _count_leaves(kind: pa.DataType) -> int:
    """Count the Parquet columns that an Arrow type takes."""
    if isinstance(kind, pa.BaseExtensionType):
        return _count_leaves(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _count_leaves(kind.value_type)
    if pa.types.is_struct(kind):
        return sum(_count_leaves(kind.field(index).type) for index in range(kind.num_fields))
    if pa.types.is_map(kind):
        return _count_leaves(kind.key_type) + _count_leaves(kind.item_type)
    if pa.types.is_nested(kind):
        return _count_leaves(kind.value_type)
    return 1


def _codec(was: ColumnLayout) -> str:
    return _CODECS.get(was.compression, was.compression)


def _encoding(leaf: Any, was: ColumnLayout | None) -> str | None:
    """Keep a column's special encoding where its type still allows it and it has no dictionary."""
    if was is None or was.has_dictionary:
        return None
    return next((one for one in was.encodings if leaf.physical_type in _ENCODINGS.get(one, ())), None)


def _writes_int96(pairs: list[Pair]) -> bool:
    """Write INT96 where every timestamp of the new file was INT96: readers give the two kinds different meanings."""
    timestamps = [was for _, leaf, was in pairs if leaf.logical_type.type == "TIMESTAMP"]
    return bool(timestamps) and all(was is not None and was.physical_type == "INT96" for was in timestamps)


def _same_without_arrow_schema(schema: pa.Schema, before: pa.Schema) -> bool:
    """Tell whether the file can be read back as `schema` without the Arrow schema in its metadata."""
    known = {field.name: field for field in before}
    return all(
        field.name in known
        and field.type.equals(known[field.name].type)
        and not set(field.metadata or {}) - _ROUND_TRIP_KEYS
        for field in schema
    )


def _sorting(pairs: list[Pair], like: Model, treated: frozenset[str] | None) -> list[Any]:
    """Keep the sort order as far as its leading columns are untouched: a treated column is no longer sorted."""
    roots = dict(zip((one.path for one in like.layout.columns), _roots(like), strict=True))
    index = {was.path: number for number, (_, _, was) in enumerate(pairs) if was is not None}
    kept = []
    for path, descending, nulls_first in like.layout.sorting:
        if treated is None or roots[path] in treated or path not in index:
            break
        kept.append(pq.SortingColumn(index[path], descending, nulls_first))
    return kept
