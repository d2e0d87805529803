"""Replace a value by a keyed hash of it; a hash without a key protects nothing, and is refused."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from pydp_cli.transforms.canonical import CANONICAL, canonical_text
from pydp_cli.transforms.registry import Binding, Rows, TransformOptions, transform

WHY_NOT = (
    "a hash without a secret key is reversed by hashing every candidate: at 10^9 hashes a second, all 10^10 phone "
    "numbers take ten seconds, and a salt that is stored with the data changes nothing. `hash` is HMAC-SHA-256 under "
    "a key of the keyring; leave the options out"
)

_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
}


@transform(
    "hash",
    takes=CANONICAL,
    reversible=False,
    leaks="which values are equal, and so how often each occurs",
    main_option="algorithm",
    keyed=True,
)
class Hash(TransformOptions):
    """Replace each value by HMAC-SHA-256 of its canonical text under a key of the keyring: `email: hash`.

    Equal values have equal hashes wherever the `domain` is equal, and hashes of different domains or releases cannot be
    linked. `pseudonym` is the same for readers, shorter and faster; take `hash` where a system wants 256 bits. There is
    no hash without a key: asking for one (`hash: sha256`) is an error, because such a hash is reversed in seconds. Null
    stays null; the empty string is a value like any other. The result is text.
    """

    algorithm: Annotated[
        Literal["hmac-sha256"], Field(description="There is one; the option exists to refuse those without a key.")
    ] = "hmac-sha256"
    domain: Annotated[
        str | None,
        Field(min_length=1, description="Hashes agree wherever this name does. The column's name by default."),
    ] = None
    encoding: Annotated[Literal["hex", "base64", "base64url"], Field(description="How the hash is written.")] = "hex"

    @model_validator(mode="before")
    @classmethod
    def _keyed_only(cls, options: Any) -> Any:
        if isinstance(options, dict):
            algorithm = options.get("algorithm", "hmac-sha256")
            if algorithm != "hmac-sha256" or options.keys() & {"salt", "pepper", "seed", "unkeyed", "keyed", "key"}:
                raise ValueError(WHY_NOT)
        return options

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Give text."""
        del taken
        return pa.string()

    def key_label(self, column: str) -> str:
        """Name the domain."""
        return f"hash/{self.domain or column}"

    def bind(self, binding: Binding) -> KeyedHash:
        """Derive the domain's key."""
        label = f"release={binding.release}" if binding.release else ""
        key = binding.derive_key("hash", self.domain or binding.column, label, length=32)
        return KeyedHash(key, self.encoding)


@dataclass(frozen=True)
class KeyedHash:
    """A hash bound to its domain's key."""

    key: bytes = field(repr=False)
    encoding: str

    def __call__(self, column: pa.Array, rows: Rows | None = None) -> pa.StringArray:
        """Hash each distinct value once; SHA-256 has no vectorised form here, and costs a microsecond a value."""
        del rows
        encoded = canonical_text(column).dictionary_encode()
        encode = _ENCODERS[self.encoding]
        hashes = [encode(hmac.digest(self.key, value.encode(), "sha256")) for value in encoded.dictionary.to_pylist()]
        return pa.array(hashes, pa.binary()).cast(pa.string()).take(encoded.indices)
