"""The search that ends every test of the command line finds what it is there to find."""

import base64

import pytest

from tests.cli import planted


def found(work, printed="", complained=""):
    return planted.leaks(work.folder, printed, complained, work.secrets)


def test_a_sound_run_leaks_nothing(work):
    work.pydp("anonymize", "-o", "out.csv", "--key-file", "key")
    assert len(work.secrets) > 10
    assert found(work, work.printed, work.complained) == []


@pytest.mark.parametrize("look", [bytes, lambda secret: secret.hex().encode(), base64.b64encode])
def test_every_secret_is_found_however_it_is_written(work, look):
    for secret in work.secrets[::3]:
        assert found(work, printed=look(secret).decode("latin-1")) == ["a secret was printed"] or look is bytes
        work.path("report.json").write_bytes(b"{" + look(secret) + b"}")
        assert found(work) == ["report.json holds a secret"]
        work.path("report.json").unlink()


def test_values_are_found_in_messages_logs_and_crash_reports(work, tmp_path, monkeypatch):
    assert found(work, complained="cannot read Anna@Example.com") == ["a value was in a message"]
    work.write(".pydp/audit/000000.jsonl", '{"who": "Anna Berg"}')
    monkeypatch.setattr(planted.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "pydp-crash-1.txt").write_text("c.d@other.example")
    assert sorted(found(work)) == ["000000.jsonl holds a value", "pydp-crash-1.txt holds a value"]
    work.path(".pydp/audit/000000.jsonl").unlink()
    (tmp_path / "pydp-crash-1.txt").unlink()
