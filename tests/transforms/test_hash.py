import base64
import hashlib
import hmac
import pickle

import pyarrow as pa
import pytest
from hypothesis import given
from pydantic import ValidationError

from pydp_cli.transforms.hash import Hash
from pydp_cli.transforms.registry import Binding
from tests.transforms.columns import text_columns, treat


def keys(purpose, scope, column="", *, length=64):
    return hashlib.shake_256(repr((purpose, scope, column)).encode()).digest(length)


@given(text_columns)
def test_is_hmac_sha256_under_the_domains_key(column):
    key = keys("hash", "person", "", length=32)

    result = treat(Hash(domain="person"), column, derive_key=keys)

    assert result.to_pylist() == [
        None if value is None else hmac.new(key, value.encode(), "sha256").hexdigest() for value in column.to_pylist()
    ]


def test_equals_the_published_vector():
    # RFC 4231, test case 2
    def jefe(*_, **__):
        return b"Jefe"

    column = pa.array(["what do ya want for nothing?"])

    assert treat(Hash(), column, derive_key=jefe).to_pylist() == [
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ]


def test_encodings_write_the_same_bytes():
    column = pa.array(["a"])
    raw = bytes.fromhex(treat(Hash(), column, derive_key=keys)[0].as_py())

    assert treat(Hash(encoding="base64"), column, derive_key=keys)[0].as_py() == base64.b64encode(raw).decode()
    assert (
        treat(Hash(encoding="base64url"), column, derive_key=keys)[0].as_py() == base64.urlsafe_b64encode(raw).decode()
    )


def test_numbers_and_their_text_agree_and_domains_and_releases_do_not():
    def hashed(column, domain="person", release=None):
        binding = Binding("d", "id", column.type, keys, release=release)
        return Hash(domain=domain).bind(binding)(column).to_pylist()

    seven = hashed(pa.array(["7"]))

    assert hashed(pa.array([7])) == seven
    assert hashed(pa.array(["7"]), domain="order") != seven
    assert hashed(pa.array(["7"]), release="2026Q4") != seven


@pytest.mark.parametrize(
    "options", [{"algorithm": "sha256"}, {"algorithm": "md5"}, {"salt": "pepper"}, {"unkeyed": True}, {"key": "x"}]
)
def test_a_hash_without_a_key_is_refused_with_the_reason(options):
    with pytest.raises(ValidationError, match=r"10\^9 hashes a second, all 10\^10 phone numbers take ten seconds"):
        Hash(**options)


def test_the_key_is_neither_printed_nor_lost_on_the_way_to_a_worker():
    function = Hash().bind(Binding("d", "email", pa.string(), keys))

    assert "key" not in repr(function)
    assert pickle.loads(pickle.dumps(function))(pa.array(["a"])).equals(function(pa.array(["a"])))
    assert Hash().key_label("email") == "hash/email"
    assert Hash(domain="person").key_label("email") == "hash/person"
