"""People's own keys, one thread, in one run: `python benchmarks/subject_keys.py [--people 200000]`.

The store: a new epoch (every key unwrapped, wrapped, written and checked) beside a loop that unwraps and wraps each key
with a call of the library and writes no file; look-ups and new people. Cells: encrypted under a key for each person,
ten cells a person in any order, beside the same calls of the library with nothing around them, and beside cells under
one key. Ends with 1 where a figure misses what it is held to.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from contests import Figure
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from pydp_cli.crypto.cells import Place, seal_cells
from pydp_cli.crypto.subject_cells import RowKeys, open_subject_cells, seal_subject_cells, subject_cells
from pydp_cli.keys.keyring import create_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.subject_keys import begin_epoch, create_subject_keys, open_subject_keys
from pydp_cli.keys.unlock import Unlock, create_key_file

CELLS_A_PERSON = 10
PLACE = Place("people", "name")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    people = parser.parse_args().people
    figures = [*of_the_store(people), *of_cells(people)]
    for figure in figures:
        held = "" if figure.limit is None else f"  (>= {figure.limit:g}{figure.unit})"
        print(f"{figure.what:58} {figure.value:12,.2f} {figure.unit}{held}")
    sys.exit(any(figure.as_json().get("met") is False for figure in figures))


def rate(count: int, work: Callable[[], object]) -> float:
    """Give how many a second of processor time."""
    start = time.process_time()
    work()
    return count / (time.process_time() - start)


def of_the_store(count: int) -> list[Figure]:
    people = [os.urandom(20) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        create_key_file(Path(folder, "key"))
        protector = protect("key-file", Unlock(key_file=Path(folder, "key")))
        path = Path(folder, "people.db")
        ring, keys = create_subject_keys(path, create_keyring(Path(folder, "ring"), protector))
        new = rate(count, lambda: keys.ensure(people))
        found = rate(count, lambda: keys.find(people))
        epoch = rate(count, lambda: begin_epoch(path, ring))
        assert len(open_subject_keys(path, ring).find(people)) == count
    old, fresh = AESSIV(os.urandom(64)), AESSIV(os.urandom(64))
    wrapped = [(person, old.encrypt(os.urandom(32), [person])) for person in people]
    loop = rate(count, lambda: [fresh.encrypt(old.decrypt(key, [person]), [person]) for person, key in wrapped])
    return [
        Figure("new epoch: keys", epoch, 100_000, " keys/s"),
        Figure("new epoch, beside unwrapping and wrapping by library calls", epoch / loop),
        Figure("keys looked up", found, None, " keys/s"),
        Figure("keys made for new people", new, None, " keys/s"),
    ]


def of_cells(people: int) -> list[Figure]:
    rows = people * CELLS_A_PERSON
    values = pa.array([f"{number}@example.com" for number in range(rows)])
    secrets, handles = [os.urandom(32) for _ in range(people)], [os.urandom(8) for _ in range(people)]
    of_row = np.random.default_rng(1).integers(0, people, rows)
    keys = RowKeys(b"test", handles, secrets, of_row)
    plain = [(int(person), text.encode()) for person, text in zip(of_row, values.to_pylist(), strict=True)]
    nonce, associated = os.urandom(12), PLACE.encode(b"12345")
    sealed: list[pa.Array] = []
    seal = rate(rows, lambda: sealed.append(seal_subject_cells(values, keys, PLACE)))
    by_handle = dict(zip(handles, secrets, strict=True))
    unseal = rate(rows, lambda: open_subject_cells(subject_cells(sealed[0]), by_handle, PLACE))
    bare = rate(rows, lambda: [AESGCM(secrets[person]).encrypt(nonce, text, associated) for person, text in plain])
    one_key = rate(rows, lambda: seal_cells(values, bytes(64), b"0001", PLACE, deterministic=False))
    return [
        Figure("cells encrypted", seal, None, " cells/s"),
        Figure("cells decrypted", unseal, None, " cells/s"),
        Figure("encrypting, beside bare calls of the library", seal / bare),
        Figure("encrypting, beside random cells under one key", seal / one_key),
    ]


if __name__ == "__main__":
    main()
