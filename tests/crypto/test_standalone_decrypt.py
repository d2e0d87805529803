"""What pydp encrypted can be read without pydp, by the small program in the documentation."""

import base64
import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pydp_cli.crypto.cells import Place, Plaintext, seal_cells
from pydp_cli.crypto.container import encrypt_stream
from pydp_cli.keys import changes
from pydp_cli.keys.file_keys import rewrap_envelope, wrap_to, wrap_with_keyring
from pydp_cli.keys.identities import new_identity
from tests.keys.rings import make_place

PROGRAM = Path(__file__).parents[2] / "docs" / "standalone_decrypt.py"
GOLDEN = Path(__file__).parent / "golden"
RING_GOLDEN = Path(__file__).parents[1] / "keys" / "golden"
PLAIN = bytes(range(256)) * 200


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


def run(place, *arguments, data=b""):
    command = [sys.executable, PROGRAM, arguments[0], place.path, place.unlock.key_file, *arguments[1:]]
    return subprocess.run(command, input=data, capture_output=True, check=False)


def envelope(place, path, **named):
    identity = new_identity("x25519")
    wraps = [wrap_to(identity.recipient()), wrap_with_keyring(place.open())]
    with path.open("wb") as sink:
        encrypt_stream(io.BytesIO(PLAIN), sink, wraps, created=1_750_000_000, **named)


def test_it_imports_nothing_of_pydp():
    text = PROGRAM.read_text(encoding="utf-8")

    assert "import pydp" not in text
    assert "from pydp" not in text
    assert len(text.splitlines()) < 100


def test_it_decrypts_a_whole_file(place, tmp_path):
    envelope(place, tmp_path / "a.pydp", name=b"a.bin", context=b"c")

    assert run(place, "file", tmp_path / "a.pydp").stdout == PLAIN


def test_it_decrypts_a_file_whose_header_was_written_anew_or_is_torn(place, tmp_path):
    path = tmp_path / "a.pydp"
    envelope(place, path)
    assert rewrap_envelope(path, changes.new_version(place.open(), "file"))
    assert run(place, "file", path).stdout == PLAIN

    raw = bytearray(path.read_bytes())
    raw[:8] = bytes(8)
    path.write_bytes(raw)

    assert run(place, "file", path).stdout == PLAIN


def test_it_decrypts_the_golden_envelope():
    for name in ("envelope-1.bin.pydp", "rewrapped-1.bin.pydp"):
        spec = importlib.util.spec_from_file_location("standalone_decrypt", PROGRAM)
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
        plain = program.decrypt_file(
            RING_GOLDEN / "plain-1.keyring", RING_GOLDEN / "golden-1.key", (GOLDEN / name).read_bytes()
        )
        assert plain == PLAIN[:20_000]


def test_it_gives_nothing_of_a_file_that_was_altered(place, tmp_path):
    envelope(place, tmp_path / "a.pydp")
    raw = bytearray((tmp_path / "a.pydp").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "a.pydp").write_bytes(raw)

    result = run(place, "file", tmp_path / "a.pydp")

    assert result.returncode != 0
    assert result.stdout == b""


@pytest.mark.parametrize("mode", ["deterministic", "random"])
@pytest.mark.parametrize("pad", [None, 32])
def test_it_decrypts_a_cell(place, mode, pad):
    key = place.open().column_key("cell", "people", "email")
    at = Place("people", "email")
    sealed = seal_cells(
        pa.array(["Grüße \x80"]),
        key.key,
        key.key_id,
        at,
        deterministic=mode == "deterministic",
        plaintext=Plaintext(pad=pad),
    )

    result = run(place, "cell", "people", "email", data=base64.b64encode(sealed[0].as_py()))

    assert result.stdout.decode() == "Grüße \x80"
