"""The shapes that a pseudonym can take, each rendered from 16 pseudo-random bytes a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.crypto import cmac
from pydp_cli.transforms.canonical import dashed
from pydp_cli.transforms.fake_values import FakeValues
from pydp_cli.transforms.fixed_text import Bytes, Nulls, base32, fixed_text, halves, hexadecimal, like

Encoding = Literal["base32", "hex"]
MailDomain = Literal["replace", "keep", "pseudonym"]


class Rendering(Protocol):
    """A shape of pseudonyms: pseudo-random rows in, values out."""

    def __call__(self, words: Bytes, column: pa.StringArray) -> pa.Array:
        """Render `uint8[rows, 16]`; `column` has the values that they stand for, and says which are null."""
        ...


@dataclass(frozen=True)
class Id:
    """An identifier of fixed length: `prefix`, digits, `suffix`."""

    bits: int
    encoding: Encoding = "base32"
    prefix: str = ""
    suffix: str = ""

    def cells(self, words: Bytes) -> Bytes:
        """Write `uint8[rows, width]`."""
        front, back = self.prefix.encode(), self.suffix.encode()
        digits = base32(words, self.bits // 5) if self.encoding == "base32" else hexadecimal(words, self.bits // 4)
        if not front and not back:
            return digits
        cells = np.empty((len(words), len(front) + digits.shape[1] + len(back)), np.uint8)
        cells[:, : len(front)] = np.frombuffer(front, np.uint8)
        cells[:, len(front) : len(front) + digits.shape[1]] = digits
        cells[:, len(front) + digits.shape[1] :] = np.frombuffer(back, np.uint8)
        return cells

    def __call__(self, words: Bytes, column: pa.StringArray) -> pa.StringArray:
        """Render the digits."""
        return fixed_text(self.cells(words), like(column))


@dataclass(frozen=True)
class Uuid:
    """A UUID of version 8 (RFC 9562, section 5.8), whose other 122 bits are pseudo-random."""

    def __call__(self, words: Bytes, column: pa.StringArray) -> pa.StringArray:
        """Set version and variant, and write it with dashes."""
        words = words.copy()
        words[:, 6] = words[:, 6] & 0x0F | 0x80
        words[:, 8] = words[:, 8] & 0x3F | 0x80
        return fixed_text(dashed(hexadecimal(words, 32)), like(column))


@dataclass(frozen=True)
class Integer:
    """A whole number of `bits` bits, not negative."""

    bits: int
    kind: pa.DataType

    def __call__(self, words: Bytes, column: pa.StringArray) -> pa.Array:
        """Take the first bits."""
        high, _low = halves(words)
        numbers = (high >> np.uint64(64 - self.bits)).astype(self.kind.to_pandas_dtype())
        nulls = like(column)
        return pa.Array.from_buffers(self.kind, len(numbers), [nulls.bitmap, pa.py_buffer(numbers)], nulls.count)


@dataclass(frozen=True)
class Email:
    """An e-mail address whose local part is an `Id`.

    `key` pseudonymises mail domains; a value without `@` gets the replacement for its domain.
    """

    local: Id
    mail_domain: MailDomain
    keep: frozenset[str]
    replacement: str
    key: bytes = field(repr=False)

    def __call__(self, words: Bytes, column: pa.StringArray) -> pa.StringArray:
        """Join the local part and the treated domain."""
        if self.mail_domain == "replace" and not self.keep:
            constant = Id(self.local.bits, self.local.encoding, self.local.prefix, f"@{self.replacement}")
            return constant(words, column)
        encoded = mail_domains(column).dictionary_encode()
        treated = self._treat(encoded.dictionary).take(encoded.indices)
        return pc.binary_join_element_wise(self.local(words, column), treated, "@")

    def _treat(self, domains: pa.StringArray) -> pa.StringArray:
        folded = pc.utf8_lower(domains)
        if self.mail_domain == "keep":
            treated = folded
        elif self.mail_domain == "pseudonym":
            hidden = fixed_text(base32(cmac.prf(self.key, folded), 12), Nulls(None, 0))
            treated = pc.binary_join_element_wise(hidden, self.replacement, ".")
        else:
            treated = pa.repeat(pa.scalar(self.replacement), len(folded))
        if self.keep:
            kept = pc.is_in(folded, value_set=pa.array(sorted(self.keep), pa.string()))
            treated = pc.if_else(kept, folded, treated)
        return pc.if_else(pc.equal(folded, ""), self.replacement, treated)


@dataclass(frozen=True)
class Fake:
    """A value composed of the words of a locale's lists."""

    values: FakeValues

    def __call__(self, words: Bytes, column: pa.StringArray) -> pa.StringArray:
        """Choose by the first 64 bits; the bias of the remainder is below 2^-20 of a value's probability."""
        high, _low = halves(words)
        text = self.values.choose(high)
        return pc.if_else(pc.is_valid(column), text, None) if column.null_count else text


def mail_domains(column: pa.StringArray) -> pa.StringArray:
    """Give what follows the last `@` of each value; the empty string where there is none, or the value is null."""
    if len(column) == 0:
        return column
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    first, last = int(offsets[0]), int(offsets[-1])
    signs = np.flatnonzero(data[first:last] == ord("@")).astype(np.int32) + np.int32(first)
    starts, ends = offsets[:-1], offsets[1:]
    if len(signs) == len(column) and bool(np.all((signs >= starts) & (signs < ends))):
        cuts = signs + np.int32(1)  # one in each, which is nearly always so
    elif len(signs) == 0:
        cuts = ends
    else:
        place = signs[np.maximum(np.searchsorted(signs, ends) - 1, 0)]
        cuts = np.where((place >= starts) & (place < ends), place + 1, ends).astype(np.int32)
    # Each value is seen as two neighbours, the part up to the sign and the part behind it, without copying any text.
    bounds = np.empty(2 * len(column) + 1, np.int32)
    bounds[0::2] = offsets
    bounds[1::2] = cuts
    parts = pa.StringArray.from_buffers(2 * len(column), pa.py_buffer(bounds), column.buffers()[2])
    behind = parts.take(pa.array(np.arange(1, 2 * len(column), 2)))
    return pc.if_else(pc.is_valid(column), behind, "") if column.null_count else behind
