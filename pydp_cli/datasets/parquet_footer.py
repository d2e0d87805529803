"""Read a Parquet file's footer, and from it how the columns are stored.

pyarrow tells the same, but where a footer is damaged its accessors end the process: C++ exceptions leave them uncaught.
The structs and their fields are those of parquet-format, parquet.thrift.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pydp_cli.datasets.thrift_compact import NotThrift, Reader, Struct

_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW")
_ENCODINGS = (
    *("PLAIN", "GROUP_VAR_INT", "PLAIN_DICTIONARY", "RLE", "BIT_PACKED", "DELTA_BINARY_PACKED"),
    *("DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"),
)
_ROW_GROUPS = 4  # of FileMetaData


@dataclass(frozen=True)
class ColumnLayout:
    """How one leaf column is stored, as its first row group has it. `path` is dotted: `address.list.element.zip`."""

    path: str
    physical_type: str
    compression: str
    has_dictionary: bool
    encodings: tuple[str, ...]
    has_page_index: bool
    has_bloom_filter: bool
    first_data_page: int = field(compare=False)


@dataclass(frozen=True)
class RowGroupLayout:
    """How a row group is stored; `sorting` has leaf path, descending, nulls first."""

    columns: tuple[ColumnLayout, ...]
    sorting: tuple[tuple[str, bool, bool], ...]


def first_row_group(file: Any) -> RowGroupLayout | None:
    """Read the layout of the first row group that has rows; None where none has any.

    Raises `NotThrift` (a `ValueError`) where the footer is damaged.
    """
    reader = Reader(footer_bytes(file))
    for number, kind in reader.fields():
        if number != _ROW_GROUPS:
            reader.field(kind)
            continue
        _, count = reader.list_head()
        for _ in range(count):
            group = reader.struct()
            if group.get(3):
                return row_group_layout(group)
    return None


def footer_bytes(file: Any) -> bytes:
    """Read the footer of an open file, as it is written; raises `NotThrift` where it is longer than the file."""
    size = file.seek(0, 2)
    file.seek(size - 8)
    length = int.from_bytes(bytes(file.read(4)), "little")
    if length > size - 12:
        raise NotThrift("the footer is longer than the file")
    file.seek(size - 8 - length)
    return bytes(file.read(length))


def master_keys(file: Any) -> list[str]:
    """Name the keys that open an encrypted footer (modular encryption); none where the footer is not encrypted.

    Raises `NotThrift` (a `ValueError`) where what is before the footer is damaged.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - 4))
    if bytes(file.read(4)) != b"PARE":
        return []
    material = json.loads(Reader(footer_bytes(file)).struct()[2])
    return [str(material["masterKeyID"])]


def row_group_layout(group: Struct) -> RowGroupLayout:
    """Tell how a row group of the footer is stored; raises `NotThrift` where the footer is damaged."""
    try:
        columns = tuple(_column(chunk) for chunk in group[1])
        sorting = tuple((columns[one[1]].path, one[2], one[3]) for one in group.get(4, ()))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise NotThrift("the footer lacks what every footer has") from error
    return RowGroupLayout(columns, sorting)


def _column(chunk: Struct) -> ColumnLayout:
    if 3 not in chunk:
        raise NotThrift("the column's metadata is encrypted")
    stored = chunk[3]
    return ColumnLayout(
        path=".".join(part.decode() for part in stored[3]),
        physical_type=_named(_TYPES, stored[1]),
        compression=_named(_CODECS, stored[4]),
        has_dictionary=11 in stored,
        encodings=tuple(_named(_ENCODINGS, encoding) for encoding in stored[2]),
        has_page_index=4 in chunk or 6 in chunk,
        has_bloom_filter=14 in stored,
        first_data_page=stored[9],
    )


def _named(names: tuple[str, ...], number: int) -> str:
    if not 0 <= number < len(names):
        raise NotThrift("the footer names a type, a codec or an encoding that does not exist")
    return names[number]
