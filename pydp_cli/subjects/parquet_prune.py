"""Tell without decoding whether a row group of a Parquet file may hold anything that is looked for.

A column chunk is asked for the least and the greatest of its values, then for its bloom filter. Whatever is missing, of
another kind or cannot be understood says "it may": a row group is skipped only where it is certain that nothing is in
it. To look into dictionaries as well costs as much as decoding: most of either is to decompress them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from pydp_cli.datasets.thrift_compact import NotThrift
from pydp_cli.subjects.bloom_filters import ReadAt, blocks_of, digests_of, has

PROBED_VALUES = 100
"""Above so many values, some are in nearly every row group, and asking filters is not worth it."""
_WHOLE = re.compile("-?[0-9]{1,20}")  # more digits than any type holds
_WIDTHS = {"INT32": 4, "INT64": 8}


@dataclass(frozen=True)
class Wanted:
    """What is looked for in a column, sorted, as text and as numbers; `exact` where stored texts compare as such."""

    values: Sequence[str]
    exact: bool
    numbers: Sequence[int] = ()

    @classmethod
    def of(cls, values: Iterable[str], *, exact: bool) -> Wanted:
        """Sort what is looked for."""
        texts = sorted(values)
        return cls(texts, exact, sorted(number for text in texts if (number := _whole(text)) is not None))

    def stored(self, physical: str) -> tuple[bytes, ...]:
        """Give what is looked for as it is stored, without the length in front of texts."""
        if physical == "BYTE_ARRAY":
            return self._texts
        width = _WIDTHS[physical]
        limit = 1 << (8 * width - 1)
        return tuple(
            number.to_bytes(width, "little", signed=True) for number in self.numbers if -limit <= number < limit
        )

    @cached_property
    def _texts(self) -> tuple[bytes, ...]:
        return tuple(value.encode() for value in self.values)


def groups_of_interest(metadata: Any, schema: pa.Schema, wanted: Mapping[str, Wanted], read_at: ReadAt) -> list[bool]:
    """Tell for each row group whether it may hold something that is wanted in any of the columns."""
    leaves = {metadata.schema.column(at).path: at for at in range(metadata.num_columns)}
    return [
        any(
            _may_hold(metadata.row_group(group), schema.field(name).type, leaves.get(name), looked_for, read_at)
            for name, looked_for in wanted.items()
        )
        for group in range(metadata.num_row_groups)
    ]


def _may_hold(group: Any, kind: pa.DataType, leaf: int | None, wanted: Wanted, read_at: ReadAt) -> bool:
    if not wanted.values:
        return False
    if leaf is None or not wanted.exact:
        return True
    chunk = group.column(leaf)
    statistics = chunk.statistics
    if statistics is not None and statistics.has_min_max and not _overlaps(statistics, wanted):
        return False
    if len(wanted.values) > PROBED_VALUES or not is_plain(kind, chunk.physical_type):
        return True
    probes = wanted.stored(chunk.physical_type)
    try:
        return _in_bloom_filter(chunk, probes, read_at)
    except (NotThrift, LookupError, TypeError, ValueError, OSError):  # damage is told by whoever decodes it
        return True


def _overlaps(statistics: Any, wanted: Wanted) -> bool:
    """Tell whether something that is looked for is between the least and the greatest value of a row group."""
    try:
        least, greatest = statistics.min, statistics.max
    except (ValueError, OverflowError):  # a time that Python has not, or a text that was cut within a character
        return True
    if isinstance(least, int) and not isinstance(least, bool):
        return is_between(wanted.numbers, least, greatest)
    return not isinstance(least, str) or is_between(wanted.values, least, greatest)


def is_between(values: Sequence[Any], least: Any, greatest: Any) -> bool:
    """Tell whether any of some sorted values is between two others."""
    at = bisect_left(values, least)
    return at < len(values) and bool(values[at] <= greatest)


def is_plain(kind: pa.DataType, physical: str) -> bool:
    """Tell whether values are stored as text or as signed numbers, which are what identifiers are compared as."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if physical == "BYTE_ARRAY":
        return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))
    return physical in _WIDTHS and bool(pa.types.is_signed_integer(value))


def _in_bloom_filter(chunk: Any, probes: Sequence[bytes], read_at: ReadAt) -> bool:
    blocks = blocks_of(chunk, read_at)
    return blocks is None or bool(has(blocks, digests_of(probes)).any())


def _whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) else None
