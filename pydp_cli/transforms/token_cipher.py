"""The keyed permutation behind tokens: FF1 over digits and letters of one shape."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pydp_cli.crypto import ff1
from pydp_cli.crypto.mixed_radix import permute_mixed
from pydp_cli.transforms.check_digits import Codes
from pydp_cli.transforms.token_layout import RADIX, Layout


@dataclass(frozen=True)
class TokenCipher:
    """A permutation of the values of each shape, or its inverse.

    Values of one class only (digits, capitals, small letters) are FF1 numeral strings of radix 10 or 26, with the
    domain for a tweak. Mixed ones are numbered and permuted as numbers, with domain and shape for a tweak.
    """

    key: bytes = field(repr=False)
    domain: bytes
    undo: bool

    def __call__(self, shape: Layout, codes: Codes) -> Codes:
        """Permute `int64[rows, exchanged characters]`, each counted from 0 in its class."""
        classes = shape.classes
        radices = [RADIX[kind] for kind in classes]
        if len(set(classes)) > 1:
            return permute_mixed(self.key, codes, radices, self.domain + f"\0{classes}".encode(), undo=self.undo)
        numerals = codes.astype(np.uint16)
        return ff1.encrypt_numerals(self.key, numerals, radices[0], self.domain, undo=self.undo).astype(np.int64)
