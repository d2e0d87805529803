"""Bring cells from one key to another without reading their plaintexts as values: padding and encrypted nulls stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.crypto.cell_headers import HEADER_BYTES
from pydp_cli.crypto.cells import Place, headers_of, open_framed, seal_framed
from pydp_cli.crypto.columns import Index, binary_array, cells_of


def reseal_cells(
    cells: pa.BinaryArray,
    old: tuple[bytes, bytes],
    new: tuple[bytes, bytes],
    place: Place,
    bound: Sequence[pa.StringArray] = (),
) -> tuple[pa.BinaryArray, Index]:
    """Decrypt whole cells under one key and encrypt them under another, each in its own mode; null stays null.

    `old` and `new` are a key id and a key. Gives the new cells, and the rows that failed: under another key, altered,
    or moved. Those are null.
    """
    sealed = cells_of(cells)
    headers, whole = headers_of(sealed)
    present = np.ones(len(cells), dtype=np.bool_) if sealed.valid is None else sealed.valid
    failed = [np.flatnonzero(present & ~whole)]
    pieces, order = [], []
    for header in np.unique(headers[present & whole]):
        rows = np.flatnonzero(present & whole & (headers == header))
        raw = int(header).to_bytes(HEADER_BYTES, "little")
        if raw[1:] != old[0]:
            failed.append(rows)
            continue
        picked = pa.array(rows)
        columns = [column.take(picked) for column in bound]
        framed, bad = open_framed(cells_of(cells.take(picked)), raw, old[1], place, columns)
        moved = seal_framed(cells_of(framed), new[1], raw[:1] + new[0], place, columns)
        pieces.append(binary_array(np.asarray(moved.offsets, dtype=np.int64), moved.data, moved.valid))
        order.append(rows)
        failed.append(rows[bad])
    return _in_order(pieces, order, len(cells)), np.sort(np.concatenate(failed))


def _in_order(pieces: list[pa.Array], order: list[Index], count: int) -> pa.BinaryArray:
    if not pieces:
        return pa.nulls(count, pa.binary())
    source = np.full(count, -1, dtype=np.int64)
    rows = np.concatenate(order)
    source[rows] = np.arange(len(rows))
    joined = pa.chunked_array(pieces).combine_chunks() if len(pieces) > 1 else pieces[0]
    return pc.take(joined, pa.array(source, mask=source < 0))
