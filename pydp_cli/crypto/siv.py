"""AES-SIV (RFC 5297) over a whole column, byte-identical to a library's AES-SIV of every cell.

Associated data is a list of components, as in the RFC. A component is the same for all cells (bytes), or a column with
one value per cell: a random nonce, or the columns that a cell is bound to.
"""

from __future__ import annotations

import hmac
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from pydp_cli.crypto import self_test
from pydp_cli.crypto.blocks import (
    BLOCK,
    BlockCipher,
    Words,
    as_items,
    block_counts,
    gather,
    groups,
    parts,
    put,
    scatter,
    split,
    worth_a_kernel,
)
from pydp_cli.crypto.cmac import Cmac
from pydp_cli.crypto.columns import Bytes, Cells, Index, Valid, Values, binary_array, cells_of, offsets_of
from pydp_cli.crypto.s2v import Associated, Finisher, s2v_of_one
from pydp_cli.errors import Tampered

AssociatedData = Sequence["bytes | pa.Array"]


class Siv:
    """AES-SIV under one key of 32, 48 or 64 bytes: half for the MAC, half for the counter mode."""

    def __init__(self, key: bytes) -> None:
        if len(key) not in (32, 48, 64):
            raise ValueError("an AES-SIV key has 32, 48 or 64 bytes")
        half = len(key) // 2
        self.mac = Cmac(key[:half])
        self.stream = BlockCipher(key[half:])
        self._library = AESSIV(key)

    def seal_one(self, plain: bytes, components: list[bytes]) -> bytes:
        """Encrypt one cell, by the library; without it where OpenSSL had its own mind (CVE-2023-2975)."""
        if plain == b"" or b"" in components:
            tag = s2v_of_one(self.mac, components, plain)
            return tag + self.count_up_one(plain, tag)
        return self._library.encrypt(plain, components)

    def open_one(self, sealed: bytes, components: list[bytes]) -> bytes | None:
        """Decrypt one cell, by the library; None where it fails."""
        if len(sealed) <= BLOCK or b"" in components:
            tag = sealed[:BLOCK]
            plain = self.count_up_one(sealed[BLOCK:], tag) if len(tag) == BLOCK else b""
            return plain if hmac.compare_digest(tag, s2v_of_one(self.mac, components, plain)) else None
        try:
            return self._library.decrypt(sealed, components)
        except InvalidTag:
            return None

    def count_up_one(self, text: bytes, tag: bytes) -> bytes:
        """XOR the key stream of a tag into one cell."""
        if not text:
            return b""
        count = -(-len(text) // BLOCK)
        first = np.frombuffer(tag, dtype=np.uint64).reshape(1, 2)
        stream = b"".join(block.tobytes() for block in self.key_stream(first, count))
        return bytes(a ^ b for a, b in zip(text, stream, strict=False))

    def key_stream(self, tags: Words, count: int) -> list[Words]:
        """Give `count` blocks of key stream for each tag.

        RFC 5297 section 2.6: the counter starts at the SIV with bits 63 and 31 cleared, so that adding a block's
        position, below 2^31, never carries beyond the last 32 bits.
        """
        counters = tags.copy()
        counters[:, 1] &= _CLEAR
        last = counters.view(np.uint32).reshape(-1, 4)[:, 3]
        low = last.byteswap() if sys.byteorder == "little" else last.copy()
        blocks = [self.stream.encrypt(counters)]
        for place in range(1, count):
            number = low + np.uint32(place)
            last[:] = number.byteswap() if sys.byteorder == "little" else number
            blocks.append(self.stream.encrypt(counters))
        return blocks


_CLEAR = np.frombuffer(b"\x7f\xff\xff\xff" * 2, dtype=np.uint64)[0]


def encrypt(key: bytes, column: pa.Array, associated_data: AssociatedData = ()) -> pa.BinaryArray:
    """Encrypt a text or binary column: each cell becomes SIV (16 bytes) and ciphertext. Null stays null.

    `key` has 32, 48 or 64 bytes. Without a nonce among the associated data, equal cells have equal ciphertexts.
    """
    return encrypt_values(Siv(key), cells_of(column), associated_data)


def encrypt_values(siv: Siv, cells: Cells, associated_data: AssociatedData, prefix: Bytes | None = None) -> pa.Array:
    """Encrypt cells, each with its own `prefix` (`[n, p]` bytes, not encrypted) in front of its SIV."""
    head = 0 if prefix is None else prefix.shape[1]
    room = head + BLOCK
    associated = Associated.of(associated_data, len(cells))
    out = np.empty(cells.size + room * len(cells) + BLOCK, dtype=np.uint8)
    offsets = np.zeros(len(cells) + 1, dtype=np.int64)
    for place, batch in cells.batches():
        grown = batch.lengths + room
        if batch.valid is not None:
            grown = np.where(batch.valid, grown, 0)
        ends = offsets_of(grown) + offsets[place.start]
        offsets[place.start + 1 : place.stop + 1] = ends[1:]
        front = np.empty((len(batch), head), dtype=np.uint8) if prefix is None else prefix[place]
        _seal_batch(siv, batch, associated, place.start, front, out, ends[:-1])
    return binary_array(offsets, out, cells.valid)


def _seal_batch(  # noqa: PLR0917 - the parts of one computation
    siv: Siv, batch: Values, associated: Associated, first: int, front: Bytes, out: Bytes, out_starts: Index
) -> None:
    """Encrypt a batch, whose first row is the column's row `first`, into `out`.

    A group of rows is stored with whole last blocks, over the next cells' first 15 bytes. Where a batch has several
    groups, bodies are therefore stored before heads (prefix and SIV); what the library made is exact and comes last.
    """
    head = front.shape[1]
    finisher = Finisher(siv.mac, associated.digest(siv.mac, slice(first, first + len(batch))))
    alone: list[Index] = []
    heads: tuple[Bytes, Valid] | None = None
    trusted = self_test.passed()
    for count, rows in _groups_of_present(block_counts(batch.lengths), batch.valid):
        size = len(batch) if isinstance(rows, slice) else len(rows)
        if not (trusted and worth_a_kernel(count, size)):
            alone.append(np.arange(len(batch), dtype=np.int64)[rows])
            continue
        whole = size == len(batch)
        if not whole and heads is None:
            heads = np.empty((len(batch), head + BLOCK), dtype=np.uint8), np.zeros(len(batch), dtype=np.bool_)
        for part in parts(count, rows, size):
            values = batch.take(part)
            tags, texts = _seal_group(siv, finisher, values, count, part)
            if heads is None:
                cells = np.empty((len(values), head + BLOCK * (count + 1)), dtype=np.uint8)
                cells[:, :head] = front[part]
                put(cells, head, [tags, *texts])
                scatter(out, out_starts[part], cells)
                continue
            bodies = np.empty((len(values), BLOCK * count), dtype=np.uint8)
            put(bodies, 0, texts)
            scatter(out, out_starts[part] + head + BLOCK, bodies)
            made = np.empty((len(values), head + BLOCK), dtype=np.uint8)
            made[:, :head] = front[part]
            put(made, head, [tags])
            width = f"V{head + BLOCK}"
            heads[0].view(width).reshape(-1)[part] = made.view(width).reshape(-1)
            heads[1][part] = True
    if heads is not None:
        stored = np.flatnonzero(heads[1])
        scatter(out, out_starts[stored], heads[0] if len(stored) == len(batch) else heads[0][stored])
    for row in np.concatenate(alone).tolist() if alone else ():
        cell = front[row].tobytes() + siv.seal_one(batch.value(row), associated.at(first + row))
        out[int(out_starts[row]) : int(out_starts[row]) + len(cell)] = np.frombuffer(cell, dtype=np.uint8)
    if trusted:
        _check_sample(siv, batch, associated, first, head, out, out_starts)


def _check_sample(  # noqa: PLR0917 - the parts of one computation
    siv: Siv, batch: Values, associated: Associated, first: int, head: int, out: Bytes, out_starts: Index
) -> None:
    """Compare one cell with the library's."""
    begin = int(out_starts[0]) + head
    row = self_test.sample(out[begin : begin + BLOCK].tobytes(), len(batch))
    if row is None or (batch.valid is not None and not batch.valid[row]):
        return
    begin = int(out_starts[row]) + head
    expected = siv.seal_one(batch.value(row), associated.at(first + row))
    self_test.compare(out[begin : begin + len(expected)].tobytes(), expected)


def _groups_of_present(counts: Index, valid: Valid | None) -> list[tuple[int, Index | slice]]:
    """Give each number of blocks with its rows, without those that are null."""
    if valid is None:
        return list(groups(counts))
    present = np.flatnonzero(valid)
    return [(count, present[rows]) for count, rows in groups(counts[present])]


def _seal_group(
    siv: Siv, finisher: Finisher, values: Values, count: int, rows: Index | slice
) -> tuple[Words, list[Words]]:
    """Give the SIVs of values of `count` blocks, and their ciphertexts block by block."""
    if count == 0:
        return finisher([np.zeros((len(values), 2), dtype=np.uint64)], values.lengths, rows), []
    blocks = split(gather(values.data, values.starts, BLOCK * count), 0, count)
    tags = finisher(blocks, values.lengths, rows)
    stream = siv.key_stream(tags, count)
    return tags, [block ^ mask for block, mask in zip(blocks, stream, strict=True)]


def decrypt(key: bytes, column: pa.Array, associated_data: AssociatedData = ()) -> pa.BinaryArray:
    """Decrypt a column of SIV and ciphertext. If any cell fails, raises `Tampered` and releases nothing."""
    plain, failed = open_values(Siv(key), cells_of(column), associated_data)
    if len(failed):
        raise Tampered(
            f"{len(failed)} cells failed authentication",
            hint="they were altered, moved, or encrypted under another key",
            rows=tuple(int(row) for row in failed[:5]),
        )
    return plain


def open_values(siv: Siv, cells: Cells, associated_data: AssociatedData, prefix: int = 0) -> tuple[pa.Array, Index]:
    """Decrypt cells that have `prefix` bytes in front of their SIV; give the plaintexts, and the rows that failed.

    A row that failed is null in what is given, and its bytes are zero; the caller decides whether the rest may be
    released.
    """
    room = prefix + BLOCK
    associated = Associated.of(associated_data, len(cells))
    out = np.empty(cells.size + BLOCK, dtype=np.uint8)
    offsets = np.zeros(len(cells) + 1, dtype=np.int64)
    good = np.zeros(len(cells), dtype=np.bool_)
    for place, batch in cells.batches():
        present = batch.lengths >= room
        if batch.valid is not None:
            present &= batch.valid
        lengths = np.where(present, batch.lengths - room, 0)
        ends = offsets_of(lengths) + offsets[place.start]
        offsets[place.start + 1 : place.stop + 1] = ends[1:]
        sealed = Values(batch.data, batch.starts + prefix, lengths, None if present.all() else present)
        good[place] = _open_batch(siv, sealed, associated, place.start, out, ends[:-1])
    failed = np.flatnonzero(~good if cells.valid is None else cells.valid & ~good)
    all_good = cells.valid is None and not len(failed)
    return binary_array(offsets, out, None if all_good else good), failed


def _open_batch(  # noqa: PLR0917 - the parts of one computation
    siv: Siv, batch: Values, associated: Associated, first: int, out: Bytes, out_starts: Index
) -> Valid:
    """Decrypt a batch into `out`; `lengths` are those of the plaintexts, `starts` those of the SIVs.

    Last blocks are stored whole, over the first blocks of the next values. Where a batch has several groups, all
    values' first blocks are therefore stored after the others, in the order of the rows.
    """
    good = np.zeros(len(batch), dtype=np.bool_)
    finisher = Finisher(siv.mac, associated.digest(siv.mac, slice(first, first + len(batch))))
    alone: list[Index] = []
    heads: tuple[Words, Valid] | None = None
    trusted = self_test.passed()
    for count, rows in _groups_of_present(block_counts(batch.lengths), batch.valid):
        size = len(batch) if isinstance(rows, slice) else len(rows)
        if not (trusted and worth_a_kernel(count, size)):
            alone.append(np.arange(len(batch), dtype=np.int64)[rows])
            continue
        if size < len(batch) and heads is None:
            heads = np.empty((len(batch), 2), dtype=np.uint64), np.zeros(len(batch), dtype=np.bool_)
        for part in parts(count, rows, size):
            values = batch.take(part)
            blocks, good[part] = _open_group(siv, finisher, values, count, part)
            if count == 0:
                continue
            stored = slice(0, None) if heads is None else slice(1, None)
            bodies = np.empty((len(values), BLOCK * len(blocks[stored])), dtype=np.uint8)
            put(bodies, 0, blocks[stored])
            scatter(out, out_starts[part] + (0 if heads is None else BLOCK), bodies)
            if heads is not None:
                as_items(heads[0])[part] = as_items(blocks[0])
                heads[1][part] = True
    if heads is not None:
        stored_rows = np.flatnonzero(heads[1])
        blocks_of = as_items(heads[0])[stored_rows].view(np.uint8).reshape(-1, BLOCK)
        scatter(out, out_starts[stored_rows], blocks_of)
    for row in np.concatenate(alone).tolist() if alone else ():
        good[row] = _open_alone(siv, batch, associated.at(first + row), row, out, int(out_starts[row]))
    return good


def _sealed_cell(batch: Values, row: int) -> bytes:
    start = int(batch.starts[row])
    return batch.data[start : start + BLOCK + int(batch.lengths[row])].tobytes()


def _open_alone(  # noqa: PLR0917 - the parts of one computation
    siv: Siv, batch: Values, components: list[bytes], row: int, out: Bytes, start: int
) -> bool:
    plain = siv.open_one(_sealed_cell(batch, row), components)
    text = bytes(int(batch.lengths[row])) if plain is None else plain
    out[start : start + len(text)] = np.frombuffer(text, dtype=np.uint8)
    return plain is not None


def _open_group(
    siv: Siv, finisher: Finisher, values: Values, count: int, rows: Index | slice
) -> tuple[list[Words], Valid]:
    """Give the plaintexts of values of `count` blocks, block by block, and which are authentic; the others are zero."""
    tags, *blocks = split(gather(values.data, values.starts, BLOCK * (count + 1)), 0, count + 1)
    if count:
        blocks = [block ^ mask for block, mask in zip(blocks, siv.key_stream(tags, count), strict=True)]
    expected = finisher(blocks or [np.zeros((len(values), 2), dtype=np.uint64)], values.lengths, rows)
    good = (tags[:, 0] == expected[:, 0]) & (tags[:, 1] == expected[:, 1])
    if not good.all():
        for block in blocks:
            block[~good] = 0
    return blocks, good
