"""The key that signs checkpoints, bundles and certificates: Ed25519, its seed derived from the keyring's key `sign`."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pydp_cli.keys.keyring import Keyring


@dataclass(frozen=True)
class Signer:
    """A signing key, and which key of the ring it came from."""

    key: Ed25519PrivateKey = field(repr=False)
    key_id: str

    @property
    def public(self) -> bytes:
        """The public key's 32 bytes."""
        return self.key.public_key().public_bytes_raw()


def signer_of(keyring: Keyring, scope: str = "audit") -> Signer:
    """Derive the signing key of a scope: the audit log's, or that of another kind of document."""
    derived = keyring.column_key("sign", scope, length=32)
    return Signer(Ed25519PrivateKey.from_private_bytes(derived.key), derived.key_id.hex())


def public_keys_of(keyring: Keyring, scope: str = "audit") -> list[bytes]:
    """Give the public keys that the ring stands for: one for each version of `sign` that may be used."""
    name = keyring.key_for("sign", scope)
    usable = [version for version in keyring.keys.get(name, ()) if version.state in {"primary", "enabled"}]
    derived = [keyring.column_key("sign", scope, version=version.version, length=32) for version in usable]
    return [Ed25519PrivateKey.from_private_bytes(one.key).public_key().public_bytes_raw() for one in derived]
