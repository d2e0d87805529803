"""The bytes of a CSV file as UTF-8, whatever stream they come from and encoding they are in."""

from __future__ import annotations

import codecs
from typing import Protocol

from pydp_cli.errors import InputError

_ESCAPING = "surrogateescape"


class ReadInto(Protocol):
    """The one thing that is asked of a stream; every binary stream has it."""

    def readinto(self, target: memoryview, /) -> int | None:
        """Fill the target as far as it is possible at once; 0 at the end."""
        ...


class Filling:
    """Reads as much as is asked for, and remembers whether the stream has ended: a pipe gives less at a time."""

    def __init__(self, stream: ReadInto) -> None:
        self._stream = stream
        self._put_back = b""
        self.ended = False

    def fill(self, target: memoryview) -> int:
        """Fill the target; fewer bytes than fit mean that the stream has ended."""
        filled = min(len(self._put_back), len(target))
        target[:filled] = self._put_back[:filled]
        self._put_back = self._put_back[filled:]
        while filled < len(target) and not self.ended:
            got = self._stream.readinto(target[filled:])
            filled += got or 0
            self.ended = not got
        return filled

    def read(self, size: int) -> bytes:
        """Read `size` bytes, or what is left."""
        data = bytearray(size)
        return bytes(memoryview(data)[: self.fill(memoryview(data))])

    def put_back(self, data: bytes) -> None:
        """Have the next bytes read begin with these."""
        self._put_back = data + self._put_back


def open_decoded(
    stream: ReadInto, head: bytes, encoding: str, name: str, *, skip: int = 0, escape: bool = False
) -> Filling:
    """Read a stream as UTF-8, beginning with what was already read of it but for the first `skip` bytes.

    With `escape`, bytes that mean nothing in an encoding of single bytes become bytes that are not UTF-8 either, so
    that the line they are in can be told, and given back by `original_bytes`. Otherwise they are an `InputError` that
    names the byte.
    """
    joined = Filling(stream)
    joined.put_back(head[skip:])
    if encoding == "utf-8":
        return joined
    errors = _ESCAPING if escape and not encoding.startswith("utf-") else "strict"
    return Filling(_Transcoded(joined, encoding, errors, name, skip))


def original_bytes(text: bytes, encoding: str) -> bytes:
    """Give back the bytes that a piece of a decoded stream came from."""
    if encoding == "utf-8":
        return text
    if encoding.startswith("utf-"):
        return text.decode().encode(encoding)
    return text.decode("utf-8", "surrogatepass").encode(encoding, _ESCAPING)


class _Transcoded:
    """Reads a stream in another encoding as UTF-8; `place` is where in the file the stream stands."""

    def __init__(self, stream: Filling, encoding: str, errors: str, name: str, place: int) -> None:
        self._stream, self._encoding, self._name, self._place = stream, encoding, name, place
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._ready = b""
        self._ended = False

    def readinto(self, target: memoryview) -> int:
        while not self._ready and not self._ended:
            data = self._stream.read(1 << 16)
            self._ended = not data
            self._ready = self._decode(data)
        data, self._ready = self._ready[: len(target)], self._ready[len(target) :]
        target[: len(data)] = data
        return len(data)

    def _decode(self, data: bytes) -> bytes:
        waiting = len(self._decoder.getstate()[0])  # bytes of a character that is not whole yet
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise InputError(
                f"byte {self._place - waiting + error.start} of the file is not valid {self._encoding}",
                place=self._name,
                hint="correct the file, or declare its encoding under csv:",
            ) from None
        self._place += len(data)
        return text.encode("utf-8", "surrogatepass")
