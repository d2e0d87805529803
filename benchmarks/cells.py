"""Encrypted cells beside Tink's and Fernet's, one thread, in one run: `python benchmarks/cells.py [--rows 200000]`.

Tink's deterministic AEAD and Fernet treat cell by cell, as a script would; they are measured on a part of the column.
`kernel` is from binary values to binary cells, `text` from Arrow text to base64 text in Arrow, both ways.
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pydp_cli.crypto import base64_column
from pydp_cli.crypto.cells import Place, count_by_key, open_base64, open_cells, seal_base64, seal_cells

BATCH = 65_536
KEY, KEY_ID = bytes(range(64)), b"\x00\x00\x00\x01"
PLACE = Place("people", "email")


def column(rows: int) -> pa.StringArray:
    """Make e-mail addresses of about 22 bytes."""
    numbers = np.random.default_rng(1).integers(10**4, 10**9, rows)
    return pa.array([f"{number}@example.com" for number in numbers])


Work = tuple[Callable[[], Any], int]
"""Something to measure, and how many cells it treats."""


def measured(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Give cells per second of processor time: the best of some rounds, in each of which everything has a turn."""
    least = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, (work, _rows) in works.items():
            start = time.process_time()
            work()
            least[name] = min(least[name], time.process_time() - start)
    return {name: rows / least[name] for name, (_work, rows) in works.items()}


def ours(values: pa.StringArray, *, deterministic: bool) -> dict[str, Work]:
    """Give our ways, in one mode."""
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
        "encrypt kernel": (lambda: [seal(batch) for batch in batches], rows),
        "decrypt kernel": (lambda: [open_cells(one, keys, PLACE) for one in cells], rows),
        "encrypt text": (lambda: [seal_text(batch) for batch in batches], rows),
        "decrypt text": (lambda: [open_text(one) for one in texts], rows),
        "keys of binary cells": (lambda: [count_by_key(one) for one in cells], rows),
        "keys of text cells": (lambda: [count_by_key(one) for one in texts], rows),
        "base64 encode": (lambda: [base64_column.encode(one) for one in cells], rows),
        "base64 decode": (lambda: [base64_column.decode(one) for one in texts], rows),
    }


def tink_works(values: pa.StringArray) -> dict[str, Work]:
    """Give Tink, a Python call for each cell."""
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

    kernel = partial(_each, lambda value: primitive.encrypt_deterministically(value, b"email"), raw)
    return {"Tink: kernel": (kernel, len(raw)), "Tink: text": (text, len(raw))}


def _each(treat: Callable[[bytes], bytes], values: list[bytes]) -> list[bytes]:
    return [treat(value) for value in values]


def fernet_works(values: pa.StringArray) -> dict[str, Work]:
    """Give Fernet, a Python call for each cell; its cells are base64 as they come."""
    from cryptography.fernet import Fernet

    fernet = Fernet(Fernet.generate_key())
    raw = [value.encode() for value in values.to_pylist()]

    def text() -> pa.StringArray:
        return pa.array([fernet.encrypt(value.encode()).decode() for value in values.to_pylist()])

    kernel = partial(_each, fernet.encrypt, raw)
    return {"Fernet: kernel": (kernel, len(raw)), "Fernet: text": (text, len(raw))}


FLOORS = {"kernel": {"Tink": 6, "Fernet": 40}, "text": {"Tink": 4, "Fernet": 25}}
LEAST_SCANNED = 20e6
MOST_OF_ENCRYPT = 1.3


def judge(name: str, rate: float, found: dict[str, float], peers: dict[str, dict[str, float]]) -> tuple[str, bool]:
    """Compare one figure with what it is held to."""
    way = name.rpartition(" ")[2]
    if "encrypt" in name:
        ratios = {peer: rate / rates[way] for peer, rates in peers.items()}
        told = "".join(f"  {ratio:6.1f} x {peer} (>= {FLOORS[way][peer]})" for peer, ratio in ratios.items())
        return told, all(ratio >= FLOORS[way][peer] for peer, ratio in ratios.items())
    if "decrypt" in name:
        share = found[name.replace("decrypt", "encrypt")] / rate
        return f"  {share:6.2f} x the time of encrypt (<= {MOST_OF_ENCRYPT})", share <= MOST_OF_ENCRYPT
    if "keys of" in name:
        return f"  (>= {LEAST_SCANNED / 1e6:.0f})", rate >= LEAST_SCANNED
    return "", True


def main() -> int:
    """Print the table; end with 1 where a figure misses what it is held to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    values = column(arguments.rows)
    part = values.slice(0, min(arguments.rows, 10_000))
    works = {
        f"{mode}: {what}": work
        for mode in ("random", "deterministic")
        for what, work in ours(values, deterministic=mode == "deterministic").items()
    }
    found = measured(works | tink_works(part) | fernet_works(part), arguments.rounds)
    peers = {peer: {way: found.pop(f"{peer}: {way}") for way in FLOORS} for peer in ("Tink", "Fernet")}
    missed = 0
    for name, rate in found.items():
        told, met = judge(name, rate, found, peers)
        missed += not met
        print(f"{name:36} {rate / 1e6:8.2f} M/s{told}{'' if met else '  MISSED'}")
    for peer, rates in peers.items():
        print(f"{peer:36} {rates['kernel'] / 1e6:8.3f} M/s kernel {rates['text'] / 1e6:8.3f} M/s text")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
