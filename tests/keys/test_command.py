"""Commands as protectors: secrets over stdin and stdout, no shell, nothing run that was not approved."""

import json
import sys

import pytest

from pydp_cli.errors import KeyringError, PydpError, UsageError, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.unlock import Unlock

KMS = """
import base64, sys
text = sys.stdin.buffer.read()
open(sys.argv[2], "a").write("called\\n")
sys.stdout.buffer.write(bytes(byte ^ 0x5A for byte in text))
"""


@pytest.fixture
def kms(tmp_path):
    """A KMS that is not one: it flips bits, and notes that it was called."""
    script = tmp_path / "kms.py"
    script.write_text(KMS, encoding="utf-8")
    line = f"'{sys.executable}' '{script}' encrypt '{tmp_path / 'calls'}'"
    return {"wrap": line, "unwrap": line.replace("encrypt", "decrypt")}


def approve(argv):
    return True


def test_a_pair_of_commands_wraps_and_unwraps(place, kms):
    changes.add_protector(place.open(), protect("command", Unlock(), kms))

    assert open_keyring(place.path, Unlock(approve=approve)).root == place.open().root


def test_a_command_that_prints_a_secret_unlocks(place, tmp_path):
    (tmp_path / "secret").write_text("a secret from a safe\n", encoding="utf-8")
    options = {"secret": f"cat '{tmp_path / 'secret'}'"}
    changes.add_protector(place.open(), protect("command", Unlock(), options))

    assert open_keyring(place.path, Unlock(approve=approve)).root == place.open().root
    (tmp_path / "secret").write_text("another secret\n", encoding="utf-8")
    with pytest.raises(WrongKey):
        open_keyring(place.path, Unlock(approve=approve))


def test_nothing_runs_that_was_not_approved(place, kms, tmp_path):
    changes.add_protector(place.open(), protect("command", Unlock(), kms))
    (tmp_path / "calls").unlink()
    asked = []

    def decline(argv):
        asked.append(argv)
        return False

    for unlock in (Unlock(), Unlock(approve=decline)):
        with pytest.raises(KeyringError, match="locked"):
            open_keyring(place.path, unlock)

    assert not (tmp_path / "calls").exists()
    assert asked == [tuple(slot["argv"]) for slot in place.open().slots if slot["type"] == "command"]


def test_a_command_that_ran_here_before_runs_again_unasked_until_it_is_altered(place, kms, tmp_path):
    changes.add_protector(place.open(), protect("command", Unlock(), kms))

    open_keyring(place.path, Unlock(), seen=place.seen)

    raw = place.path.read_text(encoding="utf-8")
    place.path.write_text(raw.replace('"decrypt"', '"destroy"'), encoding="utf-8")
    (tmp_path / "calls").unlink()
    with pytest.raises(KeyringError, match="locked"):
        open_keyring(place.path, Unlock(), seen=place.seen)
    assert not (tmp_path / "calls").exists()


def test_a_command_follows_to_a_new_root(place, kms):
    ring = changes.add_protector(place.open(), protect("command", Unlock(), kms))

    changes.new_root(ring, [place.unlock])

    assert open_keyring(place.path, Unlock(approve=approve)).root == place.open().root != ring.root


def test_no_shell_sees_the_command(place, tmp_path):
    with pytest.raises(PydpError):
        protect("command", Unlock(), {"secret": f"true; touch {tmp_path / 'owned'}"})
    protect("command", Unlock(), {"secret": f"echo $(touch {tmp_path / 'owned'})"})

    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, UsageError),
        ({"secret": "a", "wrap": "b"}, UsageError),
        ({"secret": ""}, UsageError),
        ({"secret": "echo 'unclosed"}, UsageError),
        ({"secret": "no-such-command-anywhere"}, UsageError),
        ({"secret": "false"}, WrongKey),
        ({"secret": "echo short"}, WrongKey),
        ({"secret": "true"}, WrongKey),
        ({"secret": "head -c 100000 /dev/zero"}, WrongKey),
        ({"wrap": "cat", "unwrap": "echo nothing"}, WrongKey),
    ],
)
def test_what_does_not_work_is_said_at_once(options, error):
    with pytest.raises(error):
        protect("command", Unlock(), options)


def test_a_malformed_command_in_a_ring_is_refused(place, kms):
    changes.add_protector(place.open(), protect("command", Unlock(), kms))
    raw = place.path.read_bytes()
    from pydp_cli.keys.ring_file import canonical

    for argv in (None, [], "rm -rf", [1], [["a"]]):
        document = json.loads(raw)
        document["protectors"][1]["argv"] = argv
        place.path.write_bytes(canonical(document))
        with pytest.raises(KeyringError):
            open_keyring(place.path, Unlock(approve=approve))
