import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "fixtures" / "plugin"

LIST_AND_APPLY = """
import pyarrow as pa
from pydp_cli.transforms.registry import transforms

plate = transforms()["plate"]
print(plate.info.leaks)
print(plate().apply(pa.array(["B-AB 1234", None, "x"])).to_pylist())
"""


@pytest.fixture
def site(tmp_path):
    """The plugin as an installer leaves it: the package, and the metadata with its entry points."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no reader for pyproject.toml")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = tmp_path / f"pydp_plates-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {target}" for name, target in project["entry-points"]["pydp.transforms"].items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[pydp.transforms]", *lines, ""]))
    (tmp_path / "pydp_plates").symlink_to(PLUGIN / "pydp_plates", target_is_directory=True)
    return tmp_path


def run(site, *arguments):
    paths = [str(site), str(PLUGIN.parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False)


def test_an_installed_plugin_is_found_by_its_entry_point(site):
    done = run(site, "-c", LIST_AND_APPLY)

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["the district, and the kind of engine", "['B-*', None, '*']"]


def test_the_plugins_own_tests_pass(site):
    done = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(PLUGIN / "tests"))

    assert done.returncode == 0, done.stdout + done.stderr
