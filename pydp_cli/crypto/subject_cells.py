"""Cells under people's own keys: AES-256-GCM with a key for each person, so that destroying one key erases one person.

| bytes | part |
|---|---|
| 1 | `0x03` |
| 4 | the store that has the keys |
| 8 | the handle of the person's key in it |
| 12 | nonce, random |
| n + 16 | ciphertext and tag (NIST SP 800-38D) |

Additional data: the place (see `Place.encode`, with the first five bytes as the header), the handle, and for each bound
column `0x01`, its length (4 bytes, big endian) and the canonical text of the row's value there, or `0x00` for null.
Plaintexts are framed as those of other cells are. A person has far fewer than 2^32 cells, which is as many as random
nonces are for (section 8.3).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pydp_cli.crypto.cell_headers import HANDLE_BYTES, HEADER_BYTES, LEAST_BYTES, PER_SUBJECT
from pydp_cli.crypto.cells import Place, Plaintext, frame, unframe
from pydp_cli.crypto.columns import Cells, Index, cells_of

KEY_BYTES = 32
STORE_ID_BYTES = HEADER_BYTES - 1
NONCE_BYTES = 12
_FRONT = HEADER_BYTES + HANDLE_BYTES + NONCE_BYTES


@dataclass(frozen=True)
class RowKeys:
    """The key of each row's person: `of_row` are places in `keys` and `handles`, -1 where a row is nobody's."""

    store: bytes
    handles: Sequence[bytes]
    keys: Sequence[bytes] = field(repr=False)
    of_row: Index


def seal_subject_cells(
    values: pa.Array,
    keys: RowKeys,
    place: Place,
    bound: Sequence[pa.StringArray] = (),
    *,
    plaintext: Plaintext | None = None,
    random: Callable[[int], bytes] = os.urandom,
) -> pa.BinaryArray:
    """Encrypt canonical text (or bytes) into cells, each under the key of its row's person; null stays null.

    Raises `ValueError` where a row with a value is nobody's.
    """
    framed = frame(values, plaintext or Plaintext())
    header = bytes([PER_SUBJECT]) + keys.store
    fronts = [header + handle for handle in keys.handles]
    shared = place.encode(header)
    ciphers: list[AESGCM | None] = [None] * len(keys.keys)
    data, tied = framed.data.data, _tied(bound)
    nonces = random(NONCE_BYTES * len(framed))
    sealed: list[bytes | None] = [None] * len(framed)
    for row, begin, end in _spans(framed):
        person = int(keys.of_row[row])
        if person < 0:
            raise ValueError("a row that is nobody's has a value")
        cipher = ciphers[person]
        if cipher is None:
            cipher = ciphers[person] = AESGCM(keys.keys[person])
        nonce = nonces[NONCE_BYTES * row : NONCE_BYTES * (row + 1)]
        text = cipher.encrypt(nonce, data[begin:end], shared + keys.handles[person] + tied(row))
        sealed[row] = fronts[person] + nonce + text
    return pa.array(sealed, pa.binary())


@dataclass(frozen=True)
class SubjectCells:
    """Cells under people's keys among others: their rows, and what each says of its key."""

    cells: Cells
    rows: Index
    stores: tuple[bytes, ...]
    handles: tuple[bytes, ...]


def subject_cells(column: pa.Array) -> SubjectCells:
    """Find the cells of a binary column that are under people's keys."""
    cells = cells_of(column)
    data = cells.data.data
    rows, stores, handles = [], [], []
    for row, begin, end in _spans(cells):
        if end - begin >= LEAST_BYTES[PER_SUBJECT] and data[begin] == PER_SUBJECT:
            rows.append(row)
            stores.append(bytes(data[begin + 1 : begin + HEADER_BYTES]))
            handles.append(bytes(data[begin + HEADER_BYTES : begin + HEADER_BYTES + HANDLE_BYTES]))
    return SubjectCells(cells, np.array(rows, dtype=np.int64), tuple(stores), tuple(handles))


def open_subject_cells(
    found: SubjectCells, keys: Mapping[bytes, bytes], place: Place, bound: Sequence[pa.StringArray] = ()
) -> tuple[pa.BinaryArray, Index]:
    """Decrypt the cells whose keys are at hand, by handle; give the values of `found.rows`, and which of them failed.

    Both those that failed and those without a key are null; places are those in `found.rows`.
    """
    data, tied = found.cells.data.data, _tied(bound)
    places = {store: place.encode(bytes([PER_SUBJECT]) + store) for store in set(found.stores)}
    ciphers: dict[bytes, AESGCM] = {}
    plain: list[bytes | None] = [None] * len(found.rows)
    failed = []
    spans = _spans(found.cells, found.rows)
    for at, ((row, begin, end), store, handle) in enumerate(zip(spans, found.stores, found.handles, strict=True)):
        key = keys.get(handle)
        if key is None:
            continue
        cipher = ciphers.get(handle)
        if cipher is None:
            cipher = ciphers[handle] = AESGCM(key)
        nonce = data[begin + HEADER_BYTES + HANDLE_BYTES : begin + _FRONT]
        try:
            plain[at] = cipher.decrypt(nonce, data[begin + _FRONT : end], places[store] + handle + tied(row))
        except InvalidTag:
            failed.append(at)
    values, bad = unframe(pa.array(plain, pa.binary()), np.array(failed, dtype=np.int64))
    return values, np.sort(bad)


def _spans(cells: Cells, rows: Index | None = None) -> Iterator[tuple[int, int, int]]:
    """Give the rows that are not null (or those that are asked for), and where each begins and ends."""
    batch = cells.batch(slice(0, len(cells)))
    if rows is None:
        rows = np.arange(len(cells)) if cells.valid is None else np.flatnonzero(cells.valid)
    return batch.spans(rows)


def _tied(bound: Sequence[pa.StringArray]) -> Callable[[int], bytes]:
    """Give what writes the values that a row's cell is bound to."""
    if not bound:
        return lambda _: b""
    columns = [[_framed(text) for text in column.to_pylist()] for column in bound]
    return lambda row: b"".join(column[row] for column in columns)


def _framed(text: str | None) -> bytes:
    if text is None:
        return b"\x00"
    raw = text.encode()
    return b"\x01" + len(raw).to_bytes(4, "big") + raw
