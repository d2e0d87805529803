"""The Arrow types that transforms declare to take, as named sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class TypeSet:
    """A named set of Arrow types; `|` unites two."""

    name: str
    accepts: Callable[[pa.DataType], bool]

    def __or__(self, other: TypeSet) -> TypeSet:
        """Unite two sets."""
        return TypeSet(f"{self.name} or {other.name}", lambda kind: self.accepts(kind) or other.accepts(kind))


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a type is text: string, large_string, string_view, or a dictionary of one."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_temporal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


TEXT = TypeSet("text", is_text)
INTEGER = TypeSet("integer", lambda kind: bool(pa.types.is_integer(kind)))
NUMBER = TypeSet("number", _is_number)
TEMPORAL = TypeSet("date or timestamp", _is_temporal)
BINARY = TypeSet(
    "binary",
    lambda kind: bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    ),
)
BOOLEAN = TypeSet("boolean", lambda kind: bool(pa.types.is_boolean(kind)))
SCALAR = TypeSet("any flat type", lambda kind: not pa.types.is_nested(kind))
ANY = TypeSet("any type", lambda _kind: True)
