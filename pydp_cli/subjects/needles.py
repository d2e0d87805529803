"""Look for identifiers in text where they may stand anywhere: in prose, in files of any kind, in names of files.

Text is cut into words of letters, digits and `. @ + - _`, in lower case, and each word is looked up; identifiers with
other characters in them are looked for as they are. Short ones are not: 4711 is also a price and a year.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.subjects.byte_search import ByteSearch

SHORTEST = 6
_LOWER_TO_ASCII = ("\u212a".encode(), "\u0130".encode())
"""The Kelvin sign and the dotted capital I: no other letters beyond ASCII have one of it in lower case."""

_BLOCK = 1 << 22
_OVERLAP = 1 << 10
_APART = r"[^\pL\pN.@+_\-]+"
_WORD = re.compile(r"[\w.@+\-]+")
_SEPARATOR = re.compile(rb"[^\w.@+\-\x80-\xff]")


@dataclass(frozen=True)
class Needles:
    """The identifiers that are looked for, in lower case."""

    words: frozenset[str] = field(repr=False)
    phrases: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, values: Iterable[str]) -> Needles:
        """Take those that are long enough to mean somebody."""
        lowered = {value.lower() for value in values if len(value) >= SHORTEST}
        words = frozenset(value for value in lowered if _WORD.fullmatch(value) and value == _trimmed(value))
        return cls(words, tuple(sorted(lowered - words)))

    def __bool__(self) -> bool:
        """Tell whether there is anything to look for."""
        return bool(self.words or self.phrases)

    def in_column(self, text: pa.StringArray) -> pa.BooleanArray:
        """Tell for each text whether it holds one of them; null holds none."""
        shortest = min(map(len, self._all), default=0)
        long_enough = pc.fill_null(pc.greater_equal(pc.utf8_length(text), shortest), fill_value=False)
        places = np.flatnonzero(long_enough.to_numpy(zero_copy_only=False))
        found = np.zeros(len(text), bool)
        if len(places) and self:
            some = text if len(places) == len(text) else text.filter(long_enough)
            found[places] = self._in_long(some).to_numpy(zero_copy_only=False)
        return pa.array(found)

    def _in_long(self, text: pa.StringArray) -> pa.BooleanArray:
        lowered = pc.utf8_lower(text)
        if not self._is_anywhere(lowered):
            return pa.array(np.zeros(len(text), bool))
        found = pc.fill_null(pc.is_in(lowered, value_set=pa.array([], pa.string())), fill_value=False)
        if self.words:
            parts = pc.split_pattern_regex(lowered, _APART)
            words = pc.utf8_trim(pc.list_flatten(parts), ".-+_")
            hits = pc.is_in(words, value_set=pa.array(sorted(self.words), pa.string()))
            rows = pc.list_parent_indices(parts).filter(hits)
            found = pc.or_(found, pc.is_in(pa.array(range(len(text)), pa.int64()), value_set=rows.cast(pa.int64())))
        for phrase in self.phrases:
            found = pc.or_(found, pc.fill_null(pc.match_substring(lowered, phrase), fill_value=False))
        return found

    def may_be_in_bytes(self, raw: bytes) -> bool:
        """Tell, quickly, whether texts with their lengths between them may hold one; true where it is not clear."""
        if not all(map(str.isascii, self._all)) or any(odd in raw for odd in _LOWER_TO_ASCII):
            return bool(self)
        return self._search.may_be_in(raw.lower())

    def _is_anywhere(self, lowered: pa.StringArray) -> bool:
        """Tell whether one of them is anywhere in the bytes of a column, where several texts may make one, too."""
        data = lowered.buffers()[2]
        return data is not None and self._search.may_be_in(data.to_pybytes(), side_by_side=True)

    @cached_property
    def _all(self) -> tuple[str, ...]:
        return (*self.words, *self.phrases)

    @cached_property
    def _search(self) -> ByteSearch:
        return ByteSearch.of([word.encode() for word in self.words], [phrase.encode() for phrase in self.phrases])

    def in_text(self, text: str) -> bool:
        """Tell whether a text holds one of them."""
        lowered = text.lower()
        if any(phrase in lowered for phrase in self.phrases):
            return True
        return any(_trimmed(word) in self.words for word in _WORD.findall(lowered))

    def masked(self, name: str, otherwise: str | None = None) -> str:
        """Give a name of a file with `…` for what it holds of them, whatever is before and after it.

        Without any it is as it was, or `otherwise`.
        """
        lowered = name.lower()
        held = [needle for needle in self._all if needle in lowered]
        whole = "|".join(
            rf"(?<!\d){needle}(?!\d)" if needle.isdecimal() else re.escape(needle)  # 471100 is not in 4711001
            for needle in sorted(held, key=len, reverse=True)
        )
        if not held or not re.search(whole, lowered):
            return name if otherwise is None else otherwise
        masked = re.sub(whole, "…", name, flags=re.IGNORECASE)
        return masked if masked != name else "…"

    def in_stream(self, stream: BinaryIO) -> bool:
        """Tell whether what a stream gives holds one of them, as UTF-8 or UTF-16."""
        return any(self.in_text(text) for text in _texts(stream))


def _trimmed(word: str) -> str:
    return word.strip(".-+_")


def _texts(stream: BinaryIO) -> Iterator[str]:
    """Give a stream as overlapping pieces of text that begin and end between words; bytes that are none are spaces."""
    kept = b""
    while block := stream.read(_BLOCK):
        piece = kept + block
        end = max((match.end() for match in _SEPARATOR.finditer(piece, max(0, len(piece) - _OVERLAP))), default=0)
        if not end:
            kept = piece[-_BLOCK:]  # there is no end of a word: it is no text, or one endless word
            continue
        yield from _read(piece[:end])
        start = _SEPARATOR.search(piece, max(0, end - _OVERLAP))
        kept = piece[start.start() if start is not None else end :]
    yield from _read(kept)


def _read(piece: bytes) -> Iterator[str]:
    yield piece.decode("utf-8", errors="replace").replace("\ufffd", " ")
    if b"\0" in piece:  # UTF-16, as far as it is ASCII
        yield piece.replace(b"\0", b"").decode("utf-8", errors="replace").replace("\ufffd", " ")
