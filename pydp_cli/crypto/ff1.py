"""FF1 format-preserving encryption (NIST SP 800-38G) over a whole column.

A value becomes another string of the same length over the same alphabet. Equal values under one key and tweak become
equal, and nothing tells that a value was altered: FF1 has no integrity. The domain (radix to the power of the length)
must have at least a million values (SP 800-38G revision 1, draft, section 5.1).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.crypto import self_test
from pydp_cli.crypto.blocks import BlockCipher, gather, scatter
from pydp_cli.crypto.columns import binary_array, cells_of, offsets_of
from pydp_cli.crypto.feistel import Lengths, Numbers, permute, permute_one
from pydp_cli.errors import BadValue, InputError

DIGITS = "0123456789"
LEAST_DOMAIN = 1_000_000
PART_ROWS = 4096
"""Values that are worked on at a time: their halves stay in the processor's cache."""

Numerals = npt.NDArray[np.uint16]


def encrypt(key: bytes, column: pa.Array, alphabet: str = DIGITS, tweak: bytes = b"") -> pa.StringArray:
    """Encrypt a text column whose values are strings over `alphabet`. Null stays null.

    `key` has 16, 24 or 32 bytes. Raises `BadValue` with the rows whose characters are not in the alphabet or whose
    domain is too small.
    """
    return _over_column(key, column, alphabet, tweak, undo=False)


def decrypt(key: bytes, column: pa.Array, alphabet: str = DIGITS, tweak: bytes = b"") -> pa.StringArray:
    """Undo `encrypt`."""
    return _over_column(key, column, alphabet, tweak, undo=True)


def least_length(radix: int) -> int:
    """Give the length from which strings of a radix have a domain of a million."""
    length = 2
    while radix**length < LEAST_DOMAIN:
        length += 1
    return length


def domain_too_small(column: pa.Array, alphabet: str = DIGITS) -> pa.BooleanArray:
    """Tell for each value whether its length leaves a domain of fewer than a million; null for null."""
    return pc.less(pc.utf8_length(pc.cast(column, pa.string())), least_length(len(alphabet)))


def encrypt_numerals(key: bytes, numerals: Numerals, radix: int, tweak: bytes = b"", *, undo: bool = False) -> Numerals:
    """Encrypt numeral strings of one length, given as `uint16[n, length]`, numerals below `radix`."""
    lengths = Lengths(radix, numerals.shape[1])
    if radix**lengths.n < LEAST_DOMAIN:
        raise InputError(f"strings of {lengths.n} numerals of radix {radix} have a domain of less than a million")
    cipher = BlockCipher(key)
    out = np.empty_like(numerals)
    for first in range(0, len(numerals), PART_ROWS):
        part = numerals[first : first + PART_ROWS]
        write = out[first : first + PART_ROWS]
        if lengths.vectorised:
            left, right = _numbers(part[:, : lengths.u], radix), _numbers(part[:, lengths.u :], radix)
            left, right = permute_checked(cipher, left, right, lengths, tweak, undo=undo)
            _spell(left, radix, write[:, : lengths.u])
            _spell(right, radix, write[:, lengths.u :])
            continue
        for row, string in enumerate(part.tolist()):
            halves = _number(string[: lengths.u], radix), _number(string[lengths.u :], radix)
            new_left, new_right = permute_one(cipher, *halves, lengths, tweak, undo=undo)
            write[row] = _spelled(new_left, radix, lengths.u) + _spelled(new_right, radix, lengths.v)
    return out


def permute_checked(
    cipher: BlockCipher, left: Numbers, right: Numbers, lengths: Lengths, tweak: bytes, *, undo: bool
) -> tuple[Numbers, Numbers]:
    """Run the rounds in the kernel, and check a sample; where the kernel failed its self-test, one by one."""
    if not self_test.passed("ff1"):
        pairs = [
            permute_one(cipher, *halves, lengths, tweak, undo=undo)
            for halves in zip(left.tolist(), right.tolist(), strict=True)
        ]
        return np.array([pair[0] for pair in pairs], np.uint64), np.array([pair[1] for pair in pairs], np.uint64)
    new_left, new_right = permute(cipher, left, right, lengths, tweak, undo=undo)
    if len(left):
        mixed = (int(new_left[0]) * _MIX + int(new_right[0]) * (_MIX - 2)) % (1 << 64)
        row = self_test.sample(mixed.to_bytes(8, "little"), len(left))
        if row is not None:
            expected = permute_one(cipher, int(left[row]), int(right[row]), lengths, tweak, undo=undo)
            self_test.compare((int(new_left[row]), int(new_right[row])), expected)
    return new_left, new_right


_MIX = 0x9E3779B97F4A7C15


def _over_column(key: bytes, column: pa.Array, alphabet: str, tweak: bytes, *, undo: bool) -> pa.StringArray:
    if len(set(alphabet)) != len(alphabet) or not 2 <= len(alphabet) <= 65536:
        raise InputError("an alphabet has 2 to 65536 different characters")
    too_small = pc.indices_nonzero(pc.fill_null(domain_too_small(column, alphabet), False))
    if len(too_small):
        raise BadValue(
            f"{len(too_small)} values are too short: their domain has fewer than a million values",
            rows=tuple(too_small[:5].to_pylist()),
        )
    if not alphabet.isascii():
        return _over_unicode(key, column, alphabet, tweak, undo=undo)
    cells = cells_of(column)
    number_of = np.full(256, 65535, dtype=np.uint16)
    letters = np.frombuffer(alphabet.encode(), dtype=np.uint8)
    number_of[letters] = np.arange(len(letters))
    out = np.empty(cells.size, dtype=np.uint8)
    offsets = np.zeros(len(cells) + 1, dtype=np.int64)
    for place, batch in cells.batches():
        ends = offsets_of(batch.lengths) + offsets[place.start]
        offsets[place.start + 1 : place.stop + 1] = ends[1:]
        for length in np.unique(batch.lengths[batch.lengths > 0]).tolist():
            rows = np.flatnonzero(batch.lengths == length)
            numerals = number_of[gather(batch.data, batch.starts[rows], length)]
            if numerals.max() == 65535:
                raise _not_in_alphabet(rows[(numerals == 65535).any(axis=1)] + place.start)
            new = letters[encrypt_numerals(key, numerals, len(alphabet), tweak, undo=undo)]
            scatter(out, ends[rows], new)
    return binary_array(offsets, out, cells.valid, text=True)


def _over_unicode(key: bytes, column: pa.Array, alphabet: str, tweak: bytes, *, undo: bool) -> pa.StringArray:
    """Treat values over an alphabet beyond ASCII, one by one where they are read and spelled."""
    number_of = {character: number for number, character in enumerate(alphabet)}
    texts = pc.cast(column, pa.string()).to_pylist()
    bad = np.array([row for row, text in enumerate(texts) if text and not set(text) <= number_of.keys()])
    if len(bad):
        raise _not_in_alphabet(bad)
    out: list[str | None] = list(texts)
    for length in {len(text) for text in texts if text}:
        rows = [row for row, text in enumerate(texts) if text is not None and len(text) == length]
        numerals = np.array([[number_of[character] for character in texts[row]] for row in rows], dtype=np.uint16)
        for row, string in zip(rows, encrypt_numerals(key, numerals, len(alphabet), tweak, undo=undo), strict=True):
            out[row] = "".join(alphabet[numeral] for numeral in string)
    return pa.array(out, pa.string())


def _not_in_alphabet(rows: npt.NDArray[np.intp]) -> BadValue:
    return BadValue(
        f"{len(rows)} values have characters that are not in the alphabet", rows=tuple(int(row) for row in rows[:5])
    )


def _numbers(numerals: Numerals, radix: int) -> Numbers:
    total = numerals[:, 0].astype(np.uint64)
    for column in range(1, numerals.shape[1]):
        total *= np.uint64(radix)
        total += numerals[:, column]
    return total


def _spell(numbers: Numbers, radix: int, out: Numerals) -> None:
    divisor = np.uint64(radix)
    for column in range(out.shape[1] - 1, -1, -1):
        quotient = numbers // divisor
        out[:, column] = numbers - quotient * divisor
        numbers = quotient


def _number(numerals: list[int], radix: int) -> int:
    total = 0
    for numeral in numerals:
        total = total * radix + numeral
    return total


def _spelled(number: int, radix: int, length: int) -> list[int]:
    numerals = []
    for _ in range(length):
        number, numeral = divmod(number, radix)
        numerals.append(numeral)
    return numerals[::-1]
