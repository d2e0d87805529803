"""Encrypted cells: AES-SIV ciphertexts that say which key made them, and are bound to the place they belong to.

| first byte | the cell |
|---|---|
| `0x01` | deterministic: `0x01`, key id (4), SIV (16), ciphertext; the layout of Tink's deterministic AEAD |
| `0x02` | random: `0x02`, key id (4), nonce (16), SIV (16), ciphertext |
| `0x03` | under a person's own key: see `pydp_cli.crypto.subject_cells` |

Associated data (the components of RFC 5297): first the place (see `Place.encode`) with the first five bytes of the
cell; then for each bound column `0x01` and the canonical text of the row's value there, or `0x00` for null; last the
nonce, if there is one.

The plaintext is the canonical text of the value in UTF-8, or begins with a byte that no UTF-8 text begins with: `0xF8`
is null, and zeros may follow; `0xF9` is followed by bytes as they are, where they would begin with such a byte
themselves; `0xFA` by the value, `0x80`, and zeros. So values, empty text and null never coincide.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from pydp_cli.crypto import base64_column
from pydp_cli.crypto.blocks import gather
from pydp_cli.crypto.cell_headers import (
    DETERMINISTIC,
    HEADER_BYTES,
    LEAST_BYTES,
    NONCE_BYTES,
    RANDOM,
    Words,
    count_by_key,
    header_words,
    under_key,
)
from pydp_cli.crypto.columns import Bytes, Cells, Index, Valid, binary_array, cells_of, offsets_of
from pydp_cli.crypto.siv import open_values, seal_values
from pydp_cli.crypto.siv_cipher import Siv

KEY_BYTES = 64
FORMAT = b"pydp cell 1"
NULL, ESCAPED, PADDED = 0xF8, 0xF9, 0xFA
_FIRST_MARK = 0xF8  # no UTF-8 text begins with this or a higher byte
_PADDING = 0x80
_FRONT = np.dtype([("header", f"V{HEADER_BYTES}"), ("nonce", f"V{NONCE_BYTES}")])

__all__ = [
    "Opened",
    "Place",
    "Plaintext",
    "count_by_key",
    "open_base64",
    "open_cells",
    "seal_base64",
    "seal_cells",
    "under_key",
]

Random = Callable[[int], bytes]


@dataclass(frozen=True)
class Place:
    """Where cells belong: a column of a dataset, or with `domain` every column that is to join with it."""

    dataset: str
    column: str
    domain: str | None = None
    bind: tuple[str, ...] = ()

    @property
    def scope(self) -> tuple[str, str]:
        """The scope and the column that the key is derived for."""
        return (self.dataset, self.column) if self.domain is None else (self.domain, "")

    def encode(self, header: bytes) -> bytes:
        """Give the associated data that all cells of one header share.

        `pydp cell 1`, the header (5 bytes), `c` with dataset and column or `d` with the domain, and the names of the
        bound columns; each name with its length in front (4 bytes, big endian).
        """
        names = (self.dataset, self.column) if self.domain is None else (self.domain,)
        encoded = [name.encode() for name in (*names, *self.bind)]
        kind = b"c" if self.domain is None else b"d"
        return FORMAT + header + kind + b"".join(len(name).to_bytes(4, "big") + name for name in encoded)


@dataclass(frozen=True)
class Plaintext:
    """How values become plaintexts: whether nulls are encrypted too, and to a multiple of what they are padded."""

    nulls: bool = False
    pad: int | None = None


@dataclass(frozen=True)
class Opened:
    """Decrypted cells: the plaintexts, and the rows that failed. Both kinds of failed rows are null among the values.

    `unknown` are rows under keys that are not at hand, by key id; `failed` are those that are no cells, or not
    authentic.
    """

    values: pa.BinaryArray
    failed: Index
    unknown: Mapping[bytes, Index] = field(default_factory=dict)


def seal_cells(
    values: pa.Array,
    key: bytes,
    key_id: bytes,
    place: Place,
    bound: Sequence[pa.StringArray] = (),
    *,
    deterministic: bool,
    plaintext: Plaintext | None = None,
    random: Random | None = None,
) -> pa.BinaryArray:
    """Encrypt canonical text (or bytes) into cells; null stays null, unless `plaintext` says that it is encrypted.

    `key` has 64 bytes, `key_id` 4. `bound` are the canonical texts of the columns that `place.bind` names. `random`
    gives the bytes of all nonces.
    """
    header = bytes([DETERMINISTIC if deterministic else RANDOM]) + key_id
    sealed = _seal(values, key, header, place, bound, plaintext, random, align=1)
    return binary_array(np.asarray(sealed.offsets, dtype=np.int64), sealed.data, sealed.valid)


def seal_base64(
    values: pa.Array,
    key: bytes,
    key_id: bytes,
    place: Place,
    bound: Sequence[pa.StringArray] = (),
    *,
    deterministic: bool,
    plaintext: Plaintext | None = None,
    random: Random | None = None,
) -> pa.StringArray:
    """Encrypt as `seal_cells` does, and write the cells as base64."""
    header = bytes([DETERMINISTIC if deterministic else RANDOM]) + key_id
    sealed = _seal(values, key, header, place, bound, plaintext, random, align=base64_column.GROUP)
    return base64_column.encode_spaced(sealed)


def _seal(  # noqa: PLR0917 - two callers, next to it
    values: pa.Array,
    key: bytes,
    header: bytes,
    place: Place,
    bound: Sequence[pa.StringArray],
    plaintext: Plaintext | None,
    random: Random | None,
    *,
    align: int,
) -> Cells:
    return seal_framed(frame(values, plaintext or Plaintext()), key, header, place, bound, random=random, align=align)


def seal_framed(
    cells: Cells,
    key: bytes,
    header: bytes,
    place: Place,
    bound: Sequence[pa.StringArray],
    *,
    random: Random | None = None,
    align: int = 1,
) -> Cells:
    """Encrypt plaintexts as they are into cells of a header (5 bytes)."""
    count = len(cells)
    associated: list[bytes | pa.Array] = [place.encode(header), *(_bound(column) for column in bound)]
    if header[0] == DETERMINISTIC:
        prefix: Bytes = np.broadcast_to(np.frombuffer(header, dtype=np.uint8), (count, HEADER_BYTES))
    else:
        drawn = (random or fresh_nonces)(NONCE_BYTES * count)
        fronts = np.empty(count, dtype=_FRONT)  # whole items, which NumPy moves several times faster than rows of bytes
        fronts["header"] = np.void(header)
        fronts["nonce"] = np.frombuffer(drawn, dtype=f"V{NONCE_BYTES}")
        prefix = fronts.view(np.uint8).reshape(count, HEADER_BYTES + NONCE_BYTES)
        associated.append(_fixed(np.frombuffer(drawn, dtype=np.uint8).reshape(count, NONCE_BYTES)))
    return seal_values(Siv(key), cells, associated, prefix, align=align)


def fresh_nonces(size: int) -> bytes:
    """Give random bytes: AES-256 in counter mode under a key that the system draws for this call alone.

    The system's own generator takes a quarter of the time of an encryption. Nothing is kept from call to call, so that
    neither a fork nor a restart repeats anything.
    """
    keystream = Cipher(AES(os.urandom(32)), CTR(bytes(16))).encryptor()
    return keystream.update(bytes(size))


def open_base64(
    column: pa.Array, keys: Mapping[bytes, bytes], place: Place, bound: Sequence[pa.StringArray] = ()
) -> Opened:
    """Decrypt cells that are written as base64; what is not base64 failed."""
    cells, malformed = base64_column.decode_spaced(column)
    opened = _open(cells, keys, place, bound)
    if not len(malformed):
        return opened
    return Opened(opened.values, np.union1d(opened.failed, malformed), opened.unknown)


def open_cells(
    cells: pa.Array, keys: Mapping[bytes, bytes], place: Place, bound: Sequence[pa.StringArray] = ()
) -> Opened:
    """Decrypt cells of any mode and of any of the keys, given by key id. Null stays null.

    The caller decides what becomes of rows that failed; nothing else depends on them.
    """
    return _open(cells_of(cells), keys, place, bound)


def _open(sealed: Cells, keys: Mapping[bytes, bytes], place: Place, bound: Sequence[pa.StringArray]) -> Opened:
    headers, present = headers_of(sealed)
    whole = present if sealed.valid is None else present | ~sealed.valid
    failed: list[Index] = [np.flatnonzero(~whole)]
    groups = _groups(headers, present)
    if len(groups) == 1 and groups[0][0][1:] in keys:
        header, _rows = groups[0]
        if not present.all():
            sealed = replace(sealed, valid=present)
        values, bad = open_framed(sealed, header, keys[header[1:]], place, bound)
        return Opened(*unframe(values, np.sort(np.concatenate([failed[0], bad]))))
    unknown: dict[bytes, Index] = {}
    pieces: list[pa.Array] = []
    order: list[Index] = []
    cells = base64_column.compacted(sealed)
    for header, rows in groups:
        if header[1:] not in keys:
            unknown[header[1:]] = np.concatenate([unknown.get(header[1:], rows[:0]), rows])
            continue
        picked = pa.array(rows)
        part = cells_of(cells.take(picked))
        values, bad = open_framed(part, header, keys[header[1:]], place, [column.take(picked) for column in bound])
        pieces.append(values)
        order.append(rows)
        failed.append(rows[bad])
    values = _merge(pieces, order, len(sealed))
    opened, bad = unframe(values, np.concatenate(failed))
    return Opened(opened, np.sort(bad), unknown)


def headers_of(cells: Cells) -> tuple[Words, Valid]:
    """Give the first five bytes of each cell as a number, and whether it is a whole cell of a mode that is known."""
    words, lengths = header_words(cells, slice(0, len(cells)), text=False)
    mode = words & np.uint64(0xFF)
    known = mode == DETERMINISTIC
    known |= (mode == RANDOM) & (lengths >= LEAST_BYTES[RANDOM])
    return words, known  # those that are too short have the word 0


def frame(values: pa.Array, plaintext: Plaintext) -> Cells:
    """Make plaintexts of values: as they are, except for nulls, padding, and what would look like either."""
    cells = cells_of(values)
    marked = _begins_with_mark(cells)
    nulls = plaintext.nulls and cells.valid is not None
    if plaintext.pad is None and not nulls and not marked.any():
        return cells
    lengths = np.diff(cells.offsets).astype(np.int64)
    if cells.valid is not None:
        lengths = np.where(cells.valid, lengths, 0)
    is_null = np.zeros(len(cells), dtype=np.bool_) if cells.valid is None else ~cells.valid
    if plaintext.pad is None:
        sizes = lengths + (marked | (is_null & nulls))
        firsts = np.where(is_null, NULL, ESCAPED)
        has_first = marked | (is_null & nulls)
    else:
        sizes = -(-(lengths + 2) // plaintext.pad) * plaintext.pad
        firsts = np.where(is_null, NULL, PADDED)
        has_first = np.ones(len(cells), dtype=np.bool_)
        if not nulls:
            has_first &= ~is_null
            sizes = np.where(is_null, 0, sizes)
    offsets = offsets_of(sizes)
    data = np.zeros(int(offsets[-1]), dtype=np.uint8)
    data[offsets[:-1][has_first]] = firsts[has_first]
    _copy(cells, lengths, data, offsets[:-1] + has_first)
    if plaintext.pad is not None:
        data[(offsets[:-1] + 1 + lengths)[~is_null]] = _PADDING
    return Cells(data, offsets, None if nulls else cells.valid)


def unframe(plain: pa.BinaryArray, failed: Index) -> tuple[pa.BinaryArray, Index]:
    """Give the values of plaintexts, and the rows that failed, with those that are framed in no known way."""
    cells = cells_of(plain)
    marked = _begins_with_mark(cells)
    if not marked.any():
        return plain, failed
    starts = cells.offsets[:-1].astype(np.int64)
    lengths = np.diff(cells.offsets).astype(np.int64)
    rows = np.flatnonzero(marked)
    marks = cells.data[starts[rows]]
    valid = np.ones(len(cells), dtype=np.bool_) if cells.valid is None else cells.valid.copy()
    lengths = np.where(valid, lengths, 0)
    valid[rows[marks == NULL]] = False
    ends = starts + lengths
    wrong = rows[marks > PADDED]
    padded = rows[marks == PADDED]
    if len(padded):
        filled = np.flatnonzero(cells.data != 0)
        last = filled[np.searchsorted(filled, ends[padded]) - 1]
        ends[padded] = last
        wrong = np.concatenate([wrong, padded[(cells.data[last] != _PADDING) | (last <= starts[padded])]])
    starts = starts + marked
    valid[wrong] = False
    sizes = np.where(valid, ends - starts, 0)
    offsets = offsets_of(sizes)
    data = np.zeros(int(offsets[-1]), dtype=np.uint8)
    _copy_from(cells.data, starts, sizes, data, offsets[:-1])
    return binary_array(offsets, data, valid), np.concatenate([failed, wrong])


def _begins_with_mark(cells: Cells) -> Valid:
    starts = cells.offsets[:-1]
    filled = starts < cells.offsets[1:]
    if cells.valid is not None:
        filled &= cells.valid
    if not len(cells.data):
        return filled
    marked: Valid = cells.data[np.minimum(starts, len(cells.data) - 1)] >= _FIRST_MARK
    return marked & filled


def _copy(cells: Cells, lengths: Index, to: Bytes, to_starts: Index) -> None:
    _copy_from(cells.data, cells.offsets[:-1].astype(np.int64), lengths, to, to_starts)


def _copy_from(data: Bytes, starts: Index, lengths: Index, to: Bytes, to_starts: Index) -> None:
    """Copy values of any lengths from their starts to others."""
    steps = np.arange(int(lengths.sum())) - np.repeat(offsets_of(lengths)[:-1], lengths)
    to[steps + np.repeat(to_starts, lengths)] = data[steps + np.repeat(starts, lengths)]


def _bound(column: pa.StringArray) -> pa.Array:
    """Make a column of associated data: null is not the empty text."""
    return pc.fill_null(pc.binary_join_element_wise("\x01", column, ""), "\x00")


def _fixed(rows: Bytes) -> pa.BinaryArray:
    offsets = np.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
    return binary_array(offsets, rows.reshape(-1), None)


def _groups(headers: Words, present: Valid) -> list[tuple[bytes, Index]]:
    """Give each header that occurs, with its rows."""
    rows = np.flatnonzero(present)
    found = headers[rows]
    if len(found) and (found == found[0]).all():
        return [(int(found[0]).to_bytes(HEADER_BYTES, "little"), rows)]
    return [(int(one).to_bytes(HEADER_BYTES, "little"), rows[found == one]) for one in np.unique(found)]


def open_framed(
    cells: Cells, header: bytes, key: bytes, place: Place, bound: Sequence[pa.Array]
) -> tuple[pa.BinaryArray, Index]:
    """Decrypt cells that all have the same header (5 bytes) to plaintexts; give them, and the rows that failed."""
    associated: list[bytes | pa.Array] = [place.encode(header), *(_bound(column) for column in bound)]
    prefix = HEADER_BYTES
    if header[0] == RANDOM:
        prefix += NONCE_BYTES
        starts = cells.offsets[:-1].astype(np.int64) + HEADER_BYTES
        associated.append(_fixed(gather(cells.data, starts, NONCE_BYTES)))
    return open_values(Siv(key), cells, associated, prefix)


def _merge(pieces: list[pa.Array], order: list[Index], count: int) -> pa.BinaryArray:
    """Put decrypted groups back into the order of the rows; the other rows are null."""
    if not pieces:
        return pa.nulls(count, pa.binary())
    source = np.full(count, -1, dtype=np.int64)
    rows = np.concatenate(order)
    source[rows] = np.arange(len(rows))
    joined = pa.chunked_array(pieces).combine_chunks() if len(pieces) > 1 else pieces[0]
    return joined.take(pa.array(source, mask=source < 0))
