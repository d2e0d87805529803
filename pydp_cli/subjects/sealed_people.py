"""Whom something is about, encrypted under the keyring, where it has to be known again later.

AES-SIV (RFC 5297, as the `cryptography` library has it) under a key derived for the kind of record; the record's name
is authenticated with it, so that one cannot be put in another's place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from pydp_cli.audit.lines import canonical
from pydp_cli.errors import Tampered
from pydp_cli.keys.keyring import Keyring
from pydp_cli.subjects.subject import Subject

_KEY_ID_BYTES = 4


def seal_people(keyring: Keyring, kind: str, name: str, subjects: Iterable[Subject]) -> bytes:
    """Encrypt people for a record of a kind; the result begins with the id of the key."""
    key = keyring.column_key("subject", kind, "people")
    plain = canonical([[list(pair) for pair in subject.given] for subject in subjects])
    return key.key_id + AESSIV(key.key).encrypt(plain, [name.encode()])


def open_people(keyring: Keyring, kind: str, name: str, sealed: bytes) -> list[Subject]:
    """Decrypt them; raises `Tampered` where they were altered or are another record's."""
    key = keyring.column_key("subject", kind, "people", version=sealed[:_KEY_ID_BYTES])
    try:
        people = json.loads(AESSIV(key.key).decrypt(sealed[_KEY_ID_BYTES:], [name.encode()]))
    except (InvalidTag, ValueError):
        raise Tampered("whom it is about was altered", place=name) from None
    return [Subject(tuple((space, value) for space, value in given)) for given in people]
