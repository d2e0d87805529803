"""Files of age (version 1, age-encryption.org/v1): X25519 recipients and passphrases, read and written.

For exchange with other people's tools: an age file has no name or context it belongs to, and its header does not tell
which key opens it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from hmac import digest as hmac_digest
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pydp_cli.crypto.age_stream import open_payload, seal_payload
from pydp_cli.crypto.bech32 import decode_bech32, encode_bech32
from pydp_cli.crypto.container import Sink, Source
from pydp_cli.errors import KeyringError, Refused, Tampered, UsageError, WrongKey

VERSION_LINE = b"age-encryption.org/v1\n"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
FILE_KEY_BYTES = 16
MOST_HEADER_BYTES = 1 << 20
LINE_CHARACTERS = 64

LOG_N = 18
MOST_LOG_N = 20
"""The cost of scrypt: 2^18 takes a second and 256 MiB when written; more than 2^20 (1 GiB) is refused when read."""

_X25519_INFO = b"age-encryption.org/v1/X25519"
_SCRYPT_SALT = b"age-encryption.org/v1/scrypt"
_ARGUMENT = re.compile(rb"[!-~]+")
_COST = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True)
class AgeStanza:
    """One way to the file key: its arguments, the first of which is its type, and the wrapped key."""

    arguments: tuple[str, ...]
    body: bytes = field(repr=False)


Wrap = Callable[[bytes], AgeStanza]
Unwrap = Callable[[AgeStanza], "bytes | None"]
"""Gives the file key; nothing where the stanza is for someone else."""


def encrypt_age(source: Source, sink: Sink, wraps: Sequence[Wrap]) -> None:
    """Write an age file of everything that the source gives."""
    file_key = token_bytes(FILE_KEY_BYTES)
    stanzas = [wrap(file_key) for wrap in wraps]
    if len(stanzas) > 1 and any(stanza.arguments[0] == "scrypt" for stanza in stanzas):
        raise UsageError("an age file has either a passphrase or recipients")
    head = VERSION_LINE + b"".join(map(_written, stanzas)) + b"---"
    nonce = token_bytes(16)
    sink.write(head + b" " + _coded(_header_mac(head, file_key)) + b"\n" + nonce)
    seal_payload(source, sink, _derived(file_key, nonce, b"payload"))


def decrypt_age(source: Source, sink: Sink, unwraps: Sequence[Unwrap]) -> None:
    """Write what is in an age file, each chunk once it is authenticated. That nothing is missing is known at the end.

    Raises `WrongKey`, `Tampered` or `Refused`.
    """
    lines = _Lines(source)
    stanzas, head, mac = _read_header(lines)
    file_key = _unwrapped(stanzas, unwraps)
    if not compare_digest(mac, _header_mac(head, file_key)):
        raise Tampered("the header was altered", hint="get a sound copy of the file")
    nonce = lines.exactly(16)
    if len(nonce) != 16:
        raise _cut_short()
    open_payload(lines.exactly, sink, _derived(file_key, nonce, b"payload"))


def wrap_to_age_recipient(text: str, place: str | None = None) -> Wrap:
    """Wrap to a recipient (`age1…`)."""
    decoded = decode_bech32(text)
    if decoded is None or decoded[0] != "age" or len(decoded[1]) != 32:
        raise KeyringError("this is not a recipient of age (age1…), or it was mistyped", place=place)
    public = X25519PublicKey.from_public_bytes(decoded[1])

    def wrap(file_key: bytes) -> AgeStanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        key = _derived(ephemeral.exchange(public), share + public.public_bytes_raw(), _X25519_INFO)
        return AgeStanza(("X25519", _coded(share).decode()), ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None))

    return wrap


def unwrap_with_age_identities(text: str, place: str | None = None) -> list[Unwrap]:
    """Unwrap with the identities (`AGE-SECRET-KEY-1…`) in a text, one a line; never quotes a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    unwraps = []
    for line in lines:
        decoded = decode_bech32(line)
        if decoded is None or decoded[0] != "AGE-SECRET-KEY-" or len(decoded[1]) != 32:
            raise KeyringError("this is not a file of age identities, or one was mistyped", place=place)
        unwraps.append(_x25519_unwrap(X25519PrivateKey.from_private_bytes(decoded[1])))
    if not unwraps:
        raise KeyringError("there is no identity in this file", place=place)
    return unwraps


def age_recipient_of(private: bytes) -> str:
    """Give the recipient of a private key."""
    return encode_bech32("age", X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())


def wrap_with_passphrase(passphrase: str, log_n: int = LOG_N) -> Wrap:
    """Wrap under a passphrase."""

    def wrap(file_key: bytes) -> AgeStanza:
        salt = token_bytes(16)
        key = _stretched(passphrase, salt, log_n)
        body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)
        return AgeStanza(("scrypt", _coded(salt).decode(), str(log_n)), body)

    return wrap


def unwrap_with_passphrase(passphrase: Callable[[], str], most_log_n: int = MOST_LOG_N) -> Unwrap:
    """Unwrap with a passphrase, which is asked for where a file has one."""

    def unwrap(stanza: AgeStanza) -> bytes | None:
        if stanza.arguments[0] != "scrypt":
            return None
        if len(stanza.arguments) != 3 or not _COST.fullmatch(stanza.arguments[2]):
            raise _malformed()
        salt, log_n = _decoded(stanza.arguments[1].encode()), int(stanza.arguments[2])
        if len(salt) != 16 or len(stanza.body) != 32:
            raise _malformed()
        if log_n > most_log_n:
            raise Refused(
                f"the file asks for more work to read its passphrase than is sane: 2^{log_n} rounds of scrypt"
            )
        key = _stretched(passphrase(), salt, log_n)
        try:
            return ChaCha20Poly1305(key).decrypt(bytes(12), stanza.body, None)
        except InvalidTag:
            return None

    return unwrap


def _x25519_unwrap(private: X25519PrivateKey) -> Unwrap:
    public = private.public_key().public_bytes_raw()

    def unwrap(stanza: AgeStanza) -> bytes | None:
        if stanza.arguments[0] != "X25519":
            return None
        if len(stanza.arguments) != 2:
            raise _malformed()
        share = _decoded(stanza.arguments[1].encode())
        if len(share) != 32 or len(stanza.body) != 32:
            raise _malformed()
        try:
            secret = private.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError as error:  # a point of low order, which would give everybody the same secret
            raise _malformed() from error
        try:
            return ChaCha20Poly1305(_derived(secret, share + public, _X25519_INFO)).decrypt(
                bytes(12), stanza.body, None
            )
        except InvalidTag:
            return None

    return unwrap


def _unwrapped(stanzas: Sequence[AgeStanza], unwraps: Sequence[Unwrap]) -> bytes:
    if len(stanzas) > 1 and any(stanza.arguments[0] == "scrypt" for stanza in stanzas):
        raise _malformed()
    for stanza in stanzas:
        for unwrap in unwraps:
            file_key = unwrap(stanza)
            if file_key is not None:
                return file_key
    if any(stanza.arguments[0] == "scrypt" for stanza in stanzas):
        raise WrongKey("the file needs its passphrase, and none fits", hint="give it with --passphrase-file")
    raise WrongKey("no identity at hand opens this file", hint="name the file of another with --identity")


class _Lines:
    """A source with lines at its beginning."""

    def __init__(self, source: Source) -> None:
        self._source, self._ahead, self._taken = source, b"", 0

    def line(self) -> bytes:
        """Give the next line with its end; raises where there is none, or the header grows too long."""
        while (end := self._ahead.find(b"\n")) < 0:
            buffer = bytearray(4096)
            got = self._source.readinto(buffer)
            if not got:
                raise _cut_short()
            self._ahead += buffer[:got]
            if self._taken + len(self._ahead) > MOST_HEADER_BYTES:
                raise _malformed()
        line, self._ahead = self._ahead[: end + 1], self._ahead[end + 1 :]
        self._taken += len(line)
        return line

    def exactly(self, count: int) -> bytes:
        """Give the next bytes; fewer only at the end."""
        buffer = bytearray(count)
        at = min(count, len(self._ahead))
        buffer[:at], self._ahead = self._ahead[:at], self._ahead[at:]
        with memoryview(buffer) as view:
            while at < count and (got := self._source.readinto(view[at:])):
                at += got
        return bytes(buffer[:at])


def _read_header(lines: _Lines) -> tuple[list[AgeStanza], bytes, bytes]:
    """Give the stanzas, what the MAC is over, and the MAC."""
    first = lines.exactly(len(VERSION_LINE))
    if first != VERSION_LINE:
        if ARMOR.startswith(first[:10]) and first:
            raise Refused("this age file is armored (text)", hint="pydp reads binary ones; `age -d` reads both")
        raise Refused("this is not a file of age, version 1")
    head, stanzas = first, list[AgeStanza]()
    while True:
        line = lines.line()
        if line.startswith(b"--- "):
            mac = _decoded(line[4:-1])
            if len(mac) != 32 or not stanzas:
                raise _malformed()
            return stanzas, head + b"---", mac
        arguments = line[:-1].split(b" ")
        if arguments[0] != b"->" or len(arguments) < 2 or not all(map(_ARGUMENT.fullmatch, arguments[1:])):
            raise _malformed()
        head, coded = head + line, b""
        while True:
            line = lines.line()
            head += line
            coded += line[:-1]
            if len(line) - 1 < LINE_CHARACTERS:
                break
            if len(line) - 1 > LINE_CHARACTERS:
                raise _malformed()
        stanzas.append(AgeStanza(tuple(argument.decode("ascii") for argument in arguments[1:]), _decoded(coded)))


def _written(stanza: AgeStanza) -> bytes:
    coded = _coded(stanza.body)
    lines = [coded[at : at + LINE_CHARACTERS] for at in range(0, len(coded) + 1, LINE_CHARACTERS)]
    return b"-> " + " ".join(stanza.arguments).encode() + b"\n" + b"\n".join(lines) + b"\n"


def _coded(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")


def _decoded(coded: bytes) -> bytes:
    """Read base64 without padding; refuses any other spelling of the same bytes."""
    try:
        data = b64decode(coded + b"=" * (-len(coded) % 4), validate=True)
    except ValueError:
        raise _malformed() from None
    if _coded(data) != coded:
        raise _malformed()
    return data


def _derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)


def _header_mac(head: bytes, file_key: bytes) -> bytes:
    return hmac_digest(_derived(file_key, b"", b"header"), head, "sha256")


def _stretched(passphrase: str, salt: bytes, log_n: int) -> bytes:
    return Scrypt(salt=_SCRYPT_SALT + salt, length=32, n=1 << log_n, r=8, p=1).derive(passphrase.encode())


def _malformed() -> Tampered:
    return Tampered("the header is malformed", hint="get a sound copy of the file")


def _cut_short() -> Tampered:
    return Tampered("the file was cut short", hint="get a sound copy of it")
