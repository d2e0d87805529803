"""AES-SIV (RFC 5297) over a whole column, byte-identical to a library's AES-SIV of every cell.

Associated data is a list of components, as in the RFC. A component is the same for all cells (bytes), or a column with
one value per cell: a random nonce, or the columns that a cell is bound to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pydp_cli.crypto import self_test
from pydp_cli.crypto.blocks import (
    BLOCK,
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
from pydp_cli.crypto.columns import Bytes, Cells, Index, Valid, Values, binary_array, cells_of, offsets_of
from pydp_cli.crypto.s2v import Associated, Finisher
from pydp_cli.crypto.siv_cipher import Siv
from pydp_cli.errors import Tampered

AssociatedData = Sequence["bytes | pa.Array"]
Part = tuple[int, "Index | slice"]


@dataclass(frozen=True)
class _Work:
    """A batch of cells, whose first row is the column's row `first`, and where the results go."""

    siv: Siv
    values: Values
    associated: Associated
    first: int
    out: Bytes
    out_starts: Index

    def finisher(self) -> Finisher:
        """Fold the associated data of the batch."""
        mac = self.siv.mac
        return Finisher(mac, self.associated.digest(mac, slice(self.first, self.first + len(self.values))))

    def components(self, row: int) -> list[bytes]:
        """Give the associated data of one cell."""
        return self.associated.at(self.first + row)

    def plan(self) -> tuple[list[Part], bool, Index]:
        """Give the groups for the kernel, cut to fit the cache; whether there is only one; the rows for the library."""
        valid = self.values.valid
        counts = block_counts(self.values.lengths)
        present = None if valid is None else np.flatnonzero(valid)
        kernel: list[Part] = []
        alone: list[Index] = []
        found = list(groups(counts if present is None else counts[present]))
        for count, places in found:
            rows = places if present is None else present[places]
            size = len(self.values) if isinstance(rows, slice) else len(rows)
            if self_test.passed("siv") and worth_a_kernel(count, size):
                kernel.extend((count, part) for part in parts(count, rows, size))
            else:
                alone.append(np.arange(len(self.values), dtype=np.int64)[rows])
        return kernel, present is None and len(found) == 1, np.concatenate(alone) if alone else _NO_ROWS

    def one_by_one(self, rows: Index) -> Iterator[tuple[int, int, int, int]]:
        """Give for each of some rows itself, where it begins and ends in the data, and where it goes."""
        for (row, begin, end), to in zip(self.values.spans(rows), self.out_starts[rows].tolist(), strict=True):
            yield row, begin, end, to

    def sampled(self, random: bytes) -> int | None:
        """Choose a row to check, unless it is null or the library did all of them."""
        row = self_test.sample(random, len(self.values)) if self_test.passed("siv") else None
        return None if row is None or (self.values.valid is not None and not self.values.valid[row]) else row


_NO_ROWS: Index = np.zeros(0, dtype=np.int64)


def encrypt(key: bytes, column: pa.Array, associated_data: AssociatedData = ()) -> pa.BinaryArray:
    """Encrypt a text or binary column: each cell becomes SIV (16 bytes) and ciphertext. Null stays null.

    `key` has 32, 48 or 64 bytes. Without a nonce among the associated data, equal cells have equal ciphertexts.
    """
    return encrypt_values(Siv(key), cells_of(column), associated_data)


def encrypt_values(siv: Siv, cells: Cells, associated_data: AssociatedData, prefix: Bytes | None = None) -> pa.Array:
    """Encrypt cells, each with its own `prefix` (`[n, p]` bytes, not encrypted) in front of its SIV."""
    sealed = seal_values(siv, cells, associated_data, prefix)
    return binary_array(np.asarray(sealed.offsets, dtype=np.int64), sealed.data, sealed.valid)


def seal_values(
    siv: Siv, cells: Cells, associated_data: AssociatedData, prefix: Bytes | None = None, *, align: int = 1
) -> Cells:
    """Encrypt cells as `encrypt_values` does, each from a multiple of `align` bytes on, with zeros between them."""
    front = np.zeros((len(cells), 0), dtype=np.uint8) if prefix is None else prefix
    room = front.shape[1] + BLOCK
    associated = Associated.of(associated_data, len(cells))
    out = np.empty(cells.size + (room + align - 1) * len(cells) + BLOCK, dtype=np.uint8)
    offsets = np.zeros(len(cells) + 1, dtype=np.int64)
    lengths = None if align == 1 else np.empty(len(cells), dtype=np.int64)
    for place, batch in cells.batches():
        grown = batch.lengths + room
        if batch.valid is not None:
            grown = np.where(batch.valid, grown, 0)
        if lengths is not None:
            lengths[place] = grown
            grown = -(-grown // align) * align
        ends = offsets_of(grown) + offsets[place.start]
        offsets[place.start + 1 : place.stop + 1] = ends[1:]
        _seal(_Work(siv, batch, associated, place.start, out, ends[:-1]), front[place])
    if lengths is not None:
        ends, gaps = offsets[:-1] + lengths, np.diff(offsets) - lengths
        for step in range(align - 1):
            out[(ends + step)[gaps > step]] = 0
    return Cells(out[: int(offsets[-1])], offsets, cells.valid, lengths)


def _seal(work: _Work, front: Bytes) -> None:
    """Encrypt a batch.

    A group of rows is stored with whole last blocks, over the next cells' first 15 bytes. Where a batch has several
    groups, bodies are therefore stored before heads (prefix and SIV); what the library made is exact and comes last.
    """
    values, out, head = work.values, work.out, front.shape[1]
    finisher = work.finisher()
    kernel, only_one, alone = work.plan()
    tags = np.empty((len(values), 2), dtype=np.uint64)
    for count, part in kernel:
        made, texts = _seal_group(work.siv, finisher, values.take(part), count, part)
        if only_one:
            cells = np.empty((len(made), head + BLOCK * (count + 1)), dtype=np.uint8)
            cells[:, :head] = front[part]
            put(cells, head, [made, *texts])
            scatter(out, work.out_starts[part], cells)
            continue
        bodies = np.empty((len(made), BLOCK * count), dtype=np.uint8)
        put(bodies, 0, texts)
        scatter(out, work.out_starts[part] + head + BLOCK, bodies)
        as_items(tags)[part] = as_items(made)
    data, cells_out = values.data.data, out.data
    for row, begin, end, to in work.one_by_one(alone):
        cell = work.siv.seal_one(bytes(data[begin:end]), work.components(row))
        tags[row] = np.frombuffer(cell[:BLOCK], dtype=np.uint64)
        cells_out[to + head + BLOCK : to + head + len(cell)] = cell[BLOCK:]
    if not only_one or len(alone):
        _store_heads(work, front, tags)
    _check_sealed(work, head)


def _store_heads(work: _Work, front: Bytes, tags: Words) -> None:
    """Store the prefix and the SIV of every cell that is not null."""
    rows = slice(None) if work.values.valid is None else np.flatnonzero(work.values.valid)
    starts = work.out_starts[rows]
    if not len(starts):
        return
    heads = np.empty((len(starts), front.shape[1] + BLOCK), dtype=np.uint8)
    heads[:, : front.shape[1]] = front[rows]
    put(heads, front.shape[1], [as_items(tags)[rows].view(np.uint64).reshape(-1, 2)])
    scatter(work.out, starts, heads)


def _check_sealed(work: _Work, head: int) -> None:
    """Compare one cell with the library's."""
    begin = int(work.out_starts[0]) + head
    row = work.sampled(work.out[begin : begin + BLOCK].tobytes())
    if row is not None:
        expected = work.siv.seal_one(work.values.value(row), work.components(row))
        begin = int(work.out_starts[row]) + head
        self_test.compare(work.out[begin : begin + len(expected)].tobytes(), expected)


def _seal_group(
    siv: Siv, finisher: Finisher, values: Values, count: int, rows: Index | slice
) -> tuple[Words, list[Words]]:
    """Give the SIVs of values of `count` blocks, and their ciphertexts block by block."""
    if count == 0:
        return finisher([np.zeros((len(values), 2), dtype=np.uint64)], values.lengths, rows), []
    blocks = split(gather(values.data, values.starts, BLOCK * count), 0, count)
    tags = finisher(blocks, values.lengths, rows)
    return tags, [block ^ mask for block, mask in zip(blocks, siv.key_stream(tags, count), strict=True)]


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
        good[place] = _open(_Work(siv, sealed, associated, place.start, out, ends[:-1]))
    failed = np.flatnonzero(~good if cells.valid is None else cells.valid & ~good)
    all_good = cells.valid is None and not len(failed)
    return binary_array(offsets, out, None if all_good else good), failed


def _open(work: _Work) -> Valid:
    """Decrypt a batch: `lengths` are those of the plaintexts, `starts` those of the SIVs. Tell which are authentic.

    Last blocks are stored whole, over the first blocks of the next values. Where a batch has several groups, all
    values' first blocks are therefore stored after the others, in the order of the rows; what the library made is
    exact and comes last.
    """
    values, out = work.values, work.out
    good = np.zeros(len(values), dtype=np.bool_)
    finisher = work.finisher()
    kernel, only_one, alone = work.plan()
    heads = np.empty((len(values), 2), dtype=np.uint64)
    has_head = np.zeros(len(values), dtype=np.bool_)
    for count, part in kernel:
        blocks, good[part] = _open_group(work.siv, finisher, values.take(part), count, part)
        if not count:
            continue
        bodies = blocks if only_one else blocks[1:]
        rows = np.empty((len(blocks[0]), BLOCK * len(bodies)), dtype=np.uint8)
        put(rows, 0, bodies)
        scatter(out, work.out_starts[part] + BLOCK * (count - len(bodies)), rows)
        if not only_one:
            as_items(heads)[part] = as_items(blocks[0])
            has_head[part] = True
    stored = np.flatnonzero(has_head)
    scatter(out, work.out_starts[stored], as_items(heads)[stored].view(np.uint8).reshape(-1, BLOCK))
    data, texts = values.data.data, out.data
    for row, begin, end, to in work.one_by_one(alone):
        plain = work.siv.open_one(bytes(data[begin : end + BLOCK]), work.components(row))
        good[row] = plain is not None
        texts[to : to + end - begin] = bytes(end - begin) if plain is None else plain
    _check_opened(work, good)
    return good


def _check_opened(work: _Work, good: Valid) -> None:
    """Compare one cell with the library's."""
    values, begin = work.values, int(work.values.starts[0])
    row = work.sampled(values.data[begin : begin + BLOCK].tobytes())
    if row is not None:
        begin, length, to = int(values.starts[row]), int(values.lengths[row]), int(work.out_starts[row])
        expected = work.siv.open_one(values.data[begin : begin + BLOCK + length].tobytes(), work.components(row))
        self_test.compare(work.out[to : to + length].tobytes() if good[row] else None, expected)


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
