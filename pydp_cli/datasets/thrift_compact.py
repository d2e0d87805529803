"""Read Thrift structs in the compact protocol, as Parquet's footer and page headers are written.

The protocol is described in the Apache Thrift project, doc/specs/thrift-compact-protocol.md. Every length is checked
against what is left of the data, so that damage ends in an error and never in a huge allocation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

Struct: TypeAlias = dict[int, Any]
"""The fields of a struct by their ids: bool, int, bytes, list or struct; a double is 8 bytes, a map pairs."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)
_DEPTH = 32


class NotThrift(ValueError):
    """The data is not what the protocol allows."""


class Reader:
    """A position in the data."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def struct(self, depth: int = 0) -> Struct:
        """Read a struct."""
        return {number: self.field(kind, depth) for number, kind in self.fields()}

    def fields(self) -> Iterator[tuple[int, int]]:
        """Give the id and the type of each field of a struct; the caller reads its value before the next."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 0x0F

    def field(self, kind: int, depth: int = 0) -> Any:
        """Read a field's value; a boolean's is in its type."""
        return kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Any:  # noqa: PLR0911 - one for each type
        if depth > _DEPTH:
            raise NotThrift("values are nested too deeply")
        if kind in _INTEGERS:
            return self.integer()
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            inner, count = self.list_head()
            return [self._value(inner, depth + 1) for _ in range(count)]
        if kind in (_TRUE, _FALSE):  # in a list, a boolean is a byte
            return self._byte() == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _MAP:
            return self._map(depth)
        raise NotThrift("a field has a type that does not exist")

    def list_head(self) -> tuple[int, int]:
        """Read the type and the number of a list's items."""
        head = self._byte()
        count = self._varint() if head >> 4 == 0x0F else head >> 4
        if count > len(self.data) - self.at:
            raise NotThrift("a list is longer than the data")
        return head & 0x0F, count

    def integer(self) -> int:
        """Read a zigzag integer."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _map(self, depth: int) -> list[tuple[Any, Any]]:
        count = self._varint()
        if count > len(self.data) - self.at:
            raise NotThrift("a map is longer than the data")
        kinds = self._byte() if count else 0
        return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 0x0F, depth + 1)) for _ in range(count)]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise NotThrift("a number is too long")

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise NotThrift("the data ends within a struct")
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise NotThrift("a text is longer than the data")
        self.at += count
        return self.data[self.at - count : self.at]
