"""Read what pyarrow does not tell about a Parquet file: page checksums and data page version, from a page header.

A page header is a Thrift struct (parquet-format, parquet.thrift, `PageHeader`): field 1 is the page type, 2 and 3 are
sizes, 4 is the CRC-32 where the writer put one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydp_cli.datasets.thrift_compact import NotThrift, Reader

_HEADER_BYTES = 64  # the four fields come first and take at most 24
_I32 = 5
_CRC_FIELD = 4
_DATA_PAGE_V2 = 3


@dataclass(frozen=True)
class PageHeader:
    """What a page says of itself before its data."""

    type: int
    has_checksum: bool

    @property
    def is_version_2(self) -> bool:
        """Whether it is a data page of the second version."""
        return self.type == _DATA_PAGE_V2


def peek_page_header(file: Any, offset: int) -> PageHeader | None:
    """Read the header of the page at `offset`, or None where there is none that can be understood."""
    position = file.tell()
    file.seek(offset)
    data = file.read(_HEADER_BYTES)
    file.seek(position)
    try:
        fields = _leading_integers(Reader(bytes(data)))
    except NotThrift:
        return None
    return PageHeader(fields[1], _CRC_FIELD in fields) if 1 in fields else None


def _leading_integers(reader: Reader) -> dict[int, int]:
    """Read the struct's i32 fields up to the first field of another type."""
    fields: dict[int, int] = {}
    for number, kind in reader.fields():
        if kind != _I32:
            break
        fields[number] = reader.integer()
    return fields
