"""Shorten bank account numbers (IBAN) to their country, bank and last characters."""

from __future__ import annotations

import re
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from pydp_cli.transforms.invalid import OnInvalid, over_distinct, settle
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

_SHAPE = re.compile("[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_SEPARATORS = str.maketrans("", "", " -")
_LETTERS = {ord("A") + step: str(10 + step) for step in range(26)}
"""What letters count in the check: A is 10, Z is 35."""


@transform(
    "iban", takes=TEXT, reversible=False, leaks="the country and the last digits, by default", main_option="keep_last"
)
class Iban(TransformOptions):
    """Keep the country and the last four characters: `iban: iban` makes `DE****************3000`.

    Null stays null. Blanks and hyphens between the groups go, letters become capitals, and the check digits must be
    right; they are always hidden, because they narrow down the rest. `keep_bank: 8` keeps the first characters after
    them: the bank, in most countries. Where fewer than `min_hidden` characters of the account would be hidden, only the
    country is kept.
    """

    keep_bank: Annotated[
        int, Field(ge=0, le=12, description="How many characters after the check digits are kept, for the bank.")
    ] = 0
    keep_last: Annotated[int, Field(ge=0, le=4, description="How many characters are kept at the end.")] = 4
    char: Annotated[
        str, Field(min_length=1, max_length=1, description="The character that stands for each hidden one.")
    ] = "*"
    min_hidden: Annotated[
        int, Field(ge=4, description="A number with fewer characters than this to hide shows only its country.")
    ] = 5
    on_invalid: OnInvalid = "redact"

    def leak(self) -> str:
        """Say what is kept."""
        bank = f", {self.keep_bank} characters of the bank" if self.keep_bank else ""
        return f"the country{bank} and the last {self.keep_last} characters"

    def makes_null(self) -> bool:
        """Say whether an invalid number becomes null."""
        return self.on_invalid == "null"

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Check each distinct number once, then cut the column."""
        return settle(column, over_distinct(column, self._treat), self.on_invalid, "an IBAN")

    def _treat(self, text: str) -> str | None:
        iban = text.translate(_SEPARATORS).upper()
        if not _SHAPE.fullmatch(iban) or int((iban[4:] + iban[:4]).translate(_LETTERS)) % 97 != 1:
            return None
        first, last = 4 + self.keep_bank, len(iban) - self.keep_last
        if last - first < self.min_hidden:
            first, last = 4, len(iban)
        return f"{iban[:2]}{self.char * 2}{iban[4:first]}{self.char * (last - first)}{iban[last:]}"
