"""Vault's transit engine as a protector, against a small server that speaks its documented API."""

import json
import threading
from base64 import b64encode
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pydp_cli.errors import KeyringError, TemporaryFailure, UsageError, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.unlock import Unlock

TOKEN = "hvs.golden-token"


class Transit(BaseHTTPRequestHandler):
    """POST /v1/transit/encrypt/:name and /decrypt/:name (developer.hashicorp.com/vault/api-docs/secret/transit)."""

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.requests.append((self.path, dict(self.headers)))
        if server.answer is not None:
            return self.reply(*server.answer)
        if self.headers.get("X-Vault-Token") != TOKEN:
            return self.reply(403, {"errors": ["permission denied"]})
        if self.path == "/v1/transit/encrypt/pydp":
            ciphertext = f"vault:v1:{b64encode(str(len(server.kept)).encode()).decode()}"
            server.kept[ciphertext] = body["plaintext"]
            return self.reply(200, {"data": {"ciphertext": ciphertext, "key_version": 1}})
        if self.path == "/v1/transit/decrypt/pydp" and body["ciphertext"] in server.kept:
            return self.reply(200, {"data": {"plaintext": server.kept[body["ciphertext"]]}})
        return self.reply(400, {"errors": ["cipher: message authentication failed"]})

    def reply(self, status, document):
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status == 307:
            self.send_header("Location", "http://elsewhere.invalid/")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args):
        pass


@pytest.fixture
def vault(tmp_path, monkeypatch):
    with closing(ThreadingHTTPServer(("127.0.0.1", 0), Transit)) as server:
        server.close = server.server_close
        server.kept, server.requests, server.answer = {}, [], None
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        token = tmp_path / "vault-token"
        token.write_text(f"{TOKEN}\n", encoding="ascii")
        token.chmod(0o600)
        monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("VAULT_TOKEN_FILE", str(token))
        monkeypatch.delenv("VAULT_NAMESPACE", raising=False)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ring(place, vault):
    return changes.add_protector(place.open(), protect("vault", Unlock(), {"key": "pydp"}))


def test_vault_unlocks_the_ring(ring, place):
    assert open_keyring(place.path, Unlock()).root == place.open().root == ring.root


def test_the_root_key_never_goes_to_vault(ring, vault):
    assert len(vault.kept) == 1
    assert b64encode(ring.root).decode() not in vault.kept.values()


def test_the_token_goes_in_the_header_and_nowhere_else(ring, place, vault, monkeypatch):
    monkeypatch.setenv("VAULT_NAMESPACE", "team/a")
    open_keyring(place.path, Unlock())

    path, headers = vault.requests[-1]
    assert (headers["X-Vault-Token"], headers["X-Vault-Namespace"]) == (TOKEN, "team/a")
    assert TOKEN not in path
    assert TOKEN not in place.path.read_text(encoding="utf-8")


def test_without_an_address_vault_is_not_asked(ring, place, monkeypatch):
    monkeypatch.delenv("VAULT_ADDR")

    with pytest.raises(KeyringError, match="locked"):
        open_keyring(place.path, Unlock())


@pytest.mark.parametrize(
    "address", ["http://vault.example.org:8200", "vault.example.org", "ftp://localhost", "https://"]
)
def test_the_token_never_travels_in_clear(ring, place, monkeypatch, address):
    monkeypatch.setenv("VAULT_ADDR", address)

    with pytest.raises(UsageError, match="not an https address"):
        open_keyring(place.path, Unlock())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((403, {"errors": ["permission denied"]}), WrongKey),
        ((400, {}), WrongKey),
        ((404, b""), WrongKey),
        ((500, b""), TemporaryFailure),
        ((503, {"errors": ["Vault is sealed"]}), TemporaryFailure),
        ((307, b""), TemporaryFailure),
        ((200, b"not json"), TemporaryFailure),
        ((200, {"data": None}), TemporaryFailure),
        ((200, {"data": {"plaintext": "AAAA"}}), WrongKey),
        ((200, {"data": {"plaintext": b64encode(bytes(32)).decode()}}), WrongKey),
    ],
)
def test_what_vault_refuses_is_an_error_without_the_token(ring, place, vault, answer, error):
    vault.answer = answer

    with pytest.raises(error) as raised:
        open_keyring(place.path, Unlock())

    assert TOKEN not in f"{raised.value!r}{raised.value}{raised.value.hint}"


def test_a_vault_that_is_down_is_temporary(ring, place, monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")

    with pytest.raises(TemporaryFailure, match="cannot be reached"):
        open_keyring(place.path, Unlock())


def test_a_key_file_at_hand_spares_the_call(ring, place, vault):
    calls = len(vault.requests)

    place.open()

    assert len(vault.requests) == calls


def test_a_token_that_others_may_read_is_refused(ring, place, tmp_path):
    (tmp_path / "vault-token").chmod(0o644)

    with pytest.raises(KeyringError, match="can be read by others"):
        open_keyring(place.path, Unlock())


@pytest.mark.parametrize(
    "options", [{}, {"key": "../../sys/seal"}, {"key": "a b"}, {"key": "a", "mount": "x?y"}, {"k": "a"}]
)
def test_a_key_is_a_plain_name(options):
    with pytest.raises(UsageError):
        protect("vault", Unlock(), options)
