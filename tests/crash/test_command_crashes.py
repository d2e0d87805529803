"""Commands that change files in place, and the keyring's, struck at system calls: the old or the new, never half."""

import shutil
from pathlib import Path

import pytest

from pydp_cli.cli.app import run
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.unlock import Unlock
from tests.crash.conftest import CSV, KEYS
from tests.crash.harness import calls_on, faults, pydp, strays, strike

FILE = "data/people.csv"


def test_encrypt_in_place_leaves_the_file_in_clear_or_encrypted(here, subtests):
    here.fresh()
    arguments = ("encrypt", FILE, "--in-place", "--set", "email=random", "--workers", "1")
    command = pydp(*arguments, *KEYS, "-q")
    for fault in faults(calls_on(here.folder, command), 5):
        with subtests.test(str(fault)):
            here.fresh()
            strike(here.folder, command, fault)
            if Path(FILE).read_text() == CSV:
                assert here.again(*arguments) == 0, f"again after {fault}"
            else:
                assert here.again("decrypt", FILE, "--in-place") == 0, f"after {fault}"
                assert Path(FILE).read_text() == CSV, f"after {fault}"
            assert strays(here.folder) == [], f"again after {fault}"


def test_anonymize_in_place_leaves_the_old_file_or_the_new_one(here, subtests):
    here.fresh()
    arguments = ("anonymize", FILE, "--in-place", "--set", "email=pseudonym", "--keep", "id,note", "--workers", "1")
    command = pydp(*arguments, *KEYS, "-q")
    calls = calls_on(here.folder, command)
    expected = Path(FILE).read_bytes()
    for fault in faults(calls, 5):
        with subtests.test(str(fault)):
            here.fresh()
            strike(here.folder, command, fault)
            found = Path(FILE).read_bytes()
            assert found in {CSV.encode(), expected}, f"after {fault}"
            if found != expected:
                assert here.again(*arguments) == 0, f"again after {fault}"
                assert Path(FILE).read_bytes() == expected, f"again after {fault}"
                assert strays(here.folder) == [], f"again after {fault}"


@pytest.mark.parametrize("arguments", [("keys", "new-version", "cell"), ("rotate-keys", "--mode", "rewrap-root")])
def test_a_change_of_the_keyring_loses_no_key(here, arguments, subtests):
    def keys():
        return {version.key_id for version in open_keyring(Path("ring"), Unlock(key_file=Path("key"))).versions()}

    here.fresh()
    command = pydp(*arguments, *KEYS, "-q")
    for fault in faults(calls_on(here.folder, command), 5):
        with subtests.test(str(fault)):
            here.fresh()
            before = keys()
            strike(here.folder, command, fault)
            assert before <= keys(), f"after {fault}"
            assert here.again(*arguments) == 0, f"again after {fault}"
            assert before <= keys(), f"again after {fault}"
            assert not list(Path().glob(".ring.*.tmp")), f"again after {fault}"


def test_states_and_shares_survive_a_fault_and_the_next_try(here, subtests):
    """`keys disable`, `enable` and `combine`: the ring opens after every fault, and doing it again ends well."""

    def ring():
        return open_keyring(Path("ring"), Unlock(key_file=Path("key")))

    here.prepare(("keys", "new-version", "cell"), ("keys", "split", "--threshold", "2", "--shares", "2", "-o", "s"))
    here.fresh()
    old = ring().keys["cell"][0].key_id.hex()
    shares = [part for share in sorted(Path("s").iterdir()) for part in ("--share-file", str(share))]
    combine = ("keys", "combine", "--keyring", "ring", *shares, "--new-key-file", "recovered", "-q")
    steps = (("keys", "disable", old, *KEYS, "-q"), ("keys", "enable", old, *KEYS, "-q"), combine)
    for step in steps:
        here.fresh()
        for fault in faults(calls_on(here.folder, pydp(*step)), 4):
            with subtests.test(str(fault)):
                here.fresh()
                before = {version.key_id for version in ring().versions()}
                strike(here.folder, pydp(*step), fault)
                assert {version.key_id for version in ring().versions()} == before, f"{step[1]} after {fault}"
                Path("recovered").unlink(missing_ok=True)
                if (
                    step[1] == "combine" or ring().keys["cell"][0].state != f"{step[1]}d"
                ):  # else it was done all the same
                    assert run(list(step)) == 0, f"{step[1]} again after {fault}"
                assert not list(Path().glob(".ring.*.tmp")), f"{step[1]} again after {fault}"
        here.fresh()
        assert run(list(step)) == 0
        shutil.copytree(here.folder, here.template, dirs_exist_ok=True)  # the next step begins where this one ends
    assert ring().keys["cell"][0].state == "enabled"
