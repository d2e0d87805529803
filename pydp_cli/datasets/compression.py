"""Compressed streams by file extension: gzip, zstd, bzip2 and xz, read to their true end and written.

A stream that is cut off or damaged is an error that names the file; several members in a row are read as one stream.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

from pydp_cli.errors import InputError

EXTENSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}


def compression_of(name: str) -> str | None:
    """Tell the compression that a file's name promises, or None."""
    return next((kind for extension, kind in EXTENSIONS.items() if name.lower().endswith(extension)), None)


def without_compression(name: str) -> str:
    """Drop the extension that tells the compression: `orders.csv.gz` becomes `orders.csv`."""
    extension = next((extension for extension in EXTENSIONS if name.lower().endswith(extension)), "")
    return name[: len(name) - len(extension)]


def open_decompressed(stream: BinaryIO, kind: str | None, name: str) -> BinaryIO:
    """Read the plain bytes of a compressed stream; `name` is what errors call it.

    Raises `InputError` while reading where the stream is damaged or ends too early. Closing it leaves `stream` open.
    """
    if kind is None:
        return stream
    return cast("BinaryIO", io.BufferedReader(_Decompressed(_READERS[kind](stream), kind, name), 1 << 18))


def open_compressed(stream: BinaryIO, kind: str | None) -> BinaryIO:
    """Write plain bytes to a compressed stream; closing it writes the trailer and leaves `stream` open."""
    return _WRITERS[kind](stream) if kind else cast("BinaryIO", _Kept(stream))


class _Decompressed(io.RawIOBase):
    """Turns the libraries' ways to say "damaged" into one, and checks that zstd frames end."""

    def __init__(self, reader: BinaryIO, kind: str, name: str) -> None:
        self._reader, self._kind, self._name = reader, kind, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        import zstandard

        try:
            data = self._reader.read(len(buffer))
        except EOFError:
            raise InputError(
                f"the {self._kind} data ends too early", place=self._name, hint="the file was cut off: get it again"
            ) from None
        except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(
                f"not valid {self._kind} data", place=self._name, hint="the file is damaged or not compressed this way"
            ) from None
        buffer[: len(data)] = data
        return len(data)


class _ZstdFrames:
    """Reads one zstd frame after the other, and knows whether the last one was whole."""

    def __init__(self, stream: BinaryIO) -> None:
        import zstandard

        self._stream = stream
        self._new = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
        self._frame = self._new()
        self._plain = bytearray()
        self._started = self._anything = self._ended = False
        self._step = 256

    def read(self, size: int) -> bytes:
        while len(self._plain) < size and not self._ended:
            before = len(self._plain)
            self._feed(self._stream.read(self._step))
            # Four bytes can stand for 128 KiB, so what expands a lot is taken in small steps.
            self._step = 256 if len(self._plain) - before > 128 * self._step else 4096
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data

    def _feed(self, data: bytes) -> None:
        if not data:
            if self._started or not self._anything:
                raise EOFError
            self._ended = True
        while data:
            self._started = self._anything = True
            self._plain += self._frame.decompress(data)
            if not self._frame.eof:
                break
            data = self._frame.unused_data
            self._frame, self._started = self._new(), False


class _Kept(io.BufferedIOBase):
    """A stream whose owner closes it: closing this one flushes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._stream.write(data)

    def flush(self) -> None:
        if not self.closed:
            self._stream.flush()


def _zstd_writer(stream: BinaryIO) -> BinaryIO:
    import zstandard

    options = zstandard.ZstdCompressor(level=3, write_checksum=True)
    return cast("BinaryIO", options.stream_writer(stream, closefd=False))


def _gzip_writer(stream: BinaryIO) -> BinaryIO:
    # No name and no time in the header, so that the same data gives the same bytes.
    return cast("BinaryIO", gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=6, mtime=0))


_READERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "gzip": lambda stream: cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb")),
    "zstd": lambda stream: cast("BinaryIO", _ZstdFrames(stream)),
    "bzip2": lambda stream: cast("BinaryIO", bz2.BZ2File(stream, "rb")),
    "xz": lambda stream: cast("BinaryIO", lzma.LZMAFile(stream, "rb")),  # noqa: SIM115 - its owner closes it
}

_WRITERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "gzip": _gzip_writer,
    "zstd": _zstd_writer,
    "bzip2": lambda stream: cast("BinaryIO", bz2.BZ2File(stream, "wb")),
    "xz": lambda stream: cast("BinaryIO", lzma.LZMAFile(stream, "wb")),  # noqa: SIM115 - its owner closes it
}
