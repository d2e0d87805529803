"""The key-file protector: a file of 32 random bytes that whoever runs pydp can read, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import UsageError
from pydp_cli.keys.unlock import Unlock, read_key_file


class KeyFileProtector:
    """A key file. Make one with `create_key_file`."""

    def make(self, options: Mapping[str, str], unlock: Unlock) -> tuple[dict[str, Any], bytes]:
        """Take the key file that `unlock` names."""
        if options:
            raise UsageError("a key-file protector takes no options")
        if unlock.key_file is None:
            raise UsageError("no key file is named", hint="use --key-file")
        return {}, slot_key(read_key_file(unlock.key_file))

    def open(self, slot: dict[str, Any], unlock: Unlock) -> bytes | None:
        """Read the key file, if one is at hand."""
        del slot
        return None if unlock.key_file is None else slot_key(read_key_file(unlock.key_file))


def slot_key(key: bytes) -> bytes:
    """Derive the slot key from a key file's key."""
    return derive_key(key, "key-file protector", length=32)
