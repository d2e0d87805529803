"""The tutorial, and the tour in the README, are followed as they are written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sh(tmp_path):
    """A shell in a copy of what a clone has, with the command on its path."""
    shutil.copytree(ROOT / "fixtures" / "data", tmp_path / "clone" / "fixtures" / "data")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "pydp"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pydp_cli.cli.app "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    def run(script, folder="clone"):
        done = subprocess.run(
            ["sh", "-e", "-c", script],
            cwd=tmp_path / folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_the_tutorial_leads_to_a_file_that_can_be_shared(sh, tmp_path):
    begin, init, check, decided, keys, dry_run, run = blocks("docs/tutorial/index.md", "sh")
    assert sh(begin)[0] == 0
    first = "clone/first"
    assert sh(init, first)[0] == 0
    code, _, said = sh("pydp policy check", first)
    assert (code, "is still to be decided" in said) == (2, True)
    assert check == "pydp policy check\n"

    policy = tmp_path / first / "pydp.yml"
    head, columns, _ = policy.read_text().partition("    columns:\n")
    decisions, same_domain = blocks("docs/tutorial/index.md", "yaml")
    policy.write_text(head + columns + decisions)
    code, told, said = sh(decided, first)
    assert (code, "the policy is sound" in said) == (0, True)
    assert "customer_id" in told
    assert [sh(step, first)[0] for step in (keys, dry_run, run)] == [0, 0, 0]
    header, row, *_ = (tmp_path / first / "safe.csv").read_text().splitlines()
    assert header.startswith("order_id,customer_id,email")
    assert "@example.org" in row
    assert same_domain.strip() == "id: {pseudonym: {domain: customer}}"


def test_the_tour_in_the_readme_shows_what_happens(sh, tmp_path):
    folder = "clone/fixtures/data"
    starter, mistaken, made = blocks("README.md", "console")
    (policy,) = blocks("README.md", "yaml")
    command, said = starter.splitlines()
    assert sh(command.removeprefix("$ "), folder)[2].strip() == said
    (tmp_path / folder / "pydp.yml").write_text(policy)
    command, said = mistaken.splitlines()
    assert sh(command.removeprefix("$ "), folder) == (2, "", said + "\n")
    (tmp_path / folder / "pydp.yml").write_text(policy.replace("mounth", "month"))
    commands = [line.removeprefix("$ ") for line in made.splitlines() if line.startswith("$ ")]
    (tmp_path / "clone/fixtures/secrets").mkdir()
    for command in commands:
        code, _, said = sh(command, folder)
        assert code == 0, said
    assert said.startswith("pydp: 5,000 rows in, 5,000 out, ")
    before, after = (block.splitlines() for block in blocks("README.md", "text"))
    assert before[1] in (tmp_path / folder / "orders.csv").read_text().splitlines()
    shown = (tmp_path / folder / "safe.csv").read_text().splitlines()
    assert shown[0] == after[0]
    untouched = [0, *range(3, 11)]  # pseudonyms depend on the key
    assert [shown[2].split(",")[place] for place in untouched] == [after[1].split(",")[place] for place in untouched]
