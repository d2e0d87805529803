"""Tink's JSON keysets of AES-SIV keys, without Tink: so that every Tink language, and BigQuery, opens our cells.

A deterministic cell is what Tink's deterministic AEAD makes with output prefix `TINK`: `0x01`, the key id in four
bytes, and AES-SIV. A keyset lists keys with their ids, each the protocol buffer `AesSivKey {uint32 version = 1; bytes
key_value = 2;}` in base64. See `tink.proto` and `aes_siv.proto` of Tink, and RFC 5297 for the cipher.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydp_cli.errors import KeyringError
from pydp_cli.keys.secret import Secret

TYPE_URL = "type.googleapis.com/google.crypto.tink.AesSivKey"
KEY_BYTES = 64
MOST_BYTES = 1 << 20
_KEY_VALUE = bytes([2 << 3 | 2, KEY_BYTES])
"""Field 2 of `AesSivKey`, of wire type 2 (bytes), and its length. Version 0 is the default, and is not written."""


@dataclass(frozen=True)
class TinkKey:
    """One key of a keyset: an AES-SIV key of 64 bytes, and the id that its ciphertexts begin with."""

    key_id: bytes
    key: Secret


def keyset(keys: Sequence[TinkKey], primary: bytes) -> str:
    """Write a keyset in clear text. It is as secret as the keys in it."""
    document = {"primaryKeyId": _number(primary), "key": [_written(key) for key in keys]}
    return json.dumps(document, indent=2) + "\n"


def parse_keyset(text: str, place: str) -> tuple[TinkKey, ...]:
    """Read the enabled keys of a keyset in clear text. A message never quotes it."""
    try:
        document = json.loads(text)
        listed = document["key"]
        keys = tuple(_read(entry, place) for entry in listed if entry.get("status") == "ENABLED")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        # Without the cause: a message of the JSON reader may quote what it read.
        raise KeyringError(
            "this is not a Tink keyset in JSON", place=place, hint="an encrypted keyset must be decrypted first"
        ) from None
    if not keys:
        raise KeyringError("the keyset has no enabled key", place=place)
    if len({key.key_id for key in keys}) < len(keys):
        raise KeyringError("two keys of the keyset have the same id", place=place)
    return keys


def _written(key: TinkKey) -> dict[str, Any]:
    return {
        "keyData": {
            "typeUrl": TYPE_URL,
            "value": b64encode(_KEY_VALUE + key.key).decode(),
            "keyMaterialType": "SYMMETRIC",
        },
        "status": "ENABLED",
        "keyId": _number(key.key_id),
        "outputPrefixType": "TINK",
    }


def _read(entry: dict[str, Any], place: str) -> TinkKey:
    data = entry["keyData"]
    if data["typeUrl"] != TYPE_URL or entry["outputPrefixType"] != "TINK":
        raise KeyringError(
            "a key of the keyset is not for deterministic AEAD with the prefix TINK",
            place=place,
            hint="in Tink it is made from the template AES256_SIV",
        )
    value = b64decode(data["value"], validate=True)
    version = bytes([1 << 3 | 0, 0])  # some writers spell the default out
    key = value.removeprefix(version).removeprefix(_KEY_VALUE)
    if len(key) != KEY_BYTES or value not in {_KEY_VALUE + key, version + _KEY_VALUE + key}:
        raise KeyringError("a key of the keyset is not an AES-SIV key of 64 bytes", place=place)
    return TinkKey(int(entry["keyId"]).to_bytes(4, "big"), Secret(key))


def _number(key_id: bytes) -> int:
    return int.from_bytes(key_id, "big")
