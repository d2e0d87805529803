"""The payload of an age file: chunks of 64 KiB under ChaCha20-Poly1305, the last of which is marked as such."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from pydp_cli.crypto.container import Sink, Source
from pydp_cli.errors import Tampered

CHUNK_BYTES = 1 << 16
TAG_BYTES = 16


def seal_payload(source: Source, sink: Sink, key: bytes) -> None:
    """Write all of a source in chunks."""
    cipher = ChaCha20Poly1305(key)
    number, chunk = 0, _chunk(source)
    while len(chunk) == CHUNK_BYTES and (following := _chunk(source)):
        sink.write(cipher.encrypt(_nonce(number, last=False), chunk, None))
        number, chunk = number + 1, following
    sink.write(cipher.encrypt(_nonce(number, last=True), chunk, None))


def open_payload(exactly: Callable[[int], bytes], sink: Sink, key: bytes) -> None:
    """Write what is in the chunks, each once it is authenticated; `exactly` gives that many bytes, fewer at the end."""
    cipher = ChaCha20Poly1305(key)
    size = CHUNK_BYTES + TAG_BYTES
    number, chunk = 0, exactly(size)
    try:
        while len(chunk) == size and (following := exactly(size)):
            sink.write(cipher.decrypt(_nonce(number, last=False), chunk, None))
            number, chunk = number + 1, following
        plain = cipher.decrypt(_nonce(number, last=True), chunk, None)
    except InvalidTag as error:
        raise Tampered("the file was altered, cut short or extended", hint="get a sound copy of it") from error
    if not plain and number:
        raise Tampered("the file ends in an empty chunk, which no tool writes")
    sink.write(plain)


def _chunk(source: Source) -> bytes:
    buffer = bytearray(CHUNK_BYTES)
    at = 0
    with memoryview(buffer) as view:
        while at < CHUNK_BYTES and (got := source.readinto(view[at:])):
            at += got
    return bytes(buffer[:at])


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")
