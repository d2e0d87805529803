"""Replace a value by a reversible token of the same shape, with nothing but a key of the keyring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.crypto import cmac
from pydp_cli.errors import BadValue, UnsupportedType
from pydp_cli.transforms import check_digits
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.fixed_text import Bytes, base32
from pydp_cli.transforms.registry import Binding, Rows, TransformOptions, transform
from pydp_cli.transforms.token_cipher import TokenCipher
from pydp_cli.transforms.token_layout import DIGIT, LOWER, UPPER, Layout, layout
from pydp_cli.transforms.types import INTEGER, TEXT

OnSmall = Literal["error", "pseudonym", "redact"]
_CLASS = np.zeros(256, np.uint8)  # of a byte: 0 for a separator, else the letter that stands for its class
_CLASS[ord("0") : ord("9") + 1] = ord(DIGIT)
_CLASS[ord("A") : ord("Z") + 1] = ord(UPPER)
_CLASS[ord("a") : ord("z") + 1] = ord(LOWER)
_FIRST = {DIGIT: ord("0"), UPPER: ord("A"), LOWER: ord("a")}
REDACTED = "[redacted]"
_REPLACED = r"^(~[a-z2-7]{16}|\[redacted\])$"
_MOST_DIGITS = 18  # any number of so many digits fits 64 bits
_MOST_ROWS_NAMED = 5
_ROWS_IN_CACHE = 4096


@transform(
    "token",
    takes=TEXT | INTEGER,
    reversible=True,
    leaks="which values are equal, their length, which characters are digits, capitals and small letters, all others "
    "as they are, and whether a check digit is right",
    keyed=True,
)
class Token(TransformOptions):
    """Replace each value by another of the same shape, from which the key of the domain brings it back.

    Digits become digits, capitals capitals, small letters small letters (of ASCII; all other characters stay where they
    are), by FF1 (NIST SP 800-38G) over the digits and letters of the value. Different values have different tokens.
    Null stays null. With `check_digit` a valid number stays valid, and an invalid one invalid. A number stays a number
    of as many digits.

    FF1 protects where there are at least a million values of a shape. Shorter values follow `on_small`; what it puts
    in their place cannot be undone.
    """

    domain: Annotated[
        str | None,
        Field(min_length=1, description="Tokens agree wherever this name does. The column's name by default."),
    ] = None
    keep_first: Annotated[int, Field(ge=0, description="Digits and letters at the beginning that are kept.")] = 0
    keep_last: Annotated[int, Field(ge=0, description="Digits and letters at the end that are kept.")] = 0
    check_digit: Annotated[
        check_digits.Scheme | None,
        Field(
            description="Keep numbers valid: `luhn` and `ean` compute the last digit that is not kept, `iban` the two "
            "after the country, which is kept."
        ),
    ] = None
    on_small: Annotated[
        OnSmall,
        Field(
            description="For values with fewer than a million of their shape: stop, write a pseudonym (`~` and 80 "
            "bits), or redact."
        ),
    ] = "error"
    release: Annotated[str | None, Field(min_length=1, description="Makes tokens that others cannot be linked to.")] = (
        None
    )

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Give the type that came, widened where a number of as many digits may not fit it."""
        if not pa.types.is_integer(taken):
            return pa.string()
        return pa.uint64() if pa.types.is_unsigned_integer(taken) else pa.int64()

    def makes_null(self) -> bool:
        """Say that a short number is redacted to null."""
        return self.on_small == "redact"

    def key_label(self, column: str) -> str:
        """Name the domain."""
        return f"token/{self.domain or column}"

    def check_takes(self, kind: pa.DataType, column: str) -> None:
        """Refuse to put text in the place of short numbers."""
        super().check_takes(kind, column)
        if self.on_small == "pseudonym" and pa.types.is_integer(kind):
            raise UnsupportedType(
                "`on_small: pseudonym` makes text, which has no place in a column of numbers",
                place=f'column "{column}"',
                hint="use `on_small: redact`, which makes them null, or treat the column as text",
            )

    def bind(self, binding: Binding) -> Tokenize:
        """Derive the domain's key."""
        return self._bind(binding, undo=False)

    def bind_inverse(self, binding: Binding) -> Tokenize:
        """Make the function that brings the values back; `binding.taken` is the type that they had.

        What `on_small` replaced comes out null.
        """
        return self._bind(binding, undo=True)

    def _bind(self, binding: Binding, *, undo: bool) -> Tokenize:
        domain = self.domain or binding.column
        release = self.release or binding.release
        label = f"release={release}" if release else ""
        key = binding.derive_key("token", domain, label, length=32)
        small_key = binding.derive_key("token", domain, f"small {label}", length=32)
        cipher = TokenCipher(key, domain.encode(), undo=undo)
        gives = binding.taken if undo else self.gives(binding.taken)
        return Tokenize(self, cipher, small_key, gives, undo=undo)


@dataclass(frozen=True)
class Tokenize:
    """A token transform, or its inverse, bound to its domain's key."""

    options: Token
    cipher: TokenCipher
    small_key: bytes = field(repr=False)
    gives: pa.DataType
    undo: bool

    def __call__(self, column: pa.Array, rows: Rows | None = None) -> pa.Array:
        """Exchange the values of a column for tokens, or tokens for values."""
        del rows
        text = canonical_text(column)
        is_number = pa.types.is_integer(column.type)
        replaced = None
        if self.undo and not is_number:
            replaced = pc.fill_null(pc.match_substring_regex(text, _REPLACED), fill_value=False)
            text = pc.if_else(replaced, None, text)
        text = self._exchange(text, is_number=is_number)
        return text if self.gives == pa.string() else text.cast(self.gives)

    def _exchange(self, text: pa.StringArray, *, is_number: bool) -> pa.StringArray:
        dense = pc.fill_null(text, "")
        if dense.offset:
            dense = pa.concat_arrays([dense])
        offsets = np.frombuffer(dense.buffers()[1], np.int32)[dense.offset : dense.offset + len(dense) + 1]
        data = np.frombuffer(dense.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]].copy()
        offsets = offsets - offsets[0]
        classes = _CLASS[data]
        is_exchangeable = classes != 0
        compact = data[is_exchangeable]
        counts = np.concatenate([[0], np.cumsum(is_exchangeable)])
        starts = counts[offsets].astype(np.int32)
        small = np.zeros(len(text), bool)
        templates = _text(starts, classes[is_exchangeable]).dictionary_encode()
        order = np.argsort(templates.indices.to_numpy(), kind="stable")
        sizes = np.bincount(templates.indices.to_numpy(), minlength=len(templates.dictionary))
        groups = np.split(order, np.cumsum(sizes)[:-1]) if len(sizes) else []
        for template, members in zip(templates.dictionary.to_pylist(), groups, strict=True):
            self._exchange_group(template, members, starts, compact, small, is_number=is_number)
        data[is_exchangeable] = compact
        return self._replace_small(text, _text(offsets, data), small & pc.is_valid(text).to_numpy(zero_copy_only=False))

    def _exchange_group(
        self,
        template: str,
        members: np.ndarray[tuple[int], np.dtype[np.intp]],
        starts: np.ndarray[tuple[int], np.dtype[np.int32]],
        compact: Bytes,
        small: np.ndarray[tuple[int], np.dtype[np.bool_]],
        *,
        is_number: bool,
    ) -> None:
        options = self.options
        shape = layout(template, keep_first=options.keep_first, keep_last=options.keep_last, scheme=options.check_digit)
        if is_number and len(template) > _MOST_DIGITS:
            raise BadValue(
                f"a number of more than {_MOST_DIGITS} digits cannot be tokenized as a number",
                hint="treat the column as text",
                rows=tuple(members[:_MOST_ROWS_NAMED].tolist()),
            )
        if shape.is_small:
            small[members] = True
            return
        for first in range(0, len(members), _ROWS_IN_CACHE):
            self._exchange_rows(shape, members[first : first + _ROWS_IN_CACHE], starts, compact, is_number=is_number)

    def _exchange_rows(
        self,
        shape: Layout,
        members: np.ndarray[tuple[int], np.dtype[np.intp]],
        starts: np.ndarray[tuple[int], np.dtype[np.int32]],
        compact: Bytes,
        *,
        is_number: bool,
    ) -> None:
        template = shape.template
        places = starts[members][:, None] + np.arange(len(template), dtype=np.int32)
        codes = compact[places].astype(np.int64) - _firsts(template)
        compact[places] = (self._exchange_codes(shape, codes, is_number=is_number) + _firsts(template)).astype(np.uint8)

    def _exchange_codes(self, shape: Layout, codes: check_digits.Codes, *, is_number: bool) -> check_digits.Codes:
        exchanged = list(shape.exchanged)
        result: check_digits.Codes = codes.copy()
        result[:, exchanged] = self.cipher(shape, codes[:, exchanged])
        if is_number and 0 in exchanged:
            again = np.flatnonzero(result[:, 0] == 0)  # a number has no leading zero: walk on to the next that has none
            while len(again):
                walking = result[again]
                walking[:, exchanged] = self.cipher(shape, walking[:, exchanged])
                result[again] = walking
                again = again[result[again, 0] == 0]
        keep_remainder(shape, codes, result)
        return result

    def _replace_small(
        self, text: pa.StringArray, tokens: pa.StringArray, small: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> pa.StringArray:
        if text.null_count:
            tokens = pc.if_else(pc.is_valid(text), tokens, None)
        rows = np.flatnonzero(small)
        if len(rows) == 0:
            return tokens
        if self.options.on_small == "error":
            raise BadValue(
                "too few digits and letters for a token: fewer than a million values have this shape",
                hint="say what happens to such values with on_small: pseudonym or on_small: redact",
                rows=tuple(rows[:_MOST_ROWS_NAMED].tolist()),
            )
        replacement = self._pseudonyms(text.take(pa.array(rows)))
        return pc.replace_with_mask(tokens, pa.array(small), replacement)

    def _pseudonyms(self, values: pa.StringArray) -> pa.StringArray:
        if self.undo or self.gives != pa.string():
            return pa.nulls(len(values), pa.string())
        if self.options.on_small == "redact":
            return pa.array([REDACTED] * len(values), pa.string())
        digits = base32(cmac.prf(self.small_key, values), 16)
        return pc.binary_join_element_wise("~", pa.array([bytes(row).decode() for row in digits], pa.string()), "")


def keep_remainder(shape: Layout, old: check_digits.Codes, new: check_digits.Codes) -> None:
    """Compute the check digits of new codes, so that they are right wherever they were right before."""
    if shape.scheme == "iban":
        is_letter = np.array([10 if kind != DIGIT else 0 for kind in shape.template])
        was = old[:, 2] * 10 + old[:, 3]
        wanted = (check_digits.iban_base(old + is_letter) + was) % 97
        check = check_digits.iban_check(check_digits.iban_base(new + is_letter), wanted, was)
        new[:, 2], new[:, 3] = check // 10, check % 10
    elif shape.scheme is not None:
        digits = shape.digits
        changed = new[:, digits]
        wanted = check_digits.remainder(shape.scheme, old[:, digits])
        check_digits.restore(shape.scheme, changed, wanted, digits.index(shape.check[0]))
        new[:, digits] = changed


def _firsts(template: str) -> check_digits.Codes:
    return np.array([_FIRST[kind] for kind in template], np.int64)


def _text(offsets: np.ndarray[tuple[int], np.dtype[np.int32]], data: Bytes) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data))
