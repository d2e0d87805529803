"""The known answers of the column kernels' self-test: the standards' own examples, and columns of every length."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pyarrow as pa

from pydp_cli.crypto import cmac, ff1, siv
from pydp_cli.crypto.columns import binary_array, offsets_of
from pydp_cli.crypto.self_test import KernelError
from pydp_cli.errors import Tampered

COPIES = 96
"""How often each example is repeated, so that it goes through the kernel and not through the library."""

MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
# RFC 4493, section 4: length and tag
CMAC_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
CMACS = {
    0: "bb1d6929e95937287fa37d129b756746",
    16: "070a16b46b4d4144f79bdd9dd04a287c",
    40: "dfa66747de9ae63030ca32611497c827",
    64: "51f0bebf7e3b9d92fc49741779363cfe",
}
# RFC 5297, appendix A.2, its nonce as a column
SIV_KEY = bytes.fromhex("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f")
SIV_DATA = (
    bytes.fromhex("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
    bytes.fromhex("102030405060708090a0"),
)
SIV_NONCE = bytes.fromhex("09f911029d74e35bd84156c5635688c0")
SIV_PLAIN = b"this is some plaintext to encrypt using SIV-AES"
SIV_SEALED = bytes.fromhex(
    "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17"
    "dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
)
# SHA-256 of what the library gives, cell by cell and joined, for one copy of the values of `_mixed()` under this key
MIXED_KEY = bytes(range(64))
MIXED_CMACS = "639b9d70cd1af1c197b7e0237c6b96badce2a382d5f5acdbeebf3fbf92636584"
MIXED_SEALED = "1d6e8eed32667cc933b6e3882a8673278f2a35fdd767b0f06f7914be83abee3b"
# NIST's examples of FF1, samples 7 and 9
FF1_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94")
BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
FF1_TWEAK = bytes.fromhex("3737373770717273373737")


def holds(kernel: str) -> bool:
    """Tell whether a kernel gives the known answers."""
    try:
        return _CHECKS[kernel]()
    except (KernelError, Tampered):
        return False


def _column(values: list[bytes], *, text: bool = False) -> pa.Array:
    """Make a column from its buffers: `pa.array` of a list would import pandas."""
    lengths = np.array([len(value) for value in values], dtype=np.int64)
    return binary_array(offsets_of(lengths), np.frombuffer(b"".join(values), dtype=np.uint8), None, text=text)


def _mixed() -> pa.Array:
    """Values of 0 to 49 bytes, in an order in which neighbours have different numbers of blocks."""
    return _column([MESSAGE[: row * 7 % 50] for row in range(50)] * COPIES)


def _cmac_holds() -> bool:
    column = _column([MESSAGE[:length] for length in CMACS] * COPIES)
    expected = bytes.fromhex("".join(CMACS.values())) * COPIES
    mixed = cmac.prf(MIXED_KEY[:32], _mixed())
    return cmac.prf(CMAC_KEY, column).tobytes() == expected and _repeats(mixed.tobytes(), MIXED_CMACS)


def _siv_holds() -> bool:
    plain = _column([SIV_PLAIN] * COPIES)
    data = [*SIV_DATA, _column([SIV_NONCE] * COPIES)]
    sealed = siv.encrypt(SIV_KEY, plain, data)
    if sealed.to_pylist() != [SIV_SEALED] * COPIES or siv.decrypt(SIV_KEY, sealed, data) != plain:
        return False
    mixed = _mixed()
    for components in ([MESSAGE], [_column([MESSAGE] * len(mixed))]):
        sealed = siv.encrypt(MIXED_KEY, mixed, components)
        if not _repeats(b"".join(sealed.to_pylist()), MIXED_SEALED):
            return False
        if siv.decrypt(MIXED_KEY, sealed, components) != mixed:
            return False
    return True


def _ff1_holds() -> bool:
    for plain, sealed, alphabet, tweak in (
        (b"0123456789", b"6657667009", BASE36[:10], b""),
        (b"0123456789abcdefghi", b"xs8a0azh2avyalyzuwd", BASE36, FF1_TWEAK),
    ):
        plains, expected = _column([plain] * 2, text=True), _column([sealed] * 2, text=True)
        if ff1.encrypt(FF1_KEY, plains, alphabet, tweak) != expected:
            return False
        if ff1.decrypt(FF1_KEY, expected, alphabet, tweak) != plains:
            return False
    return True


def _repeats(data: bytes, digest: str) -> bool:
    """Tell whether data is COPIES times the same, and that has this digest."""
    once = data[: len(data) // COPIES]
    return data == once * COPIES and sha256(once).hexdigest() == digest


_CHECKS: dict[str, Callable[[], bool]] = {"cmac": _cmac_holds, "siv": _siv_holds, "ff1": _ff1_holds}
