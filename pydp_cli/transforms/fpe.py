"""Format-preserving encryption of a column: characters of an alphabet become others of it, all else stays in place.

FF1 (NIST SP 800-38G) with AES-256 over the characters of the alphabet that are not kept, as one numeral string. The key
belongs to the column (or to the domain), so that there is no tweak. Check digits are computed anew: a valid number
stays valid, an invalid one invalid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.crypto.ff1 import LEAST_DOMAIN, encrypt_numerals
from pydp_cli.errors import BadValue, Tampered, UsageError
from pydp_cli.transforms.check_digits import Codes, Scheme
from pydp_cli.transforms.parse import MOST_ROWS_NAMED
from pydp_cli.transforms.registry import Rows
from pydp_cli.transforms.token import keep_remainder
from pydp_cli.transforms.token_layout import DIGIT, LOWER, UPPER, Layout, layout

_DIGITS, _LOWER = "0123456789", "abcdefghijklmnopqrstuvwxyz"
ALPHABETS = {
    "digits": _DIGITS,
    "letters": _LOWER.upper() + _LOWER,
    "lower": _LOWER,
    "upper": _LOWER.upper(),
    "alphanumeric": _DIGITS + _LOWER.upper() + _LOWER,
    "hex": _DIGITS + "abcdef",
}
SCHEMES = ("luhn", "ean", "iban")
_ROWS_IN_CACHE = 4096
_OTHER = 255

Index = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True)
class Shape:
    """What `fpe` was asked for: the characters that are exchanged, how many stay at each end, and the check digit."""

    alphabet: str = _DIGITS
    keep_first: int = 0
    keep_last: int = 0
    check_digit: Scheme | None = None

    @classmethod
    def of(cls, alphabet: str, keep_first: int, keep_last: int, check_digit: str | None) -> Shape:
        """Check the options; an alphabet is named, or written out in ASCII."""
        characters = ALPHABETS.get(alphabet, alphabet)
        if not characters.isascii() or len(set(characters)) < len(characters) or not characters.isprintable():
            raise UsageError(
                "an alphabet has different characters, all of them printable ASCII",
                hint=f"or one of: {', '.join(ALPHABETS)}",
            )
        if check_digit is not None and check_digit not in SCHEMES:
            raise UsageError(f'unknown check digit "{check_digit}"', hint=f"one of: {', '.join(SCHEMES)}")
        if check_digit is not None and characters != _DIGITS:
            raise UsageError("a check digit goes with the alphabet `digits`")
        return cls(characters, keep_first, keep_last, cast("Scheme | None", check_digit))

    def classes(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """Tabulate of each byte the letter of its class; 0 for what stays and is not counted."""
        table = np.zeros(256, np.uint8)
        if self.check_digit is None:
            table[list(self.alphabet.encode())] = ord("x")
            return table
        for kind, characters in ((DIGIT, _DIGITS), (UPPER, _LOWER.upper()), (LOWER, _LOWER)):
            table[list(characters.encode())] = ord(kind)
        return table

    def numerals(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """Tabulate of each byte its numeral; with a check digit, letters count from 0 in their class."""
        table = np.full(256, _OTHER, np.uint8)
        alphabets = (self.alphabet,) if self.check_digit is None else (_DIGITS, _LOWER.upper(), _LOWER)
        for characters in alphabets:
            table[list(characters.encode())] = np.arange(len(characters))
        return table

    def layout(self, template: str) -> Layout:
        """Say which characters of a template are exchanged."""
        if self.check_digit is None:
            free = range(self.keep_first, max(self.keep_first, len(template) - self.keep_last))
            return Layout(template, tuple(free), (), None)
        found = layout(template, keep_first=self.keep_first, keep_last=self.keep_last, scheme=self.check_digit)
        digits = tuple(place for place in found.exchanged if template[place] == DIGIT)
        return Layout(template, digits, found.check, found.scheme)


@dataclass(frozen=True)
class PreserveFormat:
    """Encrypts text and keeps its format, or undoes it. Null and empty text stay."""

    shape: Shape
    key: bytes = field(repr=False)
    undo: bool = False

    def __call__(self, column: pa.StringArray, rows: Rows | None = None) -> pa.StringArray:
        """Treat a column; raises `BadValue` where fewer than a million values have the shape of one."""
        del rows
        dense = pa.concat_arrays([pc.fill_null(column, "")])
        offsets = np.frombuffer(dense.buffers()[1], np.int32)[: len(dense) + 1].astype(np.int64)
        data = np.frombuffer(dense.buffers()[2] or b"", np.uint8)[: int(offsets[-1])].copy()
        classes = self.shape.classes()[data]
        counted = np.flatnonzero(classes)
        starts = np.searchsorted(counted, offsets)
        templates = _text(starts, classes[counted]).dictionary_encode()
        order = np.argsort(templates.indices.to_numpy(), kind="stable").astype(np.int64)
        sizes = np.bincount(templates.indices.to_numpy(), minlength=len(templates.dictionary))
        compact = data[counted]
        small: list[Index] = []
        groups = np.split(order, np.cumsum(sizes)[:-1]) if len(sizes) else []
        for template, members in zip(templates.dictionary.to_pylist(), groups, strict=True):
            shape = self.shape.layout(template)
            if len(self.shape.alphabet) ** len(shape.exchanged) < LEAST_DOMAIN:
                small.append(members[offsets[members] < offsets[members + 1]])
                continue
            for first in range(0, len(members), _ROWS_IN_CACHE):
                self._exchange(shape, starts[members[first : first + _ROWS_IN_CACHE]], compact)
        failed = np.sort(np.concatenate(small)) if small else np.zeros(0, np.int64)
        if len(failed):
            self._refuse(failed)
        data[counted] = compact
        made = _text(offsets, data)
        return pc.if_else(pc.is_valid(column), made, None) if column.null_count else made

    def _exchange(self, shape: Layout, starts: Index, compact: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
        """Exchange the characters of values of one shape."""
        places = starts[:, None] + np.arange(len(shape.template))
        old: Codes = self.shape.numerals()[compact[places]].astype(np.int64)
        new = old.copy()
        free = list(shape.exchanged)
        numerals = old[:, free].astype(np.uint16)
        new[:, free] = encrypt_numerals(self.key, numerals, len(self.shape.alphabet), undo=self.undo)
        if shape.scheme is not None:
            keep_remainder(shape, old, new)
        changed = [*free, *shape.check]
        alphabet = np.frombuffer(self.shape.alphabet.encode(), np.uint8)
        compact[places[:, changed]] = alphabet[new[:, changed]]

    def _refuse(self, rows: Index) -> NoReturn:
        named = tuple(rows[:MOST_ROWS_NAMED].tolist())
        if self.undo:
            raise Tampered("these values were not made by format-preserving encryption: they are too short", rows=named)
        raise BadValue(
            "too few characters of the alphabet to encrypt: fewer than a million values have this format",
            hint="keep less of the value, or use `random`",
            rows=named,
        )


def _text(offsets: Index, data: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data))
