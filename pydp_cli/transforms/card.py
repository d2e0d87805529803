"""Shorten payment card numbers to their issuer and last digits."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.hide import Window, hide
from pydp_cli.transforms.invalid import OnInvalid, settle
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

LONGEST = 19


@transform(
    "card", takes=TEXT, reversible=False, leaks="the issuer and the last digits, by default", main_option="keep_last"
)
class Card(TransformOptions):
    """Keep the issuer and the last four digits: `card: card` makes `4111 11** **** 1111` of `4111 1111 1111 1111`.

    Null stays null. A number may be grouped by blanks or hyphens, and stays so; its check digit (Luhn) must be right.
    Where fewer than `min_hidden` digits would be hidden, all are. What is kept narrows the number down: of 16 digits,
    six hidden ones and a known check digit leave 100,000 numbers.
    """

    keep_first: Annotated[
        int, Field(ge=0, le=8, description="How many digits of the issuer (BIN) are kept at the start.")
    ] = 6
    keep_last: Annotated[int, Field(ge=0, le=4, description="How many digits are kept at the end.")] = 4
    char: Annotated[
        str, Field(min_length=1, max_length=1, description="The character that stands for each hidden digit.")
    ] = "*"
    min_hidden: Annotated[
        int, Field(ge=4, description="A number with fewer digits than this to hide is hidden whole.")
    ] = 5
    on_invalid: OnInvalid = "redact"

    def leak(self) -> str:
        """Say what is kept."""
        return f"how long the number is, its first {self.keep_first} and its last {self.keep_last} digits"

    def makes_null(self) -> bool:
        """Say whether an invalid number becomes null."""
        return self.on_invalid == "null"

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Check all numbers at once, then hide digits in place."""
        digits = pc.replace_substring(pc.replace_substring(column, " ", ""), "-", "")
        shaped = pc.match_substring_regex(digits, rf"^[0-9]{{12,{LONGEST}}}$")
        valid = pc.and_(shaped, pa.array(_has_luhn_digit(pc.if_else(shaped, digits, ""))))
        numbers = pc.if_else(valid, column, pa.scalar(None, pa.string()))
        window = Window(self.keep_first, self.keep_last, self.min_hidden)
        return settle(column, hide(numbers, window, self.char, "digits"), self.on_invalid, "a card number")


def _has_luhn_digit(digits: pa.StringArray) -> npt.NDArray[np.bool_]:
    """Sum the digits of each value from its end, every second one doubled (ISO/IEC 7812-1, annex B)."""
    dense = pc.fill_null(digits, "")
    ends = np.frombuffer(dense.buffers()[1], np.int32)[dense.offset : dense.offset + len(dense) + 1]
    data = np.frombuffer(dense.buffers()[2] or b"", np.uint8)
    if not len(data):
        return np.full(len(dense), fill_value=True)  # only empty strings: their digits sum up to nothing
    lengths = np.diff(ends)
    total = np.zeros(len(lengths), np.int64)
    for step in range(LONGEST):
        present = lengths > step
        digit = data[np.where(present, ends[1:] - 1 - step, 0)].astype(np.int64) - ord("0")
        if step % 2:
            digit = 2 * digit - 9 * (digit > 4)
        total += np.where(present, digit, 0)
    valid: npt.NDArray[np.bool_] = total % 10 == 0
    return valid
