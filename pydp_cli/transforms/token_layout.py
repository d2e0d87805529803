"""The shape of a value that a token keeps: which characters are exchanged, kept, or computed as check digits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydp_cli.crypto.ff1 import LEAST_DOMAIN
from pydp_cli.transforms.check_digits import Scheme

DIGIT, UPPER, LOWER = "9", "A", "a"
RADIX = {DIGIT: 10, UPPER: 26, LOWER: 26}


@dataclass(frozen=True)
class Layout:
    """What happens to the digits and letters of all values of one template (`AA99999`); separators are left out."""

    template: str
    exchanged: tuple[int, ...]
    check: tuple[int, ...]  # positions that are computed
    scheme: Scheme | None

    @property
    def classes(self) -> str:
        """The classes of the exchanged characters."""
        return "".join(self.template[position] for position in self.exchanged)

    @property
    def digits(self) -> list[int]:
        """The positions of all digits."""
        return [position for position, kind in enumerate(self.template) if kind == DIGIT]

    @property
    def is_small(self) -> bool:
        """Whether there are so few values of this shape that a token would not hide one."""
        return math.prod(RADIX[kind] for kind in self.classes) < LEAST_DOMAIN


def layout(template: str, *, keep_first: int, keep_last: int, scheme: Scheme | None) -> Layout:
    """Say what happens to the values of a template.

    Where a check digit is asked for and the shape has no room for one, the value is exchanged without.
    """
    free = list(range(keep_first, len(template) - keep_last))
    check: tuple[int, ...] = ()
    if scheme == "iban":
        free, check = _iban_parts(template, free)
    elif scheme is not None:
        digits = [position for position in free if template[position] == DIGIT]
        check = tuple(digits[-1:])
        free = [position for position in free if position not in check]
    return Layout(template, tuple(free), check, scheme if check else None)


def _iban_parts(template: str, free: list[int]) -> tuple[list[int], tuple[int, ...]]:
    has_country = template[:2].upper() == "AA"
    if len(template) < 5 or not has_country or template[2:4] != DIGIT * 2:
        return free, ()
    return [position for position in free if position > 3], (2, 3)
