"""`--parquet-modular`: Parquet files whose pages are encrypted, for readers of Parquet that have the key."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydp_cli.cli.arrow import load_arrow
from pydp_cli.errors import Tampered, UsageError, WrongKey

if TYPE_CHECKING:
    from pydp_cli.cli.whole_file import WholeFile
    from pydp_cli.datasets.parquet_modular import Modular
    from pydp_cli.keys.keyring import Keyring

SCOPE = "parquet"


def modular_encryption(request: WholeFile, ring: Keyring, columns: Sequence[str]) -> Callable[[str, Any], None]:
    """Give what writes a Parquet file encrypted."""
    load_arrow()
    from pydp_cli.datasets.parquet_modular import encrypt_modular

    _check(request)
    modular = modular_of(ring)

    def encrypt(source: str, sink: Any) -> None:
        encrypt_modular(source, sink, modular, source, columns)

    return encrypt


def modular_decryption(request: WholeFile, ring: Keyring) -> Callable[[str, Any], None]:
    """Give what writes an encrypted Parquet file in clear."""
    load_arrow()
    from pydp_cli.datasets.parquet_modular import decrypt_modular

    _check(request)
    modular = modular_of(ring)

    def decrypt(source: str, sink: Any) -> None:
        decrypt_modular(source, sink, modular, source)

    return decrypt


def modular_of(ring: Keyring) -> Modular:
    """Give pyarrow's properties for files whose data keys the ring's `file` key wraps (AES-256-KWP, base64)."""
    from cryptography.hazmat.primitives.keywrap import (
        InvalidUnwrap,
        aes_key_unwrap_with_padding,
        aes_key_wrap_with_padding,
    )

    from pydp_cli.datasets.parquet_modular import KeyWrapping, Modular
    from pydp_cli.pipeline.key_scan import MODULAR_PREFIX

    primary = ring.column_key("file", SCOPE, length=32)

    def wrap(data_key: bytes) -> bytes:
        return b64encode(aes_key_wrap_with_padding(primary.key, data_key))

    def unwrap(key_id: str, wrapped: bytes) -> bytes:
        try:
            version = bytes.fromhex(key_id.removeprefix(MODULAR_PREFIX))
            raw = b64decode(wrapped, validate=True)
        except ValueError as error:
            raise WrongKey("this file's keys are not of a keyring of pydp") from error
        try:
            return aes_key_unwrap_with_padding(ring.column_key("file", SCOPE, version=version, length=32).key, raw)
        except (InvalidUnwrap, ValueError) as error:
            raise Tampered("the wrapped key of the file was altered") from error

    return Modular(KeyWrapping(MODULAR_PREFIX + primary.key_id.hex(), wrap, unwrap))


def _check(request: WholeFile) -> None:
    """Refuse what Parquet Modular Encryption has no place for."""
    if request.recipients or request.identities or request.name is not None or request.context is not None:
        raise UsageError("--parquet-modular takes its keys from a keyring, and binds files to no name or context")
    if request.format != "pydp":
        raise UsageError("--parquet-modular and --format exclude each other")
