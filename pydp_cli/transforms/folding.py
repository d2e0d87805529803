"""Fold text so that spellings of the same thing compare equal, and remember where each folded character came from."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad"


@dataclass(frozen=True)
class Folded:
    """Folded text with the way back. `origins` is None where every character stands where it stood."""

    text: str
    source: str
    origins: list[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Give the span of the source that a span of the folded text stands for, with the marks that follow it."""
        if self.origins is None:
            return start, end
        first, last = self.origins[start], self.origins[end - 1] + 1
        while last < len(self.source) and not fold_character(self.source[last]):
            last += 1
        return first, last


def fold(text: str) -> Folded:
    """Fold case, compatibility forms (full-width digits, ligatures), accents, dashes and invisible characters."""
    if text.isascii():
        return Folded(text.lower(), text)
    pieces: list[str] = []
    origins: list[int] = []
    for place, character in enumerate(text):
        piece = fold_character(character)
        pieces.append(piece)
        origins.extend([place] * len(piece))
    return Folded("".join(pieces), text, origins)


@lru_cache(maxsize=20_000)
def fold_character(character: str) -> str:
    """Fold one character; nothing is left of accents and invisible ones."""
    if character in _DASHES:
        return "" if character == "\u00ad" else "-"
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(part for part in folded if unicodedata.category(part) not in ("Mn", "Cf"))
