"""`pydp keys` killed at any call: the keyring opens, nothing of it is lost, and the next command works."""

import subprocess
import sys

import pytest

VICTIM = '''
import json, os, shutil, signal, sys
from pathlib import Path

from pydp_cli.cli.app import run

RING = ["--keyring", "ring", "--key-file", "key"]
command, folder = json.loads(sys.argv[1]), Path(sys.argv[2])


def quietly(arguments):
    """Run a command with its output thrown away."""
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1), os.dup2(nowhere, 2)
    try:
        return run(arguments)
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os.dup2(saved[0], 1), os.dup2(saved[1], 2)
        for handle in (*saved, nowhere):
            os.close(handle)


def keys():
    from pydp_cli.keys.keyring import open_keyring
    from pydp_cli.keys.unlock import Unlock

    return {v.key_id: v.state for v in open_keyring(Path("ring"), Unlock(key_file=Path("key"))).versions()}


def die_at(at):
    left = at

    def dying(call):
        def deadly(*arguments, **options):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)
        return deadly

    for name in ("open", "fsync", "rename", "replace", "unlink", "link", "mkdir"):
        setattr(os, name, dying(getattr(os, name)))


quietly(["keys", "list", *RING])  # everything is imported before the first fork
for at in range(1, 200):
    place = folder / f"at{at}"
    shutil.copytree(folder / "start", place)
    os.environ["XDG_STATE_HOME"] = str(place / "state")
    os.chdir(place)
    before = keys() if Path("ring").exists() else {}
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        die_at(at)
        os._exit(quietly(command))
    _, status = os.wait()
    finished = os.WIFEXITED(status)
    if finished:
        assert os.WEXITSTATUS(status) == 0, (at, status)
    assert quietly(command) in ({0, 2, 3} if finished else {0, 2}), f"again after {at}"
    after = keys()
    assert before.keys() <= after.keys(), f"keys lost at {at}"
    assert quietly(["keys", "new-version", "sign", *RING]) == 0, f"the next change after {at}"
    assert not list(place.glob(".*.tmp")), f"temporary files after {at}"
    shutil.rmtree(place)
    if finished:
        print(at)
        break
else:
    raise AssertionError("it never finished")
'''

KEY = ["--keyring", "ring", "--key-file", "key"]
COMMANDS = {
    "init": ["keys", "init", *KEY],
    "add-protector": ["keys", "add-protector", "--new-key-file", "ci.key", *KEY],
    "replace": ["keys", "add-protector", "--new-key-file", "ci.key", "--replace", "spare", *KEY],
    "remove-protector": ["keys", "remove-protector", "spare", *KEY],
    "split": ["keys", "split", "--threshold", "2", "--shares", "2", "-o", "shares", *KEY],
    "backup": ["keys", "backup", "copy", *KEY],
    "new-version": ["keys", "new-version", "cell", *KEY],
    "disable": ["keys", "disable", "OLD", *KEY],
    "destroy": ["keys", "destroy", "OLD", "--accept-loss", "OLD", *KEY],
    "import": ["keys", "import", "--tink", "given.keyset", "--column", "people.email", *KEY],
    "export": ["keys", "export", "--tink", "--column", "people.email", "-o", "keyset", *KEY],
    "identity": ["keys", "identity", "new", "alice.identity", "--kind", "x25519"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_any_call_leaves_a_ring_that_opens_and_can_be_changed(work, tmp_path, name):
    import json
    import shutil

    work.pydp("keys", "add-protector", "--new-key-file", "spare.key", "--label", "spare", *KEY)
    (old,) = [row["id"] for row in json.loads(work.pydp("keys", "list", "--json", *KEY).out) if row["key"] == "cell"]
    work.pydp("keys", "new-version", "cell", *KEY)
    if name == "import":
        other = ("--keyring", "other", "--key-file", "other.key")
        work.pydp("keys", "init", *other)
        work.pydp("keys", "export", "--tink", "--column", "people.email", "-o", "given.keyset", *other)
    if name == "destroy":
        work.pydp("keys", "disable", old, *KEY)
    if name == "init":
        for made in ("ring", "ring~", "key"):
            work.path(made).unlink()
    shutil.move(work.folder, tmp_path / "all" / "start")
    work.folder.mkdir()
    command = [old if part == "OLD" else part for part in COMMANDS[name]]
    script = tmp_path / "victim.py"
    script.write_text(VICTIM, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, str(script), json.dumps(command), str(tmp_path / "all")],
        cwd=tmp_path,  # the folder that this process is in is gone
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 4
