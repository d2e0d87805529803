"""The keyed permutation behind tokens: FF1 over digits and letters of one shape."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pydp_cli.crypto import cmac, ff1
from pydp_cli.transforms.check_digits import Codes
from pydp_cli.transforms.fixed_text import Bytes, halves
from pydp_cli.transforms.token_layout import RADIX, Layout


@dataclass(frozen=True)
class TokenCipher:
    """A permutation of the values of each shape, or its inverse.

    Values of one class only (digits, capitals, small letters) are FF1 numeral strings of radix 10 or 26, with the
    domain for a tweak. Mixed ones are numbered in mixed radix and permuted as numbers (FF1 with cycle walking), with
    domain and shape for a tweak. What does not fit 60 bits is split; the parts are chained forth and back, each masked
    by a PRF of those before it, so that every character of the token depends on every character of the value.
    """

    key: bytes = field(repr=False)
    mask_key: bytes = field(repr=False)
    domain: bytes
    undo: bool

    def __call__(self, shape: Layout, codes: Codes) -> Codes:
        """Permute `int64[rows, exchanged characters]`, each counted from 0 in its class."""
        classes = shape.classes
        if len(set(classes)) == 1:
            return self._of_one_class(classes[0], codes)
        parts = shape.chunks()
        numbers = [_number(classes, part, codes) for part in parts]
        moduli = [math.prod(RADIX[classes[place]] for place in part) for part in parts]
        passes = [(0, range(len(parts)))] if len(parts) == 1 else [(0, range(len(parts))), (1, range(len(parts))[::-1])]
        for label, order in reversed(passes) if self.undo else passes:
            tweaks = [self.domain + f"\0{classes}\0{label}.{part}".encode() for part in range(len(parts))]
            self._chain(numbers, moduli, order, tweaks)
        result = np.empty_like(codes)
        for part, number in zip(parts, numbers, strict=True):
            _spell(classes, part, number, result)
        return result

    def _of_one_class(self, kind: str, codes: Codes) -> Codes:
        numerals = codes.astype(np.uint16)
        return ff1.encrypt_numerals(self.key, numerals, RADIX[kind], self.domain, undo=self.undo).astype(np.int64)

    def _chain(
        self, numbers: list[npt.NDArray[np.uint64]], moduli: list[int], order: range, tweaks: list[bytes]
    ) -> None:
        """Permute each part in turn, masked by a PRF of the permuted parts before it."""
        permute = ff1.unpermute_integers if self.undo else ff1.permute_integers
        for step in reversed(range(len(order))) if self.undo else range(len(order)):
            part = order[step]
            modulus = np.uint64(moduli[part])
            mask = self._mask(numbers, order[:step], tweaks[part]) % modulus
            if self.undo:
                opened = permute(self.key, numbers[part], moduli[part], tweaks[part])
                numbers[part] = (opened + (modulus - mask)) % modulus
            else:
                numbers[part] = permute(self.key, (numbers[part] + mask) % modulus, moduli[part], tweaks[part])

    def _mask(self, numbers: list[npt.NDArray[np.uint64]], before: range, tweak: bytes) -> npt.NDArray[np.uint64]:
        if len(before) == 0:
            return np.zeros(len(numbers[0]), np.uint64)
        words = np.stack([numbers[part] for part in before], axis=1).astype(">u8")
        head = np.frombuffer(tweak, np.uint8)
        rows = np.concatenate([np.broadcast_to(head, (len(words), len(head))), words.view(np.uint8)], axis=1)
        return halves(cmac.prf(self.mask_key, _as_binary(rows)))[0]


def _as_binary(rows: Bytes) -> pa.BinaryArray:
    offsets = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows))]
    )


def _number(classes: str, part: range, codes: Codes) -> npt.NDArray[np.uint64]:
    number = np.zeros(len(codes), np.uint64)
    for place in part:
        number = number * np.uint64(RADIX[classes[place]]) + codes[:, place].astype(np.uint64)
    return number


def _spell(classes: str, part: range, number: npt.NDArray[np.uint64], codes: Codes) -> None:
    for place in reversed(part):
        radix = np.uint64(RADIX[classes[place]])
        codes[:, place] = (number % radix).astype(np.int64)
        number = number // radix
