"""A blind index: a short keyed hash of each value, which several values share on purpose.

It finds the rows that may hold a value without decrypting the column; whoever has no key learns only that values with
the same hash may be equal. The hash is AES-256-CMAC of the normalised canonical text, cut to its first bits and written
as hexadecimal digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.crypto import cmac
from pydp_cli.errors import UsageError
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.fixed_text import fixed_text, hexadecimal, like
from pydp_cli.transforms.normalize import normalize
from pydp_cli.transforms.registry import Rows

LEAST_POPULATION = 16
MOST_BITS = 128


def bits_for(population: int) -> int:
    """Choose the length for so many different values: between 2 and the square root of them share a hash.

    In the middle of the two, so that a hash neither tells values apart nor finds too many. (CipherSweet's rule.)
    """
    if population < LEAST_POPULATION:
        raise UsageError(
            f"a blind index of fewer than {LEAST_POPULATION} different values tells which is which",
            hint="leave it out: decrypt the column to search it",
        )
    shared = math.sqrt(2 * math.sqrt(population))
    return max(1, min(MOST_BITS, round(math.log2(population / shared))))


@dataclass(frozen=True)
class BlindIndex:
    """Makes the index of a column; null stays null."""

    key: bytes = field(repr=False)
    bits: int
    rules: tuple[str, ...] = ()

    def __call__(self, column: pa.Array, rows: Rows | None = None) -> pa.StringArray:
        """Hash a column."""
        del rows
        text = normalize(canonical_text(column), self.rules)
        size = -(-self.bits // 8)
        digest = cmac.prf(self.key, text)[:, :size].copy()
        if self.bits % 8 and len(digest):
            digest[:, -1] &= np.uint8(0xFF << (8 - self.bits % 8) & 0xFF)
        made = fixed_text(hexadecimal(digest, -(-self.bits // 4)), like(text))
        return pc.if_else(pc.is_valid(text), made, None) if text.null_count else made
