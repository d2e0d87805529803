import os
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.cli.app import run

KEYS = ("--keyring", "ring", "--key-file", "key")
CSV = "id,email,note\n" + "".join(f"{n:03d},p{n}@example.com,note {n}\n" for n in range(300))
TABLE = {
    "id": list(range(300)),
    "email": [f"p{n % 9}@example.com" for n in range(300)],
    "pay": [n / 4 for n in range(300)],
}


@pytest.fixture(scope="session", autouse=True)
def traceable():
    """Skip where nothing can be traced: `tests/rewrite/faults.py` strikes at the calls of `os` there."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (Debian package `strace`)")
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        pytest.skip("the system does not permit tracing (ptrace)")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with data and a keyring, which `fresh` lays out again before each fault."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "seen"))
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", root + os.pathsep + os.environ.get("PYTHONPATH", ""))
    template, folder = tmp_path / "template", tmp_path / "here"
    (template / "data").mkdir(parents=True)
    (template / "data/people.csv").write_text(CSV)
    pq.write_table(pa.table(TABLE), template / "data/pay.parquet", row_group_size=100)
    monkeypatch.chdir(template)
    assert run(["keys", "init", "--keyring", "ring", "--key-file", "key", "-q"]) == 0
    return Here(template, folder, tmp_path / "seen", monkeypatch)


class Here:
    def __init__(self, template, folder, seen, monkeypatch):
        self.template, self.folder, self._seen, self._monkeypatch = template, folder, seen, monkeypatch

    def prepare(self, *commands):
        """Do what comes before; what it leaves is what every fault begins with."""
        for command in commands:
            assert run([*command, *KEYS, "-q"]) == 0
        shutil.rmtree(self.template / ".pydp", ignore_errors=True)

    def fresh(self):
        os.chdir("/")
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self._seen, ignore_errors=True)
        shutil.copytree(self.template, self.folder)
        self._monkeypatch.chdir(self.folder)

    def again(self, *arguments):
        return run([*map(str, arguments), *KEYS, "-q"])
