"""Fernet tokens and files of older tools: read, never written. A token is read whole before anything comes out."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pydp_cli.crypto.container import Sink, Source
from pydp_cli.errors import InputError, KeyringError, WrongKey

MOST_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 20


def fernet_keys(text: str, place: str | None = None) -> list[Fernet]:
    """Give the keys in a text, one a line, as `Fernet.generate_key` writes them; never quotes a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        keys = [Fernet(line) for line in lines]
    except ValueError:
        keys = []
    if not keys:
        # Without the cause, whose message may quote the line.
        raise KeyringError("this is not a file of Fernet keys, one a line", place=place)
    return keys


def decrypt_fernet(source: Source, sink: Sink, keys: Sequence[Fernet]) -> None:
    """Write what is in a Fernet token. Raises `WrongKey`, which is also what an altered token looks like."""
    buffer, token = memoryview(bytearray(_BLOCK_BYTES)), bytearray()
    while count := source.readinto(buffer):
        token += buffer[:count]
        if len(token) > MOST_BYTES:
            raise InputError(f"a Fernet token is read into memory, and this one has more than {MOST_BYTES:,} bytes")
    try:
        plain = MultiFernet(keys).decrypt(bytes(token).strip())
    except InvalidToken as error:
        raise WrongKey("no key at hand opens this, or it was altered", hint="name the file with its key") from error
    sink.write(plain)
