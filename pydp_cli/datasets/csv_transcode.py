"""Read a stream in another encoding as UTF-8, saying which byte is wrong."""

from __future__ import annotations

import codecs
from typing import Any

from pydp_cli.errors import InputError

ESCAPING = "surrogateescape"


class Transcoded:
    """A reader of UTF-8 over a stream in another encoding; `offset` is where in the file the stream stands.

    With `errors=ESCAPING`, bytes that mean nothing in an encoding of single bytes become bytes that are not UTF-8
    either, so that the line they are in can be told and given back by `original_bytes`.
    """

    def __init__(self, stream: Any, encoding: str, name: str, *, offset: int, errors: str = "strict") -> None:
        if encoding.startswith("utf-"):
            errors = "strict"
        self._stream, self._encoding, self._name, self._fed = stream, encoding, name, offset
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._ready = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        while not self._ready and not self._ended:
            self._ready = self._decode(self._stream.read(size))
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def _decode(self, data: bytes) -> bytes:
        waiting = len(self._decoder.getstate()[0])
        self._ended = not data
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise InputError(
                f"byte {self._fed - waiting + error.start} of the file is not valid {self._encoding}",
                place=self._name,
                hint="correct the file, or declare its encoding under csv:",
            ) from None
        self._fed += len(data)
        return text.encode("utf-8", "surrogatepass")


def original_bytes(text: bytes, encoding: str) -> bytes:
    """Give back the bytes that a piece of the decoded stream came from."""
    if encoding == "utf-8":
        return text
    if encoding.startswith("utf-"):
        return text.decode().encode(encoding)
    return text.decode("utf-8", "surrogatepass").encode(encoding, ESCAPING)
