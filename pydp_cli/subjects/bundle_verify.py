"""Verify a bundle offline: its signature, the hash of every file, and that nothing was added or left out."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydp_cli.audit.lines import canonical
from pydp_cli.audit.notes import Verifier, check_note, parse_note, read_verifier
from pydp_cli.errors import InputError, Refused
from pydp_cli.subjects.bundle import FORMAT, MANIFEST, SIGNATURE, SIGNER_NAME, signed_text

AGE = b"age-encryption.org/v1"


@dataclass(frozen=True)
class Checked:
    """A bundle that verified: what its manifest says, and whether a key that is trusted signed it."""

    manifest: dict[str, Any]
    signed_by: str | None
    trusted: bool


def verify_bundle(path: Path, *, public_keys: Iterable[bytes] | None = None) -> Checked:
    """Verify a zip or a folder; raises `Refused` with what is wrong.

    Without `public_keys` the key that the manifest names is taken at its word: the bundle is then whole, but could be
    anyone's.
    """
    try:
        if path.is_dir():
            names = [str(file.relative_to(path)) for file in sorted(path.rglob("*")) if file.is_file()]
            return _verify(names, lambda name: (path / name).read_bytes(), str(path), public_keys)
        with path.open("rb") as file:
            if file.read(len(AGE)) == AGE:
                raise InputError("the bundle is encrypted with age", place=str(path), hint="`age --decrypt` it first")
            with zipfile.ZipFile(file) as archive:
                return _verify(archive.namelist(), archive.read, str(path), public_keys)
    except FileNotFoundError:
        raise InputError("no such file", place=str(path)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
        raise Refused("the bundle is damaged: not a sound zip file", place=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=str(path)) from error


def _verify(names: list[str], read: Callable[[str], bytes], place: str, public_keys: Iterable[bytes] | None) -> Checked:
    if len(names) != len(set(names)):  # programs do not agree on which of the two they show
        raise Refused("the bundle was altered: a file is there twice", place=place)
    if MANIFEST not in names:
        raise Refused("the bundle has no manifest", place=place)
    raw = read(MANIFEST)
    manifest = _manifest(raw, place)
    signed_by = _signature(raw, read(SIGNATURE) if SIGNATURE in names else None, manifest, place, public_keys)
    listed = manifest["files"]
    present = [name for name in names if name not in {MANIFEST, SIGNATURE}]
    if set(present) != set(listed):
        more, less = sorted(set(present) - set(listed)), sorted(set(listed) - set(present))
        what = f"{less[0]} is missing" if less else f"{more[0]} was added"
        raise Refused(f"the bundle was altered: {what}", place=place)
    for name, said in listed.items():
        if not isinstance(said, dict) or hashlib.sha256(read(name)).hexdigest() != said.get("sha256"):
            raise Refused(f"the bundle was altered: {name} is not what was signed", place=place)
    return Checked(manifest, signed_by, trusted=signed_by is not None and public_keys is not None)


def _manifest(raw: bytes, place: str) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
        sound = canonical(manifest) + b"\n" == raw and manifest["format"] == FORMAT and manifest["complete"] is True
        sound = sound and isinstance(manifest["files"], dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise Refused("the bundle was altered: its manifest is not as pydp writes it", place=place)
    return dict(manifest)


def _signature(
    raw: bytes, signature: bytes | None, manifest: dict[str, Any], place: str, public_keys: Iterable[bytes] | None
) -> str | None:
    vkey = manifest.get("signed_by")
    if signature is None:
        if vkey is not None or public_keys is not None:
            raise Refused("the bundle's signature is missing", place=place)
        return None
    try:
        note = parse_note(signature.decode())
        named = read_verifier(str(vkey))
    except (InputError, UnicodeDecodeError):
        raise Refused("the bundle's signature is malformed", place=place) from None
    known = [named] if public_keys is None else [Verifier(SIGNER_NAME, public) for public in public_keys]
    if note.text != signed_text(hashlib.sha256(raw).hexdigest()):
        raise Refused("the bundle was altered: its manifest is not what was signed", place=place)
    try:
        found = check_note(note, known)
    except Refused:
        raise Refused("the bundle's signature is wrong", place=place) from None
    if found is None:
        raise Refused("the bundle is signed by an unknown key", place=place)
    return found.to_text()
