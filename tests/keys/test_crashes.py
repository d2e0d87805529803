"""A writer that fails or dies at any step leaves a keyring that opens, old or new, and nothing that blocks the next."""

import os
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from pydp_cli.errors import OutputError, PydpError
from pydp_cli.keys import changes
from pydp_cli.keys.backup import backup_keyring
from pydp_cli.keys.keyring import create_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.shares import split_ring

CALLS = ("open", "fsync", "rename", "replace", "unlink", "link")


class Fault:
    """Lets the n-th of some os calls fail, and counts them."""

    def __init__(self, monkeypatch, failing_at):
        self.count = 0
        self.failed = None
        for name in CALLS:
            monkeypatch.setattr(os, name, self.failing(name, failing_at))

    def failing(self, name, failing_at):
        call = getattr(os, name)

        def faulty(*args, **kwargs):
            self.count += 1
            if self.count == failing_at:
                self.failed = name
                raise OSError(28, "No space left on device")
            return call(*args, **kwargs)

        return faulty


STEPS = {
    "a new version": lambda ring: changes.new_version(ring, "cell"),
    "a removed protector": lambda ring: changes.remove_protector(ring, ring.slots[1]["id"]),
    "a backup": lambda ring: backup_keyring(ring, ring.path.with_name("backup")),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_failing_system_call_leaves_a_ring_that_opens(place, step, monkeypatch):
    backup = place.path.with_name("backup")
    ring, _ = split_ring(place.open(), threshold=2, shares=2)
    before = place.path.read_bytes()
    failing_at = 0
    while True:
        failing_at += 1
        place.path.write_bytes(before)
        for left in (*place.path.parent.glob("*backup*"), *place.path.parent.glob(".*.tmp")):
            left.unlink(missing_ok=True)
        backup.unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            fault = Fault(patch, failing_at)
            failed = False
            try:
                STEPS[step](open_keyring(place.path, place.unlock))
            except PydpError:  # and nothing else: an OSError would be a traceback
                failed = True
        opened = open_keyring(place.path, place.unlock)
        assert ring.primary("cell").key_id in {version.key_id for version in opened.versions()}
        if backup.exists():
            assert open_keyring(backup, place.unlock).generation == ring.generation
        if fault.failed != "unlink":  # then the next writer removes it
            assert list(place.path.parent.glob(".*.tmp")) == []
        if fault.count < failing_at:
            assert not failed
            break
    assert failing_at > 8


def test_a_failing_creation_leaves_no_half_ring(tmp_path, place, monkeypatch):
    path = tmp_path / "new.keyring"
    failing_at = 0
    while True:
        failing_at += 1
        protector = protect("key-file", place.unlock)
        with monkeypatch.context() as patch:
            fault = Fault(patch, failing_at)
            with suppress(OutputError):
                create_keyring(path, protector)
        if fault.count < failing_at:
            break
        if path.exists():
            open_keyring(path, place.unlock)
            path.unlink()
        strays = {path.name for path in tmp_path.iterdir()} - {"pydp.keyring", "ring.key", "seen"}
        assert not strays or fault.failed == "unlink"
        for stray in strays:
            (tmp_path / stray).unlink()
    assert failing_at > 3


@pytest.mark.parametrize("step", ["new_version", "remove_protector"])
def test_a_writer_killed_at_any_call_leaves_a_ring_that_opens_and_can_be_changed(place, tmp_path, step):
    script = tmp_path / "victim.py"
    script.write_text(
        textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from pydp_cli.keys import changes
        from pydp_cli.keys.keyring import open_keyring
        from pydp_cli.keys.unlock import Unlock

        ring = open_keyring(Path(sys.argv[1]), Unlock(key_file=Path(sys.argv[2])))
        for at in range(1, 100):
            if os.fork() == 0:
                left = at
                def dying(call):
                    def deadly(*args, **kwargs):
                        global left
                        left -= 1
                        if left == 0:
                            os.kill(os.getpid(), signal.SIGKILL)
                        return call(*args, **kwargs)
                    return deadly
                for name in ("open", "fsync", "rename", "replace", "unlink", "link", "close"):
                    setattr(os, name, dying(getattr(os, name)))
                if sys.argv[3] == "new_version":
                    changes.new_version(ring, "cell")
                else:
                    ring = changes.add_protector(ring, lambda root: {**ring.slots[0], "id": "00000000"})
                    changes.remove_protector(ring, "00000000")
                os._exit(7)
            _, status = os.wait()
            opened = open_keyring(Path(sys.argv[1]), Unlock(key_file=Path(sys.argv[2])))
            assert {v.key_id for v in ring.versions()} <= {v.key_id for v in opened.versions()}
            if "00000000" in {slot["id"] for slot in opened.slots}:
                opened = changes.remove_protector(opened, "00000000")
            ring = opened
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 7
                print(at)
                break
        """),
        encoding="utf-8",
    )

    done = subprocess.run(
        [sys.executable, str(script), str(place.path), str(place.unlock.key_file), step],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15
    changes.new_version(place.open(), "file")
    assert list(place.path.parent.glob(".*.tmp")) == []
