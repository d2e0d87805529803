"""Commands that change files in place, and the keyring's, struck at system calls: the old or the new, never half."""

from pathlib import Path

import pytest

from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.unlock import Unlock
from tests.crash.conftest import CSV, KEYS
from tests.crash.harness import calls_on, faults, pydp, strays, strike

FILE = "data/people.csv"


def test_encrypt_in_place_leaves_the_file_in_clear_or_encrypted(here):
    here.fresh()
    arguments = ("encrypt", FILE, "--in-place", "--set", "email=random", "--workers", "1")
    command = pydp(*arguments, *KEYS, "-q")
    for fault in faults(calls_on(here.folder, command), 5):
        here.fresh()
        strike(here.folder, command, fault)
        if Path(FILE).read_text() == CSV:
            assert here.again(*arguments) == 0, f"again after {fault}"
        else:
            assert here.again("decrypt", FILE, "--in-place") == 0, f"after {fault}"
            assert Path(FILE).read_text() == CSV, f"after {fault}"
        assert strays(here.folder) == [], f"again after {fault}"


def test_anonymize_in_place_leaves_the_old_file_or_the_new_one(here):
    here.fresh()
    arguments = ("anonymize", FILE, "--in-place", "--set", "email=pseudonym", "--keep", "id,note", "--workers", "1")
    command = pydp(*arguments, *KEYS, "-q")
    calls = calls_on(here.folder, command)
    expected = Path(FILE).read_bytes()
    for fault in faults(calls, 5):
        here.fresh()
        strike(here.folder, command, fault)
        found = Path(FILE).read_bytes()
        assert found in {CSV.encode(), expected}, f"after {fault}"
        if found != expected:
            assert here.again(*arguments) == 0, f"again after {fault}"
            assert Path(FILE).read_bytes() == expected, f"again after {fault}"
            assert strays(here.folder) == [], f"again after {fault}"


@pytest.mark.parametrize("arguments", [("keys", "new-version", "cell"), ("rotate-keys", "--mode", "rewrap-root")])
def test_a_change_of_the_keyring_loses_no_key(here, arguments):
    def keys():
        return {version.key_id for version in open_keyring(Path("ring"), Unlock(key_file=Path("key"))).versions()}

    here.fresh()
    command = pydp(*arguments, *KEYS, "-q")
    for fault in faults(calls_on(here.folder, command), 5):
        here.fresh()
        before = keys()
        strike(here.folder, command, fault)
        assert before <= keys(), f"after {fault}"
        assert here.again(*arguments) == 0, f"again after {fault}"
        assert before <= keys(), f"again after {fault}"
        assert not list(Path().glob(".ring.*.tmp")), f"again after {fault}"
