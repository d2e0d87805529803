"""The how-to pages on keys are run as they are written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
POLICY = """version: 1
keyring: pydp.keyring
datasets:
  people:
    path: people.csv
    columns: {id: keep, email: {anonymize: redact, encrypt: true}}
"""


@pytest.fixture
def place(tmp_path):
    """What the pages take for granted: a policy, a keyring, folders around, and the command."""
    here = tmp_path / "here"
    for folder in (here, tmp_path / "bin", *(tmp_path / name for name in ("anna", "ben", "ci", "secrets", "safe"))):
        folder.mkdir()
    command = tmp_path / "bin" / "pydp"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pydp_cli.cli.app "$@"\n')
    command.chmod(0o755)
    (here / "pydp.yml").write_text(POLICY)
    (here / "people.csv").write_text("id,email\n1,a@example.org\n2,\n")
    return here


def shell(place, script):
    environment = {
        **os.environ,
        "PATH": f"{place.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PAGES.parents[1]),
        "XDG_STATE_HOME": str(place.parent / "state"),
    }
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks(page):
    text = (PAGES / page).read_text(encoding="utf-8")
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    assert len(found) > 5
    return "\n".join(re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found)


def test_two_people_and_ci_share_a_keyring(place):
    shell(place, blocks("keys-team.md"))
    shown = json.loads(shell(place, "pydp keys show --json --key-file ../ci/pydp.key"))
    assert [slot["label"] for slot in shown["protectors"]] == ["Anna", "CI"]


def test_the_recovery_drill_recovers(place):
    shell(place, "pydp keys init --key-file ../secrets/pydp.key && pydp encrypt people.csv -o enc.csv "
          "--key-file ../secrets/pydp.key")  # fmt: skip
    assert "ended with 3" in shell(place, blocks("keys-backup.md"))
    clear = shell(place, "pydp decrypt enc.csv -o - --key-file ../secrets/pydp.key")
    assert clear == (place / "people.csv").read_text()


def test_what_leaked_is_replaced_and_destroyed(place):
    shell(place, "pydp keys init --key-file ../secrets/pydp.key --label ops && pydp encrypt people.csv "
          "-o people.enc.csv --key-file ../secrets/pydp.key && pydp keys backup ../safe/pydp.keyring "
          "--key-file ../secrets/pydp.key")  # fmt: skip
    keys = json.loads(shell(place, "pydp keys list --json --key-file ../secrets/pydp.key"))
    (old,) = [key["id"] for key in keys if key["key"] == "cell"]
    shell(place, f"OLD_KEY_ID={old}\n" + blocks("keys-leak.md"))
    clear = shell(place, "pydp decrypt people.new.csv -o - --keyring pydp.keyring --key-file ../secrets/new.key")
    assert clear == (place / "people.csv").read_text()
    states = json.loads(shell(place, "pydp keys list --json --key-file ../secrets/new.key"))
    assert {key["id"]: key["state"] for key in states}[old] == "destroyed"


def test_the_key_of_a_column_is_given_to_tink_and_to_another_keyring(place):
    policy = POLICY.replace("encrypt: true", "encrypt: deterministic")
    (place / "pydp.yml").write_text(policy)
    shell(place, "pydp keys init --key-file ../secrets/pydp.key && pydp keys init --keyring their.keyring --key-file "
          "their.key && pydp encrypt people.csv -o sealed.csv --key-file ../secrets/pydp.key")  # fmt: skip
    page = (PAGES / "keys-give-a-column.md").read_text(encoding="utf-8")
    shell(place, "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)))
    assert (place / "clear.csv").read_text() == (place / "people.csv").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (place / "open.py").write_text(program)
    (place / "sealed.csv").write_text("".join((place / "sealed.csv").read_text().splitlines(keepends=True)[:2]))
    assert shell(place, f"{sys.executable} open.py") == "a@example.org\n"


def test_a_protector_of_ones_own_is_written_as_the_page_says(place):
    page = (PAGES / "keys-kms.md").read_text(encoding="utf-8")
    (module,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (entry,) = re.findall(r"^usb = \"(.*)\"$", page, re.MULTILINE)
    (command,) = re.findall(r"^pydp keys add-protector usb .*$", page, re.MULTILINE)
    metadata = place / "pydp_usb-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pydp-usb\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[pydp.key_protectors]\nusb = {entry}\n")
    (place / "pydp_usb.py").write_text(module)  # `python -m` looks for packages here first
    stick = place.parent / "stick"
    stick.mkdir()

    shell(place, "pydp keys init --key-file ../secrets/pydp.key\n" + command.replace("/media/stick", str(stick)))

    assert "pseudonym" in shell(place, "pydp keys list")
    assert "stick" in shell(place, "pydp keys show")
    (stick / "pydp.secret").unlink()
    assert "ended with 75" in shell(place, "pydp keys list || echo ended with $?")
