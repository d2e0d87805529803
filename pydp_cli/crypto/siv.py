"""AES-SIV (RFC 5297) over a whole column, byte-identical to a library's AES-SIV of every cell.

Associated data is a list of components, as in the RFC. A component is the same for all cells (bytes), or a column with
one value per cell: a random nonce, or the columns that a cell is bound to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pydp_cli.crypto.cmac import BlockCipher, Cmac, chain, double, double_blocks
from pydp_cli.crypto.columns import (
    BLOCK,
    KEEP,
    LONG_BLOCKS,
    PAD,
    Bytes,
    Index,
    Values,
    Words,
    as_blocks,
    as_words,
    binary_array,
    block_counts,
    loads,
    values_of,
)
from pydp_cli.errors import Tampered

AssociatedData = Sequence["bytes | pa.Array"]
CLEAR_COUNTER_BITS = np.frombuffer(b"\xff" * 8 + b"\x7f\xff\xff\xff" * 2, dtype=np.uint64)
"""RFC 5297 section 2.6: the counter starts at the SIV with bits 63 and 31 cleared."""


class Siv:
    """AES-SIV under one key of 32, 48 or 64 bytes: half for the MAC, half for the counter mode."""

    def __init__(self, key: bytes) -> None:
        if len(key) not in (32, 48, 64):
            raise ValueError("an AES-SIV key has 32, 48 or 64 bytes")
        half = len(key) // 2
        self.mac = Cmac(key[:half])
        self.stream = BlockCipher(key[half:])


def encrypt(key: bytes, column: pa.Array, associated_data: AssociatedData = ()) -> pa.BinaryArray:
    """Encrypt a text or binary column: each cell becomes SIV (16 bytes) and ciphertext. Null stays null.

    `key` has 32, 48 or 64 bytes. Without a nonce among the associated data, equal cells have equal ciphertexts.
    """
    return encrypt_values(Siv(key), values_of(column), associated_data)


def encrypt_values(siv: Siv, values: Values, associated_data: AssociatedData, prefix: Bytes | None = None) -> pa.Array:
    """Encrypt values, each with its own `prefix` (`[n, p]` bytes, not encrypted) in front of its SIV."""
    room = BLOCK + (0 if prefix is None else prefix.shape[1])
    out_lengths = values.lengths + room
    if values.valid is not None:
        out_lengths = np.where(values.valid, out_lengths, 0)
    ends = np.cumsum(out_lengths)
    out_starts = ends - out_lengths
    out = np.zeros(int(ends[-1] if len(ends) else 0) + room + BLOCK, dtype=np.uint8)
    digests = digest_associated(siv, associated_data, len(values))
    for place, batch in values.slices():
        rows = slice(None) if batch.valid is None else np.flatnonzero(batch.valid)
        chosen = _rows(batch, rows)
        part = digests if isinstance(digests, bytes) else digests[place][rows]
        tags = s2v(siv, chosen, part)
        starts = out_starts[place][rows]
        _count_up(siv, chosen, tags, out, starts + room, reverse=False)
        loads(out)[starts + room - BLOCK] = as_blocks(tags)
        if prefix is not None:
            _put(out, starts, prefix[place][rows])
    return binary_array(out_lengths, out, values.valid)


def decrypt(key: bytes, column: pa.Array, associated_data: AssociatedData = ()) -> pa.BinaryArray:
    """Decrypt a column of SIV and ciphertext. If any cell fails, raises `Tampered` and releases nothing."""
    plain, failed = open_values(Siv(key), values_of(column), associated_data)
    if len(failed):
        raise Tampered(
            f"{len(failed)} cells failed authentication",
            hint="they were altered, moved, or encrypted under another key",
            rows=tuple(int(row) for row in failed[:5]),
        )
    return plain


def open_values(siv: Siv, values: Values, associated_data: AssociatedData, prefix: int = 0) -> tuple[pa.Array, Index]:
    """Decrypt values that have `prefix` bytes in front of their SIV; give the plaintexts, and the rows that failed.

    A row that failed is null in what is given; the caller decides whether the rest may be released.
    """
    room = prefix + BLOCK
    present = np.ones(len(values), dtype=np.bool_) if values.valid is None else values.valid
    long_enough = present & (values.lengths >= room)
    lengths = np.where(long_enough, values.lengths - room, 0)
    ends = np.cumsum(lengths)
    out_starts = ends - lengths
    out = np.zeros(int(ends[-1] if len(ends) else 0) + BLOCK, dtype=np.uint8)
    bodies = Values(values.data, values.starts + room, lengths, None)
    digests = digest_associated(siv, associated_data, len(values))
    good = long_enough.copy()
    for first in range(0, len(values), _OPEN_ROWS):
        place = slice(first, min(first + _OPEN_ROWS, len(values)))
        rows = np.flatnonzero(long_enough[place]) + first
        if not len(rows):
            continue
        tags = as_words(loads(values.data)[values.starts[rows] + prefix])
        _count_up(siv, _rows(bodies, rows), tags, out, out_starts[rows], reverse=True)
        plain = Values(out, out_starts[rows], lengths[rows], None)
        expected = s2v(siv, plain, digests if isinstance(digests, bytes) else digests[rows])
        good[rows] = (tags == expected).all(axis=1)
    failed = np.flatnonzero(present & ~good)
    for row in failed:
        out[out_starts[row] : out_starts[row] + lengths[row]] = 0
    all_good = values.valid is None and not len(failed)
    return binary_array(lengths, out, None if all_good else good), failed


_OPEN_ROWS = 4096


def digest_associated(siv: Siv, associated_data: AssociatedData, count: int) -> bytes | Words:
    """Fold the associated data into S2V's running value: one for all cells, or one per cell `[n, 2]`."""
    running: bytes | Words = siv.mac.one(bytes(BLOCK))
    for component in associated_data:
        if isinstance(component, bytes):
            mac = siv.mac.one(component)
            if isinstance(running, bytes):
                running = bytes(a ^ b for a, b in zip(double(running), mac, strict=True))
            else:
                running = double_blocks(running) ^ np.frombuffer(mac, dtype=np.uint64)
            continue
        cells = values_of(component)
        if len(cells) != count:
            raise ValueError("a column of associated data must be as long as the column")
        if cells.valid is not None:
            raise ValueError("a column of associated data must not have nulls")
        macs = np.empty((count, 2), dtype=np.uint64)
        for place, batch in cells.slices():
            macs[place] = siv.mac.of(batch)
        if isinstance(running, bytes):
            macs ^= np.frombuffer(double(running), dtype=np.uint64)
            running = macs
        else:
            running = double_blocks(running) ^ macs
    return running


def s2v(siv: Siv, plain: Values, digest: bytes | Words) -> Words:
    """Give the synthetic IV of each value, `[n, 2]`, from the folded associated data."""
    counts = np.maximum(block_counts(plain.lengths), 1)
    if int(counts.max(initial=1)) > LONG_BLOCKS:
        return _s2v_with_long_values(siv, plain, digest, counts)
    remainders = plain.lengths - (counts - 1) * BLOCK
    if isinstance(digest, bytes):
        last, before_last, short = _constant_masks(siv, digest)
        masks = np.where((counts == 1)[:, None] & (plain.lengths < BLOCK)[:, None], short[remainders], last[remainders])
        return chain(siv.mac.cipher, plain, counts, KEEP[remainders], masks, before_last[remainders])
    shifted, carried = _shifted(digest, remainders)
    masks = siv.mac.last[remainders] ^ shifted
    small = np.flatnonzero(plain.lengths < BLOCK)
    if len(small):
        k1 = np.frombuffer(siv.mac.k1, dtype=np.uint64)
        masks[small] = double_blocks(digest[small]) ^ PAD[remainders[small]] ^ k1
    return chain(siv.mac.cipher, plain, counts, KEEP[remainders], masks, carried)


def _constant_masks(siv: Siv, digest: bytes) -> tuple[Words, Words, Words]:
    """Tabulate by length of the last block what S2V XORs into it, into the one before it, and into a short value."""
    ends = [(bytes(16) + digest)[16 + 16 - r : 32].ljust(16, b"\0") for r in range(BLOCK + 1)]
    carries = [bytes(r) + digest[: 16 - r] for r in range(BLOCK + 1)]
    last = siv.mac.last ^ np.frombuffer(b"".join(ends), dtype=np.uint64).reshape(-1, 2)
    before_last = np.frombuffer(b"".join(carries), dtype=np.uint64).reshape(-1, 2)
    doubled = np.frombuffer(double(digest), dtype=np.uint64)
    return last, before_last, PAD ^ doubled ^ np.frombuffer(siv.mac.k1, dtype=np.uint64)


def _shifted(digest: Words, remainders: Index) -> tuple[Words, Words]:
    """Split each row's digest over its last two blocks: the last `remainder` bytes, and those before them."""
    padded = np.zeros((len(digest), 3 * BLOCK), dtype=np.uint8)
    padded[:, BLOCK : 2 * BLOCK] = digest.view(np.uint8).reshape(-1, BLOCK)
    base = np.arange(len(digest), dtype=np.int64) * (3 * BLOCK) + BLOCK - remainders
    at = loads(padded.reshape(-1))
    return as_words(at[base + BLOCK]), as_words(at[base])


def _s2v_with_long_values(siv: Siv, plain: Values, digest: bytes | Words, counts: Index) -> Words:
    out = np.empty((len(plain), 2), dtype=np.uint64)
    long = counts > LONG_BLOCKS
    short = np.flatnonzero(~long)
    if len(short):
        out[short] = s2v(siv, _rows(plain, short), digest if isinstance(digest, bytes) else digest[short])
    for row in np.flatnonzero(long):
        value = bytearray(plain.value(int(row)))
        mask = digest if isinstance(digest, bytes) else digest[row].tobytes()
        value[-BLOCK:] = bytes(a ^ b for a, b in zip(value[-BLOCK:], mask, strict=True))
        out[row] = np.frombuffer(siv.mac.one(bytes(value)), dtype=np.uint64)
    return out


def _count_up(siv: Siv, values: Values, tags: Words, out: Bytes, out_starts: Index, *, reverse: bool) -> None:
    """XOR the key stream of each row's tag into its value, and store it in `out`, whole blocks at a time.

    A row's last block is stored whole, over the next bytes of `out`. Forwards, those are room that is filled later.
    In reverse, blocks are stored from the last position to the first, so that what was overwritten is stored after.
    """
    counts = block_counts(values.lengths)
    most = int(counts.max(initial=0))
    if most == 0:
        return
    if most > LONG_BLOCKS:
        short = np.flatnonzero(counts <= LONG_BLOCKS)
        _count_up(siv, _rows(values, short), tags[short], out, out_starts[short], reverse=reverse)
        for row in np.flatnonzero(counts > LONG_BLOCKS):
            _count_up_long(siv, values.value(int(row)), tags[row], out, int(out_starts[row]))
        return
    starts = tags & CLEAR_COUNTER_BITS
    source, target = loads(values.data), loads(out)
    fewest = int(counts.min())
    order = range(most - 1, -1, -1) if reverse else range(most)
    for position in order:
        rows = slice(None) if position < fewest else np.flatnonzero(counts > position)
        stream = siv.stream.encrypt(_counter(starts[rows], position))
        blocks = as_words(source[values.starts[rows] + position * BLOCK])
        target[out_starts[rows] + position * BLOCK] = as_blocks(blocks ^ stream)


def _counter(starts: Words, position: int) -> Words:
    """Add a small number to counters whose lowest 31 bits' top is clear: the sum stays within the last 32 bits."""
    if position == 0:
        return starts
    counters: Words = starts.copy()
    low = counters.view(">u4").reshape(-1, 4)
    low[:, 3] += position
    return counters


def _count_up_long(siv: Siv, value: bytes, tag: Words, out: Bytes, start: int) -> None:
    """Encrypt one long value by the library; called after the short ones, whose last blocks may lie over its start."""
    mode = modes.CTR((tag & CLEAR_COUNTER_BITS).tobytes())
    text = Cipher(algorithms.AES(siv.stream.key), mode).encryptor().update(value)
    out[start : start + len(text)] = np.frombuffer(text, dtype=np.uint8)


def _rows(values: Values, rows: Index | slice) -> Values:
    return replace(values, starts=values.starts[rows], lengths=values.lengths[rows], valid=None)


def _put(out: Bytes, starts: Index, prefix: Bytes) -> None:
    """Store each row's prefix at its start."""
    width = prefix.shape[1]
    items: npt.NDArray[np.void] = np.ndarray(
        shape=(len(out) - width + 1,), dtype=f"V{width}", buffer=out.data, strides=(1,)
    )
    items[starts] = np.ascontiguousarray(prefix).view(f"V{width}").reshape(-1)
