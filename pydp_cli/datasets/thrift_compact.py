"""Read and write Thrift structs in the compact protocol, as Parquet's footer and page headers are written.

The protocol is described in the Apache Thrift project, doc/specs/thrift-compact-protocol.md. Every length is checked
against what is left of the data, so that damage ends in an error and never in a huge allocation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class Struct(dict[int, Any]):
    """The fields of a struct by their ids: bool, int, bytes, `Items`, `Pairs` or `Struct`; a double is 8 bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: dict[int, int] = {}

    def __missing__(self, number: int) -> Any:
        raise NotThrift(f"a struct lacks its field {number}")


class Items(list[Any]):
    """The items of a list or a set, and their type."""

    def __init__(self, kind: int, items: Iterable[Any]) -> None:
        super().__init__(items)
        self.kind = kind


class Pairs(list[tuple[Any, Any]]):
    """The pairs of a map, and the types of keys and values in one byte."""

    def __init__(self, kinds: int, pairs: Iterable[tuple[Any, Any]]) -> None:
        super().__init__(pairs)
        self.kinds = kinds


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
        struct = Struct()
        for number, kind in self.fields():
            struct[number] = self.field(kind, depth)
            struct.kinds[number] = kind
        return struct

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
            return Items(inner, (self._value(inner, depth + 1) for _ in range(count)))
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

    def _map(self, depth: int) -> Pairs:
        count = self._varint()
        if count > len(self.data) - self.at:
            raise NotThrift("a map is longer than the data")
        kinds = self._byte() if count else 0
        pairs = ((self._value(kinds >> 4, depth + 1), self._value(kinds & 0x0F, depth + 1)) for _ in range(count))
        return Pairs(kinds, pairs)

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


def write_struct(struct: Struct) -> bytes:
    """Write a struct as the reference implementation does: fields in the order of their ids."""
    out = bytearray()
    _put_struct(out, struct)
    return bytes(out)


def _put_struct(out: bytearray, struct: Struct) -> None:
    last = 0
    for number in sorted(struct):
        kind, value = struct.kinds[number], struct[number]
        if kind in (_TRUE, _FALSE):
            kind = _TRUE if value else _FALSE
        if 0 < number - last <= 15:
            out.append((number - last) << 4 | kind)
        else:
            out.append(kind)
            _put_varint(out, _zigzag(number))
        last = number
        if kind not in (_TRUE, _FALSE):
            _put(out, kind, value)
    out.append(0)


def _put(out: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _put_varint(out, _zigzag(value))
    elif kind == _BINARY:
        _put_varint(out, len(value))
        out += value
    elif kind in (_TRUE, _FALSE):  # in a list, a boolean is a byte
        out.append(_TRUE if value else _FALSE)
    elif kind == _BYTE:
        out.append(value)
    elif kind == _DOUBLE:
        out += value
    else:
        _put_container(out, kind, value)


def _put_container(out: bytearray, kind: int, value: Any) -> None:
    if kind == _STRUCT:
        _put_struct(out, value)
    elif kind in (_LIST, _SET):
        if len(value) < 15:
            out.append(len(value) << 4 | value.kind)
        else:
            out.append(0xF0 | value.kind)
            _put_varint(out, len(value))
        for item in value:
            _put(out, value.kind, item)
    else:
        _put_varint(out, len(value))
        if value:
            out.append(value.kinds)
        for key, item in value:
            _put(out, value.kinds >> 4, key)
            _put(out, value.kinds & 0x0F, item)


def _put_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 63)
