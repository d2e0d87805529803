"""Fake names, towns, streets and companies, composed from the word lists of a locale.

The lists are data files of this package, extracted once from Faker's providers (MIT) by
`tools/extract_word_lists.py`, and versioned: what a key chooses never changes with an upgrade.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Locale = Literal["de_DE", "en_GB", "en_US", "es_ES", "fr_FR", "it_IT", "nl_NL", "pl_PL", "pt_BR", "sv_SE"]
FAKE_FORMATS = ("name", "first_name", "last_name", "city", "company", "street")
_HOUSE_NUMBERS = [str(number) for number in range(1, 200)]


@dataclass(frozen=True)
class FakeValues:
    """All values of one format in one locale, numbered from 0: fixed text and word lists in turn."""

    literals: tuple[str, ...]  # what stands before, between and behind the words: one more than there are lists
    lists: tuple[pa.StringArray, ...]

    @property
    def count(self) -> int:
        """How many different choices there are."""
        return math.prod(len(words) for words in self.lists)

    def choose(self, numbers: npt.NDArray[np.uint64]) -> pa.StringArray:
        """Give the value of each number, modulo `count`; the digits in mixed radix choose the words."""
        left = numbers % np.uint64(self.count)
        parts: list[Any] = [self.literals[0]]
        for words, literal in zip(self.lists, self.literals[1:], strict=True):
            size = np.uint64(len(words))
            parts += [words.take(pa.array((left % size).astype(np.int32))), literal]
            left //= size
        return pc.binary_join_element_wise(*parts, "")


@cache
def fake_values(locale: str, shape: str) -> FakeValues:
    """Load the values of a format, such as `name`, in a locale."""
    file = resources.files("pydp_cli.transforms") / "data" / f"fake_values.{locale}.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    pieces = re.split(r"\{(\w+)\}", data["patterns"][shape])
    lists = [_HOUSE_NUMBERS if slot == "number" else data["lists"][slot] for slot in pieces[1::2]]
    return FakeValues(tuple(pieces[0::2]), tuple(pa.array(words, pa.string()) for words in lists))
