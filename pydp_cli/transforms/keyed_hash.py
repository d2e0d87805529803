"""A keyed hash of a whole column: AES-CMAC, 16 bytes for each value."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.crypto import cmac

HASH_BYTES = 16


def keyed_hash(key: bytes, column: pa.StringArray) -> pa.FixedSizeBinaryArray:
    """Hash each value of a text column under a key; null stays null."""
    hashes = cmac.prf(key, column)
    plain = pa.FixedSizeBinaryArray.from_buffers(pa.binary(HASH_BYTES), len(column), [None, pa.py_buffer(hashes)])
    return plain if not column.null_count else pc.if_else(column.is_valid(), plain, pa.scalar(None, plain.type))
