"""One run at a time holds the state folder."""

import subprocess
import sys
import threading

import pytest

from pydp_cli.errors import Locked, OutputError
from pydp_cli.rewrite.lock import is_locked, run_lock

HOLD = """
import sys, pathlib
from pydp_cli.rewrite.lock import is_locked, run_lock
with run_lock(pathlib.Path(sys.argv[1]), "purge"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "state"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_run_is_told_who_is_at_work(tmp_path, holder):
    told = f"purge .process {holder.pid} on"
    with pytest.raises(Locked, match=told) as caught, run_lock(tmp_path / "state", "erase"):
        pass
    assert caught.value.exit_code == 6


def test_a_run_can_wait(tmp_path, holder):
    threading.Timer(0.3, holder.stdin.close).start()
    with run_lock(tmp_path / "state", "erase", wait_seconds=60):
        assert holder.wait() == 0


def test_the_lock_of_a_killed_run_is_free(tmp_path, holder):
    holder.kill()
    holder.wait()
    with run_lock(tmp_path / "state", "erase"):
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("state", ["file", "file/below", "link", "name" * 100])
def test_what_can_be_no_state_folder_is_told(tmp_path, state):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OutputError), run_lock(tmp_path / state, "purge"):
        pass


def test_whether_a_run_is_under_way(tmp_path):
    assert not is_locked(tmp_path / "state")
    with run_lock(tmp_path / "state", "purge"):
        assert is_locked(tmp_path / "state")
    assert not is_locked(tmp_path / "state")
