"""Measure whole files beside a bare Cobblestone call, pyrage and the age command: file to file, rounds interleaved.

    python benchmarks/whole_file.py [--mib 128] [--rounds 5]

Everybody reads the same file and writes a new one, in memory (/dev/shm) where there is such a folder, so that it is not
the disk that is measured; the figure is the best round of each. The bare call passes blocks of 1 MiB from file to file
and does nothing else; `cipher` does not even read and write. `age` and pyrage take part where they are installed. The
command is shown too, with its start, the unlocking and the fsync that the others leave out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor

from pydp_cli.crypto.age_format import decrypt_age, encrypt_age, unwrap_with_age_identities, wrap_to_age_recipient
from pydp_cli.crypto.container import decrypt_stream, encrypt_stream
from pydp_cli.keys.file_keys import unwrap_with, wrap_to
from pydp_cli.keys.identities import new_identity

FLOOR = 0.7
KEY = bytes(32)
BLOCK = 1 << 20
MEMORY = Path("/dev/shm")


def bare(kind: type, source: Path, target: Path) -> None:
    cipher = kind(KEY, b"")
    with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
        while block := reader.read(BLOCK):
            writer.write(cipher.update(block))
        writer.write(cipher.finalize())


def cipher_alone(kind: type, source: Path) -> None:
    cipher, block = kind(KEY, b""), bytes(BLOCK)
    for _ in range(source.stat().st_size // BLOCK):
        cipher.update(block)


def streamed(function: Callable, source: Path, target: Path, *given: object, **named: object) -> None:
    with source.open("rb", buffering=0) as reader, target.open("wb", buffering=1 << 18) as writer:
        function(reader, writer, *given, **named)


def contests(folder: Path, plain: Path) -> dict[str, dict[str, Callable[[], object]]]:
    """Give who encrypts and who decrypts, by name; each decrypts what it encrypted itself."""
    identity = new_identity("x25519")
    to, of = [wrap_to(identity.recipient())], [unwrap_with(identity)]
    sealed = {name: folder / f"{name}.sealed" for name in ("bare", "pydp", "pydp age", "pyrage", "age")}
    clear = folder / "clear"
    made: dict[str, Callable[[], object]] = {
        "cipher": lambda: cipher_alone(Cobblestone256Encryptor, plain),
        "bare": lambda: bare(Cobblestone256Encryptor, plain, sealed["bare"]),
        "pydp": lambda: streamed(encrypt_stream, plain, sealed["pydp"], to, created=0),
    }
    read: dict[str, Callable[[], object]] = {
        "bare": lambda: bare(Cobblestone256Decryptor, sealed["bare"], clear),
        "pydp": lambda: streamed(decrypt_stream, sealed["pydp"], clear, of),
    }
    try:
        import pyrage
    except ImportError:
        return {"encrypt": made, "decrypt": read}
    mine = pyrage.x25519.Identity.generate()
    recipient = mine.to_public()
    ours, opening = [wrap_to_age_recipient(str(recipient))], unwrap_with_age_identities(str(mine))
    made["pydp age"] = lambda: streamed(encrypt_age, plain, sealed["pydp age"], ours)
    read["pydp age"] = lambda: streamed(decrypt_age, sealed["pydp age"], clear, opening)
    made["pyrage"] = lambda: pyrage.encrypt_file(str(plain), str(sealed["pyrage"]), [recipient])
    read["pyrage"] = lambda: pyrage.decrypt_file(str(sealed["pyrage"]), str(clear), [mine])
    if age := shutil.which("age"):
        (folder / "id").write_text(str(mine))
        made["age"] = lambda: subprocess.run([age, "-r", str(recipient), "-o", sealed["age"], plain], check=True)
        read["age"] = lambda: subprocess.run([age, "-d", "-i", folder / "id", "-o", clear, sealed["age"]], check=True)
    return {"encrypt": made, "decrypt": read}


def command(folder: Path, plain: Path) -> Callable[[], object]:
    """Give the command as a user runs it."""
    run = [sys.executable, "-m", "pydp_cli.cli.app"]
    ring = ["--keyring", str(folder / "ring"), "--key-file", str(folder / "key")]
    subprocess.run([*run, "keys", "init", *ring, "-q"], check=True, cwd=folder)
    line = [*run, "encrypt", "--whole-file", str(plain), "-o", str(folder / "c.pydp"), "--force", "-q", *ring]
    return lambda: subprocess.run(line, check=True, cwd=folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = Path(name)
        plain = folder / "plain"
        with plain.open("wb") as file:
            for _ in range(options.mib):
                file.write(os.urandom(1 << 20))
        everything = contests(folder, plain)
        everything["encrypt"]["pydp command"] = command(folder, plain)
        for what, who in everything.items():
            best = dict.fromkeys(who, float("inf"))
            for _ in range(options.rounds):
                for one, act in who.items():
                    for left in (folder / "clear", folder / f"{one}.sealed" if what == "encrypt" else folder / "clear"):
                        left.unlink(missing_ok=True)
                    began = time.perf_counter()
                    act()
                    best[one] = min(best[one], time.perf_counter() - began)
            for one, seconds in best.items():
                ratio = best["bare"] / seconds
                verdict = f" (floor {FLOOR}: {'met' if ratio >= FLOOR else 'MISSED'})" if one == "pydp" else ""
                print(f"{what} {one:13} {options.mib / seconds:7.0f} MiB/s  {ratio:5.2f} of bare{verdict}")


if __name__ == "__main__":
    main()
