"""References to people: keyed hashes that stand for an identifier where it must not be written down.

The audit log, consent, suppression lists and certificates hold references. A reference names its key, so that one made
before a rotation is still found: `1f2e3d4c-0123…` is the key id and the AES-CMAC of the normalised identifier under a
key for its identity alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pydp_cli.keys.keyring import Keyring
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.policy.model import Identity
from pydp_cli.transforms.keyed_hash import HASH_BYTES, keyed_hash


@dataclass(frozen=True)
class ReferenceKey:
    """The key of one identity's references. It is derived, and so may travel to workers."""

    space: str
    key_id: bytes
    key: bytes = field(repr=False)

    def hashes(self, values: pa.StringArray) -> pa.FixedSizeBinaryArray:
        """Hash identifiers that compare (see `identity_text`), 16 bytes each; null stays null."""
        return keyed_hash(self.key, values)

    def of_column(self, column: pa.Array, identity: Identity | None) -> pa.FixedSizeBinaryArray:
        """Hash a column of identifiers as it is stored; what joins nobody is null."""
        return self.hashes(identity_text(column, identity))

    def reference(self, value: str) -> str:
        """Write one reference."""
        return self.written(self.hashes(pa.array([value], pa.string()))[0].as_py())

    def references(self, values: Sequence[str]) -> list[str]:
        """Write the references of many values, hashed together."""
        return [self.written(digest) for digest in self.hashes(pa.array(values, pa.string())).to_pylist()]

    def written(self, digest: bytes) -> str:
        """Write a hash as a reference."""
        return f"{self.key_id.hex()}-{digest.hex()}"


def reference_key(keyring: Keyring, space: str, *, key_id: bytes | None = None) -> ReferenceKey:
    """Derive the key of an identity's references: the newest, or the one that a reference names."""
    derived = keyring.column_key("subject", space, "reference", version=key_id, length=32)
    return ReferenceKey(space, derived.key_id, derived.key)


def reference_keys(keyring: Keyring, space: str, references: Iterable[str]) -> list[ReferenceKey]:
    """Derive the keys that references were made under, and the newest."""
    newest = reference_key(keyring, space)
    ids = {bytes.fromhex(reference.partition("-")[0]) for reference in references} - {newest.key_id}
    return [newest, *(reference_key(keyring, space, key_id=key_id) for key_id in sorted(ids))]


def digest_in(reference: str) -> bytes:
    """Give the hash that a reference holds; raises `ValueError` where it is none."""
    key_id, _, digest = reference.partition("-")
    raw = bytes.fromhex(digest)
    if len(bytes.fromhex(key_id)) != 4 or len(raw) != HASH_BYTES:
        raise ValueError("not a reference")
    return raw
