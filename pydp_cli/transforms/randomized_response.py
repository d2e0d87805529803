"""Answer at random with a known probability, so that no single answer can be held against anybody."""

from __future__ import annotations

import os
from fractions import Fraction
from math import expm1
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

SCALE = 1 << 64


@transform(
    "randomized_response",
    takes=TEXT,
    reversible=False,
    leaks="each answer with a known doubt, and shares over many rows",
)
class RandomizedResponse(TransformOptions):
    """Keep a category with a known probability, else choose another: `{categories: [yes, no], epsilon: 1}`.

    Local differential privacy of one row: whatever the true category, each published one is at most exp(epsilon) times
    as likely as under any other (Warner 1965; Kairouz, Bonawitz, Ramage 2016). A person with r rows is protected by
    r times epsilon: say how many under `rows_per_person`, and the ledger is debited for so many. Null and what is not
    among the categories become any category, evenly, so that they tell nothing. Drawn afresh in each run from the
    operating system's randomness: publish one run only. Shares are estimated as `(share - other) / (kept - other)`,
    where `kept` is exp(epsilon) / (exp(epsilon) + k - 1), k is the number of categories, and `other` is
    (1 - kept) / (k - 1); `pydp dp-stats` does so for a group with `randomized: true`.
    """

    categories: Annotated[tuple[str, ...], Field(min_length=2, description="All categories that may be published.")]
    epsilon: Annotated[float, Field(gt=0, le=20, description="The privacy loss of one row.")]
    rows_per_person: Annotated[int, Field(ge=1, description="The most rows that one person has.")] = 1

    @field_validator("categories")
    @classmethod
    def _different(cls, categories: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(categories)) != len(categories):
            raise ValueError("a category is there twice")
        return categories

    def leak(self) -> str:
        """Name the epsilon."""
        return f"each answer with a known doubt (epsilon {self.epsilon:g} a row), and shares over many rows"

    def privacy_loss(self) -> Fraction:
        """Give the epsilon of all rows of one person."""
        return Fraction(str(self.epsilon)) * self.rows_per_person

    def kept(self) -> Fraction:
        """Give the probability with which the true category is kept, rounded down."""
        others = len(self.categories) - 1
        beyond = Fraction(expm1(self.epsilon)) * (1 - Fraction(1, 1 << 40))
        return (beyond + 1) / (beyond + 1 + others)

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Draw twice for each row: whether to keep, and which other."""
        names = pa.array(self.categories, pa.string())
        count = len(self.categories)
        found = pc.fill_null(pc.index_in(column, names), -1).to_numpy(zero_copy_only=False).astype(np.int64)
        keep = _draw(len(column)) < np.uint64(int(self.kept() * SCALE))
        other = (_draw(len(column)) % np.uint64(count - 1)).astype(np.int64)
        other += other >= found
        anything = (_draw(len(column)) % np.uint64(count)).astype(np.int64)
        chosen = np.where(found < 0, anything, np.where(keep, found, other))
        return names.take(pa.array(chosen))


def _draw(count: int) -> npt.NDArray[np.uint64]:
    """Draw 64-bit integers; the remainder of so many is even to 2^-60."""
    return np.frombuffer(os.urandom(8 * count), np.uint64)
