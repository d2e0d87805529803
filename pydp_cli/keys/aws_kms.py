"""The aws-kms protector: the slot key encrypted by a key of AWS KMS. Needs the extra `aws`.

Credentials come from where AWS tools look for them (profile, role, instance). The keyring names the key by its full
ARN, and never an endpoint, because whoever can write the keyring must not choose whom we talk to.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from importlib import import_module
from secrets import token_bytes
from typing import Any

from pydp_cli.errors import KeyringError, MissingExtra, TemporaryFailure, UsageError, WrongKey
from pydp_cli.keys.unlock import Unlock

ARN = re.compile(r"arn:[\w-]+:kms:([\w-]+):\d+:(?:key|alias)/[\w/-]+")
CONTEXT = {"purpose": "pydp keyring"}
"""The encryption context: it is logged by CloudTrail, and a key policy can ask for it."""

DENIED = frozenset(
    {"AccessDeniedException", "InvalidCiphertextException", "IncorrectKeyException", "DisabledException"}
)


class AwsKmsProtector:
    """A key of AWS KMS, by its ARN."""

    def make(self, options: Mapping[str, str], unlock: Unlock) -> tuple[dict[str, Any], bytes]:
        """Encrypt a new slot key with the key in `options`."""
        del unlock
        if set(options) != {"key"} or not ARN.fullmatch(options["key"]):
            raise UsageError("an aws-kms protector takes one option: key, the full ARN of a KMS key")
        slot_key = token_bytes(32)
        answer = _call("encrypt", options["key"], Plaintext=slot_key)
        return {"key": answer["KeyId"], "ciphertext": b64encode(answer["CiphertextBlob"]).decode()}, slot_key

    def open(self, slot: dict[str, Any], unlock: Unlock) -> bytes | None:
        """Decrypt the slot key with the key that the slot names."""
        del unlock
        try:
            key, ciphertext = str(slot["key"]), b64decode(slot["ciphertext"], validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise KeyringError("the keyring is malformed: an aws-kms protector") from error
        if not ARN.fullmatch(key):
            raise KeyringError("the keyring is malformed: an aws-kms protector names no key")
        slot_key: bytes = _call("decrypt", key, CiphertextBlob=ciphertext)["Plaintext"]
        if len(slot_key) != 32:
            raise WrongKey("AWS KMS did not give back what was wrapped", place=key)
        return slot_key


def _call(operation: str, key: str, **arguments: bytes) -> dict[str, Any]:
    try:
        boto3, failures = import_module("boto3"), import_module("botocore.exceptions")
    except ImportError as error:
        raise MissingExtra("AWS KMS needs the extra `aws`", hint="pip install 'pydp-cli[aws]'") from error
    found = ARN.fullmatch(key)
    assert found is not None
    try:
        client = boto3.client("kms", region_name=found[1])
        answer: dict[str, Any] = getattr(client, operation)(KeyId=key, EncryptionContext=CONTEXT, **arguments)
    except failures.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        kind = WrongKey if code in DENIED or code == "NotFoundException" else TemporaryFailure
        # Without the cause: botocore's errors may quote what was sent.
        raise kind(f"AWS KMS refused to {operation} ({code})", place=key) from None
    except failures.BotoCoreError as error:
        raise TemporaryFailure(f"AWS KMS cannot be reached ({type(error).__name__})", place=key) from None
    return answer
