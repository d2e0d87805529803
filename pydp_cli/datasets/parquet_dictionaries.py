"""Read the dictionary pages of a Parquet file, and nothing else of its data.

A dictionary may hold values that no row refers to any more. The page header is parquet.thrift's `PageHeader`; values
are in the encoding PLAIN: numbers side by side, texts with their length in four bytes before them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from pydp_cli.datasets.parquet_footer import footer_bytes
from pydp_cli.datasets.thrift_compact import NotThrift, Reader, Struct
from pydp_cli.errors import InputError

_HEADER_BYTES = 64
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_NUMBERS = {1: "<i4", 2: "<i8"}
_BYTE_ARRAY = 6


@dataclass(frozen=True)
class Dictionary:
    """The values of one column chunk's dictionary: `int64` or `binary`."""

    group: int
    column: str
    values: pa.Array


class Wanted(Protocol):
    """Tells which columns are of interest."""

    def __call__(self, column: str, *, is_text: bool) -> bool:
        """Tell whether a column is; `is_text` where its values are not numbers."""
        ...


MayHold = Callable[[str, bytes], bool]
"""Tells whether texts of a column, as their bytes in a page, need to be looked at one by one."""

READABLE = frozenset({"UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "ZSTD"})
"""What pyarrow calls the codecs whose pages are read here whatever they hold; of LZ4 there are two."""


def every(column: str, *, is_text: bool) -> bool:
    """Want all columns."""
    del column, is_text
    return True


def dictionaries(
    file: Any,
    name: str,
    wanted: Wanted = every,
    *,
    without: Collection[str] = (),
    may_hold: MayHold | None = None,
) -> Iterator[Dictionary]:
    """Give the dictionaries of whole numbers and texts, row group by row group, of the columns that are wanted.

    Those of texts that `may_hold` says no to are left out, undecoded. `file` is open for reading in binary. Raises
    `InputError` where the file is damaged.
    """
    try:
        footer = Reader(footer_bytes(file)).struct()
        for number, group in enumerate(footer[4]):
            for chunk in group[1]:
                column = ".".join(part.decode() for part in chunk[3][3])
                if column in without or not wanted(column, is_text=chunk[3][1] == _BYTE_ARRAY):
                    continue
                found = _read(file, chunk[3], None if may_hold is None else partial(may_hold, column))
                if found is not None:
                    yield Dictionary(number, column, found)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError("the Parquet file is damaged", place=name, hint="get it again from its source") from error


def _read(file: Any, meta: Struct, may_hold: Callable[[bytes], bool] | None) -> pa.Array | None:
    kind, codec = meta[1], meta[4]
    if not meta.get(11) or codec not in _CODECS or (kind != _BYTE_ARRAY and kind not in _NUMBERS):
        return None
    file.seek(meta[11])
    head = bytes(file.read(_HEADER_BYTES))
    reader = Reader(head)
    header = reader.struct()
    file.seek(meta[11] + reader.at)
    data = bytes(file.read(header[3]))
    if len(data) < header[3]:
        raise NotThrift("a dictionary page is cut off")
    name = _CODECS[codec]
    if name is not None:
        data = pa.Codec(name).decompress(data, decompressed_size=header[2]).to_pybytes()
    count = header[7][1]
    if kind in _NUMBERS:
        return pa.array(np.frombuffer(data, _NUMBERS[kind], count).astype(np.int64))
    if may_hold is not None and not may_hold(data):
        return None
    return _texts(data, count)


def _texts(data: bytes, count: int) -> pa.BinaryArray:
    values = []
    at = 0
    for _ in range(count):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            raise NotThrift("a dictionary's value is cut off")
        values.append(data[at + 4 : end])
        at = end
    return pa.array(values, pa.binary())
