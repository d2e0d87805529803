"""Key files: made private, read strictly."""

import os

import pytest

from pydp_cli.errors import KeyringError, OutputError
from pydp_cli.keys.unlock import create_key_file, read_key_file


def test_a_key_file_is_private_text_that_says_what_it_is(tmp_path):
    path = tmp_path / "k"

    key = create_key_file(path)

    assert read_key_file(path) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text(encoding="ascii").startswith("# pydp key file")
    assert repr(bytes(key))[2:-1] not in repr(key)


def test_a_key_file_is_never_made_over_another(tmp_path):
    first = create_key_file(tmp_path / "k")

    with pytest.raises(OutputError, match="exists already"):
        create_key_file(tmp_path / "k")
    with pytest.raises(OutputError, match="cannot be written"):
        create_key_file(tmp_path / "no" / "k")

    assert read_key_file(tmp_path / "k") == first


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_file_that_others_may_read_or_write_is_refused(tmp_path, mode):
    create_key_file(tmp_path / "k")
    (tmp_path / "k").chmod(mode)

    with pytest.raises(KeyringError, match="can be read by others"):
        read_key_file(tmp_path / "k")


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "c2hvcnQ=\n", "not base64!\n", "A" * 5000, "ü", "AA==\nAA==\n"]
)
def test_what_is_no_key_file_is_refused(tmp_path, text):
    (tmp_path / "k").write_text(text, encoding="utf-8")
    (tmp_path / "k").chmod(0o600)

    with pytest.raises(KeyringError):
        read_key_file(tmp_path / "k")


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no files without names")
def test_a_key_file_has_its_name_only_when_it_is_whole(tmp_path, monkeypatch):
    named = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (named.append((tmp_path / "k").exists()), fsync(handle))[1])

    create_key_file(tmp_path / "k")

    assert named == [False, True]  # the file, then the folder
    assert (tmp_path / "k").stat().st_nlink == 1


@pytest.mark.parametrize("missing", ["open", "link"])
def test_a_key_file_is_written_where_files_without_names_are_not_to_be_had(tmp_path, monkeypatch, missing):
    call = getattr(os, missing)

    def without(*arguments, **options):
        if missing == "link" or (arguments[1] & os.O_TMPFILE) == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return call(*arguments, **options)

    monkeypatch.setattr(os, missing, without)

    key = create_key_file(tmp_path / "k")

    assert read_key_file(tmp_path / "k") == key
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["k"]
    with pytest.raises(OutputError, match="exists already"):
        create_key_file(tmp_path / "k")
