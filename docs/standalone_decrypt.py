"""Decrypt what pydp encrypted, without pydp: this file, Python and `cryptography` (50 or newer) are all that it takes.

    python standalone_decrypt.py file RING KEY_FILE ENVELOPE > PLAIN
    python standalone_decrypt.py cell RING KEY_FILE DATASET COLUMN < CELL_IN_BASE64

RING is the keyring, KEY_FILE a key file that unlocks it. The formats are described in reference/formats.md. Nothing is
written unless all of the envelope is authentic; for that, the plain text is held in memory.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding


def derive(root: bytes, *labels: str, length: int = 32) -> bytes:
    """Derive a key: HKDF-SHA-256, each label with its length in front."""
    info = b"pydp1" + b"".join(struct.pack(">I", len(label.encode())) + label.encode() for label in labels)
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(root)


def named_key(ring_path: str, key_file: str, key_id: bytes) -> bytes:
    """Give the key of the ring that a ciphertext names by 4 bytes."""
    ring = json.loads(Path(ring_path).read_text(encoding="utf-8"))
    lines = Path(key_file).read_text(encoding="ascii").splitlines()
    secret = base64.b64decode(next(line for line in lines if not line.startswith("#")))
    slot_key = derive(secret, "key-file protector")
    slot = next(slot for slot in ring["protectors"] if slot["id"] == derive(slot_key, "protector commitment")[:4].hex())
    root = aes_key_unwrap_with_padding(derive(slot_key, "protector wrap"), base64.b64decode(slot["wrapped"]))
    version = next(one for versions in ring["keys"].values() for one in versions if one["id"] == key_id.hex())
    return aes_key_unwrap_with_padding(derive(root, "keyring wrap"), base64.b64decode(version["wrapped"]))


def decrypt_file(ring_path: str, key_file: str, raw: bytes) -> bytes:
    """Give what is in an envelope. Its name and context are not checked."""
    for copy in sorted((raw[:4096], raw[4096:8192]), key=lambda copy: copy[9:17], reverse=True):
        if copy[:9] != b"PYDPF1\r\n\x01":
            continue
        file_id, name_bytes = copy[17:33], struct.unpack_from(">H", copy, 41)[0]
        at = 43 + name_bytes + 32
        immutable, count, at = copy[8:9] + copy[17:at], copy[at], at + 1
        for _ in range(count):
            kind, key_id, length = struct.unpack_from(">B4sH", copy, at)
            body, at = copy[at + 7 : at + 7 + length], at + 7 + length
            if kind != 1:  # for an identity, not for a key of a keyring
                continue
            wrapping = derive(named_key(ring_path, key_file, key_id), "file", "envelope", file_id.hex())
            try:
                file_key = aes_key_unwrap_with_padding(wrapping, body)
            except InvalidUnwrap:  # this copy was altered
                continue
            mac = hmac.digest(derive(file_key, "envelope header"), copy[:4064], "sha256")
            if hmac.compare_digest(mac, copy[4064:]):
                context = hashlib.sha512(b"pydp envelope body" + immutable).digest()
                cipher = Cobblestone256Decryptor(derive(file_key, "envelope body"), context)
                return cipher.update(raw[8192:]) + cipher.finalize()
    raise SystemExit("no header copy is authentic under a key of this keyring")


def decrypt_cell(ring_path: str, key_file: str, dataset: str, column: str, cell: bytes) -> bytes:
    """Give the plain text of a cell that is bound to no other columns; its mode is its first byte."""
    nonce, sealed = ([cell[5:21]], cell[21:]) if cell[0] == 2 else ([], cell[5:])
    names = b"".join(struct.pack(">I", len(name.encode())) + name.encode() for name in (dataset, column))
    key = derive(named_key(ring_path, key_file, cell[1:5]), "cell", dataset, column, length=64)
    plain = AESSIV(key).decrypt(sealed, [b"pydp cell 1" + cell[:5] + b"c" + names, *nonce])
    if plain[:1] == b"\xfa":  # padded
        return plain[1 : plain.rindex(b"\x80")]
    if plain[:1] == b"\xf8":  # null
        return b""
    return plain[1:] if plain[:1] == b"\xf9" else plain


if __name__ == "__main__":
    what, ring, key_file, *rest = sys.argv[1:]
    if what == "file":
        sys.stdout.buffer.write(decrypt_file(ring, key_file, Path(rest[0]).read_bytes()))
    else:
        sys.stdout.buffer.write(decrypt_cell(ring, key_file, *rest, base64.b64decode(sys.stdin.read())))
