"""Encrypted cells beside Tink's and Fernet's, one thread, in one run: `python benchmarks/cells.py [--rows 200000]`.

Tink's deterministic AEAD and Fernet treat cell by cell, as a script would; they are measured on a part of the column.
`kernel` is from binary values to binary cells, `text` from Arrow text to base64 text in Arrow, both ways.
"""

from __future__ import annotations

import argparse
import base64
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from pydp_cli.crypto import base64_column
from pydp_cli.crypto.cells import Place, count_by_key, open_base64, open_cells, seal_base64, seal_cells

REPEATS = 5
BATCH = 65_536
KEY, KEY_ID = bytes(range(64)), b"\x00\x00\x00\x01"
PLACE = Place("people", "email")


def column(rows: int) -> pa.StringArray:
    """Make e-mail addresses of about 22 bytes."""
    numbers = np.random.default_rng(1).integers(10**4, 10**9, rows)
    return pa.array([f"{number}@example.com" for number in numbers])


def best(work: Callable[[], Any], rows: int) -> float:
    """Give rows per second of the best of some runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return rows / min(times)


def ours(values: pa.StringArray, *, deterministic: bool) -> dict[str, float]:
    """Measure our ways, in one mode."""
    rows = len(values)
    batches = [values.slice(first, BATCH) for first in range(0, rows, BATCH)]
    keys = {KEY_ID: KEY}

    def seal(batch: pa.StringArray) -> pa.BinaryArray:
        return seal_cells(batch, KEY, KEY_ID, PLACE, deterministic=deterministic)

    def seal_text(batch: pa.StringArray) -> pa.StringArray:
        return seal_base64(batch, KEY, KEY_ID, PLACE, deterministic=deterministic)

    def open_text(text: pa.StringArray) -> pa.StringArray:
        return open_base64(text, keys, PLACE).values.cast(pa.string())

    cells = [seal(batch) for batch in batches]
    texts = [seal_text(batch) for batch in batches]
    return {
        "encrypt kernel": best(lambda: [seal(batch) for batch in batches], rows),
        "decrypt kernel": best(lambda: [open_cells(one, keys, PLACE) for one in cells], rows),
        "encrypt text": best(lambda: [seal_text(batch) for batch in batches], rows),
        "decrypt text": best(lambda: [open_text(one) for one in texts], rows),
        "keys of binary cells": best(lambda: [count_by_key(one) for one in cells], rows),
        "keys of text cells": best(lambda: [count_by_key(one) for one in texts], rows),
        "base64 encode": best(lambda: [base64_column.encode(one) for one in cells], rows),
        "base64 decode": best(lambda: [base64_column.decode(one) for one in texts], rows),
    }


def tink_rate(values: pa.StringArray) -> dict[str, float]:
    """Measure Tink, a Python call for each cell."""
    import tink
    from tink import daead

    daead.register()
    primitive = tink.new_keyset_handle(daead.deterministic_aead_key_templates.AES256_SIV).primitive(
        daead.DeterministicAead
    )
    raw = [value.encode() for value in values.to_pylist()]

    def text() -> pa.StringArray:
        cells = [primitive.encrypt_deterministically(value.encode(), b"email") for value in values.to_pylist()]
        return pa.array([base64.b64encode(cell).decode() for cell in cells])

    return {
        "kernel": best(lambda: [primitive.encrypt_deterministically(value, b"email") for value in raw], len(values)),
        "text": best(text, len(values)),
    }


def fernet_rate(values: pa.StringArray) -> dict[str, float]:
    """Measure Fernet, a Python call for each cell; its cells are base64 as they come."""
    from cryptography.fernet import Fernet

    fernet = Fernet(Fernet.generate_key())
    raw = [value.encode() for value in values.to_pylist()]

    def text() -> pa.StringArray:
        return pa.array([fernet.encrypt(value.encode()).decode() for value in values.to_pylist()])

    return {
        "kernel": best(lambda: [fernet.encrypt(value) for value in raw], len(values)),
        "text": best(text, len(values)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    values = column(rows)
    found = {
        f"{mode}: {what}": rate
        for mode in ("random", "deterministic")
        for what, rate in ours(values, deterministic=mode == "deterministic").items()
    }
    part = values.slice(0, min(rows, 10_000))
    peers = {"Tink": tink_rate(part), "Fernet": fernet_rate(part)}
    for name, rate in found.items():
        line = f"{name:36} {rate / 1e6:8.2f} M/s"
        way = name.split()[-1]
        if "encrypt" in name:
            line += "".join(f"  {rate / rates[way]:6.1f} x {peer}" for peer, rates in peers.items())
        if "decrypt" in name:
            line += f"  {found[name.replace('decrypt', 'encrypt')] / rate:6.2f} x the time of encrypt"
        print(line)
    for peer, rates in peers.items():
        print(f"{peer:36} {rates['kernel'] / 1e6:8.3f} M/s kernel {rates['text'] / 1e6:8.3f} M/s text")


if __name__ == "__main__":
    main()
