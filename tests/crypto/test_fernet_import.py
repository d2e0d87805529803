"""Old Fernet tokens are read."""

import io

import pytest
from cryptography.fernet import Fernet

from pydp_cli.crypto.fernet_import import decrypt_fernet, fernet_keys
from pydp_cli.errors import KeyringError, WrongKey

# The specification's own example (fernet/spec, generate.json; Apache-2.0).
KEY = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
TOKEN = b"gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="


def opened(token, keys):
    sink = io.BytesIO()
    decrypt_fernet(io.BytesIO(token), sink, keys)
    return sink.getvalue()


def test_reads_the_token_of_the_specification():
    assert opened(TOKEN, fernet_keys(KEY)) == b"hello"
    assert opened(TOKEN + b"\n", fernet_keys(f"# old\n{Fernet.generate_key().decode()}\n{KEY}\n")) == b"hello"


def test_another_key_or_an_altered_token_is_refused():
    with pytest.raises(WrongKey):
        opened(TOKEN, fernet_keys(Fernet.generate_key().decode()))
    for position in range(len(TOKEN) - 3):  # the last character has bits that say nothing
        altered = bytearray(TOKEN)
        altered[position] = ord("A") if altered[position] != ord("A") else ord("B")
        with pytest.raises(WrongKey):
            opened(bytes(altered), fernet_keys(KEY))


@pytest.mark.parametrize("text", ["", "# none", "secret", KEY[:-4], f"{KEY}\nsecret"])
def test_what_is_no_key_is_told_and_not_quoted(text):
    with pytest.raises(KeyringError) as caught:
        fernet_keys(text)
    assert "secret" not in str(caught.value)
