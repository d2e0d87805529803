"""A document of plain data that carries its own signature: canonical JSON, signed as a C2SP note over its SHA-256.

Plans and certificates are such documents. What is signed is the document without its field `signature`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from pydp_cli.audit.lines import canonical
from pydp_cli.audit.notes import Verifier, check_note, parse_note, read_verifier, sign_note
from pydp_cli.audit.signing import Signer
from pydp_cli.errors import InputError, Refused


def signed_document(kind: str, facts: dict[str, Any], signer: Signer) -> bytes:
    """Sign a document; `kind` names its format and version, and the signer."""
    said = {**facts, "format": kind, "signed_by": Verifier(kind, signer.public).to_text()}
    signature = sign_note(_signed_text(kind, said), kind, signer.key)
    return _written({**said, "signature": signature})


def read_document(kind: str, raw: bytes, place: str, *, public_keys: Iterable[bytes] | None = None) -> dict[str, Any]:
    """Verify a document, and give what it says without its signature.

    Without `public_keys` the key that it names is taken at its word. Raises `Refused` where it was altered, is none of
    that kind, or is signed by another key.
    """
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("format") != kind:
        raise Refused(f"it was altered, or is not a document of the kind {kind}", place=place)
    signature = said.pop("signature", None)
    try:
        note = parse_note(str(signature))
        named = read_verifier(str(said.get("signed_by")))
    except InputError:
        raise Refused("its signature is missing or malformed", place=place) from None
    if note.text != _signed_text(kind, said):
        raise Refused("it was altered: it is not what was signed", place=place)
    known = [named] if public_keys is None else [Verifier(kind, public) for public in public_keys]
    try:
        found = check_note(note, known)
    except Refused:
        raise Refused("its signature is wrong", place=place) from None
    if found is None:
        raise Refused("it is signed by an unknown key", place=place)
    if (
        json.dumps({**said, "signature": signature}, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"
        != raw
    ):
        raise Refused("it was altered: it is not written as pydp writes it", place=place)
    return said


def digest_of_document(said: dict[str, Any]) -> str:
    """Give the SHA-256 that stands for a document."""
    return hashlib.sha256(canonical(said)).hexdigest()


def _written(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"


def _signed_text(kind: str, said: dict[str, Any]) -> str:
    return f"{kind}\n{digest_of_document(said)}\n"
