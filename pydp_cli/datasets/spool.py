"""Make a pipe seekable, in memory: personal data is never spooled to a temp folder in the clear."""

from __future__ import annotations

from typing import BinaryIO, cast

import pyarrow as pa

from pydp_cli.errors import InputError

SPOOL_BYTES = 1 << 30
_BLOCK = 1 << 20


def seekable(stream: BinaryIO, name: str, *, limit: int = SPOOL_BYTES) -> BinaryIO:
    """Return the stream itself where it can seek (a file, also redirected), else its bytes held in memory.

    Raises `InputError` past `limit` bytes.
    """
    if stream.seekable():
        return stream
    held = pa.BufferOutputStream()
    total = 0
    while block := stream.read(_BLOCK):
        total += len(block)
        if total > limit:
            raise InputError(
                f"more than {limit >> 20:,} MiB of this format cannot be read from a pipe",
                place=name,
                hint="name the file, or redirect it: pydp … - < FILE",
            )
        held.write(block)
    return cast("BinaryIO", pa.BufferReader(held.getvalue()))
