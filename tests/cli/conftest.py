"""A user's working folder: files, a keyring with its key file, and the command."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pydp_cli.cli.app import run
from tests.cli import planted

PEOPLE = """id,name,email,born,zip,note
1,Anna Berg,anna@example.com,1980-02-03,01067,"likes ""tea"", and more"
007,Bo,BO@example.com,1999-12-31,80331,
3,,c.d@other.example,1931-07-01,1010,""
"""
POLICY = """version: 1
keyring: ring
datasets:
  people:
    path: people.csv
    columns:
      id: {pseudonym: {domain: person}}
      name: {mask: {keep_first: 1}}
      email: {pseudonym: {domain: email, format: email}}
      born: {date: {truncate: year}}
      zip: {prefix: 3}
      note: keep
"""


@dataclass
class Result:
    code: int
    out: str
    err: str


class Workplace:
    """A folder to work in, and the `pydp` command in it."""

    def __init__(self, folder, capfd):
        self.folder, self._capfd = folder, capfd
        self.printed, self.complained, self.secrets = "", "", []

    def path(self, name):
        return self.folder / name

    def write(self, name, content):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def read(self, name):
        return self.path(name).read_bytes().decode()

    def pydp(self, *arguments):
        """Run the command in this process; give its exit code and what it printed."""
        self._capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = self._capfd.readouterr()
        self.printed += out
        self.complained += err
        assert "Traceback" not in err
        return Result(code, out, err)

    def start(self, *arguments, **options):
        """Start the command as a process of its own."""
        command = [sys.executable, "-m", "pydp_cli.cli.app", *map(str, arguments)]
        return subprocess.Popen(command, cwd=self.folder, **options)

    def left_over(self):
        """Name the hidden files that a run has left."""
        return sorted(path.name for path in self.folder.iterdir() if path.name.endswith(".tmp"))


@pytest.fixture
def work(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    workplace = Workplace(folder, capfd)
    workplace.write("people.csv", PEOPLE)
    workplace.write("pydp.yml", POLICY)
    assert workplace.pydp("keys", "init", "--keyring", "ring", "--key-file", "key", "-q").code == 0
    workplace.secrets = planted.secrets_of(folder)
    yield workplace
    secrets = list(dict.fromkeys([*workplace.secrets, *planted.secrets_of(folder)]))
    assert planted.leaks(folder, workplace.printed, workplace.complained, secrets) == []
