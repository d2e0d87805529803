"""The vault protector: the slot key encrypted by the transit engine of HashiCorp Vault or OpenBao, over its HTTP API.

Where Vault is and who we are never comes from the keyring, because whoever can write that could have our token sent to
them: the address is in `VAULT_ADDR`, the token in the file that `vault login` writes (`~/.vault-token`, or the one that
`VAULT_TOKEN_FILE` names). The token itself is not taken from the environment.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from base64 import b64decode, b64encode
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from secrets import token_bytes
from typing import Any
from urllib.parse import urlsplit

from pydp_cli.errors import KeyringError, TemporaryFailure, UsageError, WrongKey
from pydp_cli.keys.unlock import Unlock, read_private_file

PART = re.compile(r"[\w.-]+(?:/[\w.-]+)*")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TIMEOUT_SECONDS = 30
MOST_BYTES = 1 << 16


class VaultProtector:
    """A key of Vault's transit engine. Options: `key`, its name, and `mount` (default `transit`)."""

    def make(self, options: Mapping[str, str], unlock: Unlock) -> tuple[dict[str, Any], bytes]:
        """Encrypt a new slot key with the key in `options`."""
        del unlock
        key, mount = options.get("key", ""), options.get("mount", "transit")
        if set(options) - {"key", "mount"} or not PART.fullmatch(key) or not PART.fullmatch(mount):
            raise UsageError("a vault protector takes the option key (a transit key's name), and perhaps mount")
        slot_key = token_bytes(32)
        ciphertext = _ask(mount, "encrypt", key, {"plaintext": b64encode(slot_key).decode()}, "ciphertext")
        return {"key": key, "mount": mount, "ciphertext": ciphertext}, slot_key

    def open(self, slot: dict[str, Any], unlock: Unlock) -> bytes | None:
        """Decrypt the slot key, if `VAULT_ADDR` says where."""
        del unlock
        key, mount, ciphertext = (str(slot.get(name, "")) for name in ("key", "mount", "ciphertext"))
        if not PART.fullmatch(key) or not PART.fullmatch(mount) or not ciphertext.startswith("vault:"):
            raise KeyringError("the keyring is malformed: a vault protector")
        if not os.environ.get("VAULT_ADDR"):
            return None
        try:
            slot_key = b64decode(_ask(mount, "decrypt", key, {"ciphertext": ciphertext}, "plaintext"), validate=True)
        except ValueError:
            slot_key = b""
        if len(slot_key) != 32:
            raise WrongKey("Vault did not give back what was wrapped")
        return slot_key


def _ask(mount: str, operation: str, key: str, body: dict[str, str], wanted: str) -> str:
    """Call the transit engine (POST /v1/:mount/encrypt/:key); redirects are not followed, the token stays here."""
    url = urlsplit(os.environ.get("VAULT_ADDR", ""))
    if url.hostname is None or not (url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)):
        raise UsageError("VAULT_ADDR is not an https address", hint="as in https://vault.example.org:8200")
    headers = {"X-Vault-Token": _token(), "Content-Type": "application/json"}
    if namespace := os.environ.get("VAULT_NAMESPACE"):
        headers["X-Vault-Namespace"] = namespace
    path = f"{url.path.rstrip('/')}/v1/{mount}/{operation}/{key}"
    connection = _connection(url.scheme, url.hostname, url.port)
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        status, raw = response.status, response.read(MOST_BYTES)
    except (OSError, HTTPException) as error:
        raise TemporaryFailure(f"Vault cannot be reached ({type(error).__name__})", place=url.hostname) from None
    finally:
        connection.close()
    if status in {400, 403, 404}:
        raise WrongKey(f"Vault refused to {operation} (HTTP {status})", place=f"{mount}/{key}")
    if status != 200:
        raise TemporaryFailure(f"Vault cannot {operation} now (HTTP {status})", place=f"{mount}/{key}")
    try:
        answer = json.loads(raw)["data"][wanted]
    except (ValueError, KeyError, TypeError):
        answer = None
    if not isinstance(answer, str):
        raise TemporaryFailure("Vault gave an answer that is not the transit engine's", place=f"{mount}/{key}")
    return answer


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    authority = os.environ.get("VAULT_CACERT")
    try:
        context = ssl.create_default_context(cafile=authority or None)
    except OSError as error:
        raise UsageError("the file that VAULT_CACERT names cannot be read", place=authority) from error
    return HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)


def _token() -> str:
    named = os.environ.get("VAULT_TOKEN_FILE")
    path = Path(named) if named else Path.home() / ".vault-token"
    token = read_private_file(path, "Vault token", most=MOST_BYTES).decode("ascii", errors="replace").strip()
    if not token or not token.isprintable() or "\ufffd" in token:
        raise KeyringError("the Vault token is malformed", place=str(path), hint="`vault login` writes it")
    return token
