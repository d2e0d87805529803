"""The help of every command: one sentence, and an example that works."""

import os
import shlex
import shutil
from pathlib import Path

import pytest
import typer.main

from pydp_cli.cli.app import COMMANDS, app
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.subject_keys import create_subject_keys
from pydp_cli.keys.unlock import Unlock

FIXTURES = Path(__file__).parents[2] / "fixtures"
KEY_ID = "1a2b3c4d"
"""What examples call a key; the test puts in one that the keyring has."""


def leaves(command, path):
    """Give every command that does something, with its path."""
    children = getattr(command, "commands", None)
    if path == ["pydp"]:
        children = {name: command.get_command(None, name) for name in COMMANDS}
    if not children:
        yield path, command
    for name, child in (children or {}).items():
        yield from leaves(child, [*path, name])


EVERY = {" ".join(path): command for path, command in leaves(typer.main.get_command(app), ["pydp"])}


def examples(command):
    """Give the example lines of a command's help, each as one line."""
    text = (command.epilog or "").replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip().startswith("pydp ")]


RUNNABLE = [
    (name, example)
    for name, command in EVERY.items()
    for example in examples(command)
    if example.startswith(name) and name.split()[1] in {"init", "policy", "anonymize", "encrypt", "decrypt", "keys"}
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Make what the examples name: the fixtures, a keyring and its key file, a policy, people and things."""
    import subprocess
    import sys

    top = tmp_path_factory.mktemp("prepared")
    here = top / "here"
    (top / "secrets").mkdir()
    shutil.copytree(FIXTURES, here / "fixtures", ignore=shutil.ignore_patterns("__pycache__"))
    (here / "people.csv").write_text("id,email,phone\n1,a@example.org,+49 30 1234567\n")
    (here / "data").mkdir()
    (here / "bin").mkdir()
    (here / "bin" / "pass").write_text("#!/bin/sh\necho correct horse battery\n")
    (here / "bin" / "pass").chmod(0o755)
    steps = [
        "keys init --keyring pydp.keyring --key-file ../secrets/pydp.key",
        "keys identity new ../secrets/alice.identity --kind x25519",
        "keys new-version cell --keyring pydp.keyring --key-file ../secrets/pydp.key",
    ]
    environment = {**os.environ, "XDG_STATE_HOME": str(top / "state"), "PYTHONPATH": str(FIXTURES.parent)}
    for step in steps:
        done = subprocess.run(
            [sys.executable, "-m", "pydp_cli.cli.app", *shlex.split(step)],
            cwd=here,
            env=environment,
            capture_output=True,
            check=True,
        )
        if "identity" in step:
            (here / "alice.pub").write_bytes(done.stdout)
    shutil.copy(here / "pydp.keyring", here / "fixtures" / "pydp.keyring")
    return top


@pytest.fixture
def place(prepared, tmp_path, monkeypatch):
    """A copy of it, where one example is run; a policy for those commands that look for one."""
    shutil.copytree(prepared, tmp_path / "top")
    here = tmp_path / "top" / "here"
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "top" / "state"))
    monkeypatch.setenv("PATH", f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return here


@pytest.mark.parametrize("name", EVERY)
def test_every_command_says_in_a_sentence_what_it_does_and_has_an_example(name):
    command = EVERY[name]
    first = (command.help or "").split("\n")[0]
    assert first.endswith("."), first
    assert examples(command), "no example"
    assert any(example.startswith(name) for example in examples(command))


@pytest.mark.parametrize("name", EVERY)
def test_every_option_and_argument_is_explained(name):
    for parameter in EVERY[name].params:
        assert getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize(("name", "example"), [(name, e) for name, c in EVERY.items() for e in examples(c)])
def test_examples_use_options_that_there_are(name, example):
    name = max((other for other in EVERY if f"{example} ".startswith(f"{other} ")), key=len)
    words = shlex.split(example.split(" > ")[0].split(" | ")[0])[len(name.split()) :]
    EVERY[name].make_context(name, words)


@pytest.mark.parametrize(("name", "example"), RUNNABLE)
def test_examples_work(name, example, place, capfd):
    from pydp_cli.cli.app import run

    prepare(name, place)
    line = example.split(" > ")[0].replace("/media/safe", str(place.parent / "safe"))
    arguments = [cell_key(place) if word == KEY_ID else word for word in shlex.split(line)[1:]]
    code = run(arguments)
    out, err = capfd.readouterr()
    assert code == 0, err
    if " > " in example:
        assert out


KEY = ["--keyring", "pydp.keyring", "--key-file", "../secrets/pydp.key"]
IN_THE_WAY = {
    "pydp keys init": ["pydp.keyring", "../secrets/pydp.key"],
    "pydp keys identity new": ["../secrets/alice.identity"],
}
FIRST = {
    "pydp decrypt": ["encrypt", "fixtures/data/orders.csv", "-o", "out.csv", "--set", "email=random"],
    "pydp decrypt --whole-file": ["encrypt", "--whole-file", "fixtures/pydp.yml", "-o", "notes.pydp"],
    "pydp keys remove-protector": ["keys", "add-protector", "--new-key-file", "ci.key", "--label", "CI"],
    "pydp keys combine": ["keys", "split", "--threshold", "2", "--shares", "2", "-o", "."],
    "pydp keys verify-backup": ["keys", "backup", "../safe/pydp.keyring"],
    "pydp keys import": ["keys", "export", "--tink", "--column", "customers.email", "-o", "email.keyset"],
    "pydp keys enable": ["keys", "disable", KEY_ID],
    "pydp keys destroy": ["keys", "disable", KEY_ID],
}
"""What has to be run before an example, and what must not be there."""


def prepare(name, place):
    """Make or remove what a command expects to find, or not to find."""
    from pydp_cli.cli.app import run

    (place.parent / "safe").mkdir()
    for file in IN_THE_WAY.get(name, ()):
        (place / file).unlink()
    if name.startswith("pydp keys") and name not in IN_THE_WAY:
        (place / "pydp.yml").write_text("version: 1\nkeyring: pydp.keyring\ndatasets: {p: {path: people.csv}}\n")
    if name == "pydp keys subjects":
        create_subject_keys(place / ".pydp" / "subject-keys.db", opened(place))
    for first in (words for start, words in FIRST.items() if start.startswith(name)):
        assert run([cell_key(place) if word == KEY_ID else word for word in (*first, *KEY)]) == 0
    if name == "pydp keys combine":
        (place / "share-1-of-2.txt").rename("anna.txt")
        (place / "share-2-of-2.txt").rename("ben.txt")


def cell_key(place):
    """Give the id of the first version of the key for cells, which is not the primary one."""
    return opened(place).keys["cell"][0].key_id.hex()


def opened(place):
    return open_keyring(place / "pydp.keyring", Unlock(key_file=place.parent / "secrets" / "pydp.key"))
