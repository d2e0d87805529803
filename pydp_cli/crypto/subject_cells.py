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

from pydp_cli.crypto.blocks import gather
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
    rows = np.arange(len(framed)) if framed.valid is None else np.flatnonzero(framed.valid)
    people = keys.of_row[rows]
    if len(people) and people.min() < 0:
        raise ValueError("a row that is nobody's has a value")
    by_person = np.argsort(people, kind="stable")  # so that each key is set up once, and soon out of the way again
    header = bytes([PER_SUBJECT]) + keys.store
    shared, tied = place.encode(header), _tied(bound)
    data, nonces = framed.data.tobytes(), random(NONCE_BYTES * len(framed))
    sealed: list[bytes | None] = [None] * len(framed)
    last, encrypt, front, associated = -1, None, b"", b""
    for person, (row, begin, end) in zip(people[by_person].tolist(), _spans(framed, rows[by_person]), strict=True):
        if person != last or encrypt is None:
            last, encrypt = person, AESGCM(keys.keys[person]).encrypt
            front, associated = header + keys.handles[person], shared + keys.handles[person]
        nonce = nonces[NONCE_BYTES * row : NONCE_BYTES * (row + 1)]
        more = associated if tied is None else associated + tied(row)
        sealed[row] = front + nonce + encrypt(nonce, data[begin:end], more)
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
    batch = cells.batch(slice(0, len(cells)))
    rows = np.flatnonzero(batch.lengths >= LEAST_BYTES[PER_SUBJECT])
    rows = rows[cells.data[batch.starts[rows]] == PER_SUBJECT]
    fronts = gather(cells.data, batch.starts[rows] + 1, HEADER_BYTES - 1 + HANDLE_BYTES).tobytes()
    step = HEADER_BYTES - 1 + HANDLE_BYTES
    stores = [fronts[at : at + HEADER_BYTES - 1] for at in range(0, len(fronts), step)]
    handles = [fronts[at + HEADER_BYTES - 1 : at + step] for at in range(0, len(fronts), step)]
    return SubjectCells(cells, rows, tuple(stores), tuple(handles))


def open_subject_cells(
    found: SubjectCells, keys: Mapping[bytes, bytes], place: Place, bound: Sequence[pa.StringArray] = ()
) -> tuple[pa.BinaryArray, Index]:
    """Decrypt the cells whose keys are at hand, by handle; give the values of `found.rows`, and which of them failed.

    Both those that failed and those without a key are null; places are those in `found.rows`.
    """
    data, tied = found.cells.data.tobytes(), _tied(bound)
    places = {store: place.encode(bytes([PER_SUBJECT]) + store) for store in set(found.stores)}
    plain: list[bytes | None] = [None] * len(found.rows)
    failed = []
    spans = list(_spans(found.cells, found.rows))
    last, decrypt = b"", None
    for at in sorted(range(len(spans)), key=found.handles.__getitem__):
        handle = found.handles[at]
        key = keys.get(handle)
        if key is None:
            continue
        if handle != last or decrypt is None:
            last, decrypt = handle, AESGCM(key).decrypt
        row, begin, end = spans[at]
        associated = places[found.stores[at]] + handle
        nonce = data[begin + _FRONT - NONCE_BYTES : begin + _FRONT]
        try:
            more = associated if tied is None else associated + tied(row)
            plain[at] = decrypt(nonce, data[begin + _FRONT : end], more)
        except InvalidTag:
            failed.append(at)
    values, bad = unframe(pa.array(plain, pa.binary()), np.array(failed, dtype=np.int64))
    return values, np.sort(bad)


def _spans(cells: Cells, rows: Index) -> Iterator[tuple[int, int, int]]:
    """Give for each of some rows itself, and where it begins and ends."""
    return cells.batch(slice(0, len(cells))).spans(rows)


def _tied(bound: Sequence[pa.StringArray]) -> Callable[[int], bytes] | None:
    """Give what writes the values that a row's cell is bound to; None where it is bound to nothing."""
    if not bound:
        return None
    columns = [[_framed(text) for text in column.to_pylist()] for column in bound]
    return lambda row: b"".join(column[row] for column in columns)


def _framed(text: str | None) -> bytes:
    if text is None:
        return b"\x00"
    raw = text.encode()
    return b"\x01" + len(raw).to_bytes(4, "big") + raw
