"""Measure the column kernels beside the same work cell by cell: one thread, rounds interleaved, best of several.

    python benchmarks/kernels.py [--rows 200000] [--rounds 7] [--only siv]

A contest is one kernel and its rivals on the same values. In each round every contestant runs once, so that a slow
spell of the machine hits all of them; the figure is the best round of each, and the ratio is of those bests. The rivals
get a Python list of bytes or strings (Arrow is never converted on their time) and give a list; the kernel gets and
gives Arrow. tink, fastfpe and libffx take part where they are installed.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import importlib.util
import random
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from pydp_cli.crypto import cmac, ff1, siv

KEY = bytes(range(64))
LABEL = b"customers.email"
NONCE = 16


@dataclass(frozen=True)
class Contest:
    """One kernel and its rivals; `rivals` are slower and may run on fewer rows, `share` of them."""

    name: str
    kernel: Callable[[], object]
    rivals: dict[str, Callable[[int], object]]
    floors: dict[str, float]


def texts(length: int, rows: int) -> list[str]:
    """Different texts of exactly `length` characters."""
    chance = random.Random(length)
    return [f"{chance.getrandbits(4 * length):0{length}x}" for _ in range(rows)]


def emails(rows: int) -> list[str]:
    """E-mail addresses of 14 to 30 characters, 22 on average."""
    chance = random.Random(22)
    return [f"{chance.getrandbits(64):x}"[: chance.randint(3, 19)] + "@example.org" for _ in range(rows)]


def pseudonyms(name: str, values: list[str], floor: float) -> Contest:
    cells = [value.encode() for value in values]
    column = pa.array(values)
    key = KEY[:32]
    return Contest(
        f"cmac.prf, {name}",
        lambda: cmac.prf(key, column),
        {
            "hmac.digest sha256": lambda rows: [hmac.digest(key, cell, "sha256") for cell in cells[:rows]],
            "blake2b keyed": lambda rows: [
                hashlib.blake2b(cell, key=key, digest_size=16).digest() for cell in cells[:rows]
            ],
        },
        {"hmac.digest sha256": floor},
    )


def sealing(name: str, values: list[str], floor: float | None) -> Iterator[Contest]:
    cells = [value.encode() for value in values]
    column = pa.array(values)
    fernet = Fernet(urlsafe_b64encode(KEY[:32]))
    library = AESSIV(KEY)
    rivals: dict[str, Callable[[int], object]] = {
        "AESSIV": lambda rows: [library.encrypt(cell, [LABEL]) for cell in cells[:rows]],
        "Fernet": lambda rows: [fernet.encrypt(cell) for cell in cells[: rows // 4]],
    }
    floors: dict[str, float] = {}
    if (tink := tink_primitive()) is not None:
        rivals["tink"] = lambda rows: [tink.encrypt_deterministically(cell, LABEL) for cell in cells[:rows]]
        if floor is not None:
            floors["tink"] = floor
    yield Contest(f"siv.encrypt, {name}", lambda: siv.encrypt(KEY, column, [LABEL]), rivals, floors)

    generator = np.random.default_rng(1)
    nonces = generator.bytes(NONCE * len(values))
    offsets = np.arange(0, len(nonces) + 1, NONCE, dtype=np.int32)
    nonce_column = pa.BinaryArray.from_buffers(
        pa.binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(nonces)]
    )
    each = nonce_column.to_pylist()
    random_rivals = dict(rivals)
    random_rivals["AESSIV"] = lambda rows: [
        library.encrypt(cell, [LABEL, nonce]) for cell, nonce in zip(cells[:rows], each[:rows], strict=True)
    ]
    yield Contest(
        f"siv.encrypt, a nonce per cell, {name}",
        lambda: siv.encrypt(KEY, column, [LABEL, nonce_column]),
        random_rivals,
        floors,
    )

    sealed = siv.encrypt(KEY, column, [LABEL])
    sealed_cells = sealed.to_pylist()
    tokens = [fernet.encrypt(cell) for cell in cells[: len(cells) // 4]]
    openers: dict[str, Callable[[int], object]] = {
        "AESSIV": lambda rows: [library.decrypt(cell, [LABEL]) for cell in sealed_cells[:rows]],
        "Fernet": lambda rows: [fernet.decrypt(token) for token in tokens[: rows // 4]],
    }
    if tink is not None:
        locked = [tink.encrypt_deterministically(cell, LABEL) for cell in cells]
        openers["tink"] = lambda rows: [tink.decrypt_deterministically(cell, LABEL) for cell in locked[:rows]]
    yield Contest(f"siv.decrypt, {name}", lambda: siv.decrypt(KEY, sealed, [LABEL]), openers, floors)


def tink_primitive():
    if importlib.util.find_spec("tink") is None:
        return None
    import tink
    from tink import daead

    daead.register()
    return tink.new_keyset_handle(daead.deterministic_aead_key_templates.AES256_SIV).primitive(daead.DeterministicAead)


def preserving(length: int, rows: int, floor: float | None) -> Contest:
    chance = random.Random(length)
    values = [f"{chance.randrange(10**length):0{length}d}" for _ in range(rows)]
    column = pa.array(values)
    key = KEY[:32]
    rivals: dict[str, Callable[[int], object]] = {}
    floors: dict[str, float] = {}
    if importlib.util.find_spec("fastfpe") is not None:
        from fastfpe import ff1 as rust

        rivals["fastfpe"] = lambda n: [rust.encrypt(key.hex(), "", "0123456789", cell) for cell in values[: n // 4]]
        if floor is not None:
            floors["fastfpe"] = floor
    if importlib.util.find_spec("ffx") is not None:
        from ffx import FF1

        slow = FF1(key, radix=10)
        rivals["libffx"] = lambda n: [slow.encrypt(cell, tweak=b"") for cell in values[: n // 40]]
    return Contest(f"ff1.encrypt, {length} digits", lambda: ff1.encrypt(key, column), rivals, floors)


def contests(rows: int) -> Iterator[Contest]:
    yield pseudonyms("12 bytes", texts(12, rows), 12)
    yield pseudonyms("22 bytes", texts(22, rows), 7)
    yield pseudonyms("e-mails of 15 to 31 bytes", emails(rows), 7)
    yield from sealing("12 bytes", texts(12, rows), None)
    yield from sealing("22 bytes", texts(22, rows), 6)
    yield from sealing("e-mails of 15 to 31 bytes", emails(rows), 6)
    for length in (100, 250, 1_000, 1_100):
        few = max(1_000, rows // (length // 10))
        yield next(sealing(f"{length} bytes", texts(length, few), None))
    yield preserving(9, rows, None)
    yield preserving(16, rows, 5)
    yield preserving(24, rows, None)


def rate(contestant: Callable[[], object]) -> float:
    """Cells per second of one run; what it gives is a list, an Arrow array or a NumPy array."""
    began = time.thread_time()
    given = contestant()
    return len(given) / (time.thread_time() - began)  # type: ignore[arg-type]


def run(contest: Contest, rows: int, rounds: int) -> bool:
    """Print the rates and ratios of a contest; say whether every floor was reached."""
    runners = {"pydp": contest.kernel}
    for name, rival in contest.rivals.items():
        runners[name] = lambda rival=rival: rival(rows)
    contest.kernel()  # caches, and the self-test
    best = dict.fromkeys(runners, 0.0)
    for _ in range(rounds):
        for name, runner in runners.items():
            best[name] = max(best[name], rate(runner))
    print(f"\n{contest.name}: {best['pydp'] / 1e6:.2f} M cells/s")
    reached = True
    for name in contest.rivals:
        ratio = best["pydp"] / best[name]
        floor = contest.floors.get(name)
        note = "" if floor is None else f"  (floor {floor:g}×{'' if ratio >= floor else ': NOT REACHED'})"
        reached = reached and (floor is None or ratio >= floor)
        print(f"  {ratio:6.1f} × {name:<20} {best[name] / 1e6:.3f} M cells/s{note}")
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the column kernels beside the same work cell by cell")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="contests whose name contains this")
    options = parser.parse_args()
    reached = [
        run(contest, options.rows // 10, options.rounds)
        for contest in contests(options.rows)
        if options.only in contest.name
    ]
    print(f"\n{sum(reached)} of {len(reached)} contests reached their floors")


if __name__ == "__main__":
    main()
