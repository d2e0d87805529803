"""Find a row's own identifying values, such as a person's name, in the prose of the same row."""

from __future__ import annotations

import re
from functools import lru_cache

from pydp_cli.transforms.folding import fold

_LEAST_DIGITS = 5  # from here on a value without letters is a number that people group as they like
_SUFFIX_DIGITS = 7  # a phone number is also written without its country or area code
_LEAST_PART = 3
_PARTICLES = frozenset(
    {"and", "the", "van", "von", "der", "den", "des", "del", "dela", "della", "las", "los", "zur", "zum", "ter", "ten"}
    | {"bin", "ibn", "dos", "das", "san", "saint", "mrs", "herr", "frau", "dott", "prof", "inc", "ltd", "gmbh"}
    | {"new", "north", "south", "east", "west"}
)
_JOINT = r"[\W_]{0,3}"
_DIGIT_JOINT = r"[ ().\-/]{0,3}"
_NEIGHBOURS = re.compile(r"[ .,'\-\u2019]{0,3}")
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def find_own(text: str, value: str, *, parts: bool) -> list[tuple[int, int]]:
    """Find a folded value in a folded text; with `parts` also its words alone. Neighbouring finds are one."""
    if not any(piece in text for piece in _looked_for(value, parts)):
        return []
    found: list[tuple[int, int]] = []
    for match in _pattern(value, parts).finditer(text):
        start, end = match.span()
        if found and _NEIGHBOURS.fullmatch(text, found[-1][1], start):
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


@lru_cache(maxsize=10_000)
def _looked_for(value: str, parts: bool) -> tuple[str, ...]:
    """Give the pieces of which a text must hold one; none for a value that is too short to look for."""
    pieces = re.findall(r"[^\W_]+", value)
    if len("".join(pieces)) < 2 and not _WITHOUT_SPACES.search(value):
        return ()
    if _is_number(value):
        return (re.sub(r"\D", "", value)[-1],)
    return (max(pieces, key=len), *(_parts(pieces) if parts else ()))


def _is_number(value: str) -> bool:
    return not re.search(r"[^\W\d_]", value) and sum(map(str.isdigit, value)) >= _LEAST_DIGITS


def _parts(pieces: list[str]) -> list[str]:
    return [
        piece
        for piece in pieces
        if piece.isalpha() and piece not in _PARTICLES and (len(piece) >= _LEAST_PART or _WITHOUT_SPACES.search(piece))
    ]


@lru_cache(maxsize=10_000)
def _pattern(value: str, parts: bool) -> re.Pattern[str]:
    if _is_number(value):
        digits = re.sub(r"\D", "", value)
        whole = _DIGIT_JOINT.join(digits)
        if len(digits) > _SUFFIX_DIGITS + 1:
            tail = _DIGIT_JOINT.join(digits[-_SUFFIX_DIGITS:])
            whole = rf"\+?(?:\d{_DIGIT_JOINT}){{0,9}}?{tail}"
        return re.compile(rf"(?<![\d]){whole}(?!\d)")
    pieces = re.findall(r"[^\W_]+", value)
    alternatives = [_JOINT.join(map(re.escape, pieces))]
    if parts and "@" not in value:
        alternatives += [re.escape(piece) for piece in sorted(_parts(pieces), key=len, reverse=True)]
    if _WITHOUT_SPACES.search(value):
        return re.compile("|".join(alternatives))
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(alternatives)})(?:'?s)?(?![^\W_])")


def folded_value(value: str) -> str:
    """Fold a value for `find_own`."""
    return fold(value).text
