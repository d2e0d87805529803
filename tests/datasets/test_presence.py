"""What cannot be told is not taken for nothing."""

import errno
import os

import pytest

from pydp_cli.datasets.locations import find_inputs
from pydp_cli.datasets.presence import is_file, is_folder, is_there
from pydp_cli.errors import InputError


@pytest.fixture
def failing(monkeypatch):
    """Let `os.stat` fail for one path."""
    real = os.stat

    def fail(path, code):
        def stat(asked, *arguments, **options):
            if asked == path:
                raise OSError(code, os.strerror(code), path)
            return real(asked, *arguments, **options)

        monkeypatch.setattr(os, "stat", stat)

    return fail


def test_what_is_at_a_path(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    names = ("file", "link", "", "dead", "self", "none", "file/below")
    told = {name: [kind(str(tmp_path / name)) for kind in (is_there, is_file, is_folder)] for name in names}
    assert told == {
        "file": [True, True, False],
        "link": [True, True, False],
        "": [True, False, True],
        "dead": [True, False, False],
        "self": [True, False, False],
        "none": [False, False, False],
        "file/below": [False, False, False],
    }


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("kind", [is_there, is_file, is_folder])
def test_a_refused_answer_is_an_error(tmp_path, failing, kind, code):
    failing(str(tmp_path), code)
    with pytest.raises(OSError, match=os.strerror(code)):
        kind(str(tmp_path))


@pytest.mark.parametrize("location", ["", "/*.csv", "/**/*.csv", "/*/*.csv"])
def test_a_file_that_cannot_be_looked_at_is_not_left_out(tmp_path, failing, location):
    (tmp_path / "deep").mkdir()
    for name in ("a.csv", "deep/b.csv"):
        (tmp_path / name).write_text("id\n1\n")
    for name in ("a.csv",) if location == "/*.csv" else ("deep/b.csv",):
        failing(str(tmp_path / name), errno.EACCES)
        with pytest.raises(InputError, match="permission denied"):
            find_inputs([f"{tmp_path}{location}"])


def test_a_folder_that_cannot_be_looked_at_is_not_left_out(tmp_path, failing):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a.csv").write_text("id\n1\n")
    failing(str(tmp_path / "deep"), errno.EIO)
    for location in (str(tmp_path), f"{tmp_path}/*/*.csv", f"{tmp_path}/**/*.csv"):
        with pytest.raises(InputError, match="input/output error"):
            find_inputs([location])
