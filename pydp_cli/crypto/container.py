"""The whole-file envelope: any bytes under a random file key, wrapped in a header that can be re-written alone.

An envelope is two copies of the header (`container_header`) and a Cobblestone-256 message (C2SP chunked encryption),
bound to all of the header that does not change. Who wraps and unwraps the file key is handed in: see
`pydp_cli.keys.file_keys` for keyrings, recipients and identities.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from pathlib import Path
from secrets import token_bytes
from typing import Any, Protocol

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from pydp_cli.crypto.container_header import (
    COPY_BYTES,
    MAGIC,
    MOST_GENERATION,
    NO_CONTEXT,
    Header,
    Stanza,
    context_tag,
    encode_header,
    is_authentic,
    parse_header,
)
from pydp_cli.crypto.derive import derive_key
from pydp_cli.errors import InputError, OutputError, PydpError, Refused, Tampered, WrongKey

HEADER_BYTES = 2 * COPY_BYTES
FILE_KEY_BYTES = 32
BLOCK_BYTES = 1 << 20
SLACK_BYTES = 1 << 16
"""What one update may give more than it takes: a chunk that was held back, the message's own header, tags."""


class Source(Protocol):
    """Where bytes come from."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Fill a buffer, and give the number of bytes; 0 at the end."""
        ...


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: Any, /) -> int:
        """Write all of the data."""
        ...


class Wrap(Protocol):
    """Wraps the key of a file, given the file's id."""

    def __call__(self, file_key: bytes, file_id: bytes, /) -> Stanza:
        """Give the stanza."""
        ...


class Unwrap(Protocol):
    """Unwraps the key of a file, given the file's id."""

    def __call__(self, stanza: Stanza, file_id: bytes, /) -> bytes | None:
        """Give the key; nothing where the stanza is of another kind; raises `WrongKey` or `Tampered`."""
        ...


@dataclass(frozen=True)
class Opened:
    """A header that was authenticated, the file key, and which of the two copies are sound and up to date."""

    header: Header
    file_key: bytes = field(repr=False)
    copy: int
    sound: frozenset[int]


def encrypt_stream(
    source: Source,
    sink: Sink,
    wraps: Sequence[Wrap],
    *,
    created: int,
    name: bytes = b"",
    context: bytes | None = None,
) -> None:
    """Write the envelope of everything that the source gives.

    `created` is the time in seconds since 1970. `name` and `context` must be given again to decrypt.
    """
    file_key, file_id = token_bytes(FILE_KEY_BYTES), token_bytes(16)
    stanzas = tuple(wrap(file_key, file_id) for wrap in wraps)
    header = Header(1, file_id, created, name, context_tag(context, file_key), stanzas)
    sink.write(encode_header(header, file_key) * 2)
    _pump(source, sink, Cobblestone256Encryptor(_body_key(file_key), header.body_context()))


def decrypt_stream(
    source: Source,
    sink: Sink,
    unwraps: Sequence[Unwrap],
    *,
    name: bytes | None = None,
    context: bytes | None = None,
) -> Opened:
    """Write what is in an envelope, each chunk once it is authenticated. That nothing is missing is known at the end.

    `name` is what the file is called now, without the envelope's suffix; None where it is not known. Raises `WrongKey`,
    `Tampered` or `Refused`; what was written until then is authentic but not all.
    """
    opened = open_header(_exactly(source, HEADER_BYTES), unwraps)
    check_binding(opened, name, context)
    decryptor = Cobblestone256Decryptor(_body_key(opened.file_key), opened.header.body_context())
    try:
        _pump(source, sink, decryptor)
    except InvalidTag as error:
        raise Tampered("the file was altered, cut short or extended", hint="get a sound copy of it") from error
    return opened


def open_header(raw: bytes, unwraps: Sequence[Unwrap]) -> Opened:
    """Give the newest of the two header copies that is authentic; one of them may be torn."""
    copies = {place: raw[place * COPY_BYTES : (place + 1) * COPY_BYTES] for place in (0, 1)}
    headers = {place: header for place, copy in copies.items() if (header := parse_header(copy)) is not None}
    if not headers:
        raise not_an_envelope(raw)
    keys: dict[int, bytes] = {}
    problem: PydpError | None = None
    for place, header in headers.items():
        try:
            file_key = _unwrapped(header, unwraps)
        except (WrongKey, Tampered) as error:
            problem = problem or error
            continue
        if is_authentic(copies[place], file_key):
            keys[place] = file_key
        else:
            problem = problem or Tampered("the header was altered", hint="get a sound copy of the file")
    if not keys:
        assert problem is not None
        raise problem
    newest = max(keys, key=lambda place: (headers[place].generation, -place))
    sound = frozenset(place for place in keys if headers[place] == headers[newest])
    return Opened(headers[newest], keys[newest], newest, sound)


def check_binding(opened: Opened, name: bytes | None, context: bytes | None) -> None:
    """Refuse a file that goes by another name, or belongs to another context, than it was made for."""
    header = opened.header
    if name is not None and header.name and name != header.name:
        original = os.fsdecode(header.name)
        raise Refused(
            f"this was made of a file of another name: {original!a}",
            hint="if it was renamed on purpose, say the original name with --name",
        )
    if context is None and header.context_tag != NO_CONTEXT:
        raise Refused("this belongs to a context", hint="say it with --context, as it was said to encrypt")
    if context is not None and not compare_digest(header.context_tag, context_tag(context, opened.file_key)):
        what = "no context" if header.context_tag == NO_CONTEXT else "another context"
        raise Refused(f"this was made for {what} than the one that is named")


def inspect_envelope(path: Path) -> tuple[Header, ...]:
    """Give what the header copies say, newest first, without a key. Nobody has vouched for it.

    Until a re-wrap that was cut short is finished, the copies name different keys; a file needs those of either.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(HEADER_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=str(path)) from error
    found = [parse_header(raw[:COPY_BYTES]), parse_header(raw[COPY_BYTES:])]
    headers = [header for header in found if header is not None]
    if not headers:
        raise not_an_envelope(raw, str(path))
    return tuple(sorted(headers, key=lambda header: -header.generation))


def is_envelope(start: bytes) -> bool:
    """Tell from a file's first 8 KiB whether it is an envelope; one of the header copies may be torn."""
    return MAGIC in (start[: len(MAGIC)], start[COPY_BYTES : COPY_BYTES + len(MAGIC)])


def rewrap(path: Path, unwraps: Sequence[Unwrap], wraps: Sequence[Wrap], keep: Iterable[int] = ()) -> bool:
    """Wrap a file's key anew, touching its header only; tells whether there was anything to do.

    Stanzas of the kinds in `keep` stay as they are, the others give way to what `wraps` make. One copy is written and
    made durable before the other is touched, so that a sound copy is there at any moment. Nothing is written where
    both copies are sound and name the same keys already.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(
            f"cannot be opened for writing ({(error.strerror or 'error').lower()})", place=str(path)
        ) from error
    with closing(os.fdopen(handle, "r+b", buffering=0)):
        try:
            return _rewrap(handle, unwraps, wraps, frozenset(keep))
        except OSError as error:
            raise OutputError(f"the header cannot be written ({error.strerror})", place=str(path)) from error
        except PydpError as error:
            error.place = error.place or str(path)
            raise


def _rewrap(handle: int, unwraps: Sequence[Unwrap], wraps: Sequence[Wrap], keep: frozenset[int]) -> bool:
    opened = open_header(os.pread(handle, HEADER_BYTES, 0), unwraps)
    old = opened.header
    if old.generation == MOST_GENERATION:
        raise Refused("the header's generation cannot grow any more", hint="decrypt the file and encrypt it anew")
    made = [wrap(opened.file_key, old.file_id) for wrap in wraps]
    stanzas = (*made, *(stanza for stanza in old.stanzas if stanza.kind in keep))
    if not stanzas:
        raise Refused("nothing would open the file any more")
    if opened.sound == {0, 1} and _named(stanzas) == _named(old.stanzas):
        return False
    raw = encode_header(replace(old, generation=old.generation + 1, stanzas=stanzas), opened.file_key)
    for place in (1 - opened.copy, opened.copy):
        _write_copy(handle, raw, place)
    return True


def _write_copy(handle: int, raw: bytes, place: int) -> None:
    """Write a copy, make it durable, and read it back before anything relies on it."""
    written = 0
    while written < COPY_BYTES:
        written += os.pwrite(handle, raw[written:], place * COPY_BYTES + written)
    os.fdatasync(handle)
    if os.pread(handle, COPY_BYTES, place * COPY_BYTES) != raw:
        raise OutputError("the header reads back differently than it was written")


def _named(stanzas: Iterable[Stanza]) -> list[tuple[int, bytes]]:
    return sorted((stanza.kind, stanza.key_id) for stanza in stanzas)


def not_an_envelope(raw: bytes, place: str | None = None) -> Refused:
    """Say that a file is none of ours, or is badly damaged."""
    if is_envelope(raw):
        return Tampered(
            "the header is damaged, in both of its copies", place=place, hint="get a sound copy of the file"
        )
    return Refused(
        "this is not a file that pydp encrypted whole, or its header is lost",
        place=place,
        hint="--format age or --format fernet reads files of other tools; without --whole-file, columns are decrypted",
    )


def _unwrapped(header: Header, unwraps: Sequence[Unwrap]) -> bytes:
    """Give the file key by the first stanza that opens."""
    problem: PydpError | None = None
    for stanza in header.stanzas:
        for unwrap in unwraps:
            try:
                file_key = unwrap(stanza, header.file_id)
            except (WrongKey, Tampered) as error:
                problem = problem or error
                continue
            if file_key is not None:
                return file_key
    if problem is not None:
        raise problem
    kinds = {1: "a key of a keyring", 2: "an identity (x25519)", 3: "an identity (mlkem768x25519)"}
    needed = sorted({f"{kinds[stanza.kind]}" for stanza in header.stanzas if stanza.kind in kinds})
    raise WrongKey(
        f"none of the keys at hand opens this: it needs {' or '.join(needed) or 'a newer pydp'}",
        hint="name the keyring with --keyring, or an identity's file with --identity",
    )


def _body_key(file_key: bytes) -> bytes:
    return derive_key(file_key, "envelope body", length=32)


def _exactly(source: Source, count: int) -> bytes:
    """Give the next bytes of a source; fewer only where it ends."""
    buffer = bytearray(count)
    at = 0
    with memoryview(buffer) as view:
        while at < count:
            got = source.readinto(view[at:])
            if not got:
                break
            at += got
    return bytes(buffer[:at])


class _Cipher(Protocol):
    def update_into(self, data: memoryview, buf: memoryview) -> int: ...
    def finalize(self) -> bytes: ...


def _pump(source: Source, sink: Sink, cipher: _Cipher) -> None:
    """Pass everything through a cipher, in blocks that are allocated once."""
    taken, given = memoryview(bytearray(BLOCK_BYTES)), memoryview(bytearray(BLOCK_BYTES + SLACK_BYTES))
    while count := source.readinto(taken):
        made = cipher.update_into(taken[:count], given)
        if made:
            sink.write(given[:made])
    sink.write(cipher.finalize())
