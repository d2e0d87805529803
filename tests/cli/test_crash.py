"""A bug is reported by its places, in workers too, and never by what the data was."""

import re
from pathlib import Path

import pytest


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crash_names_places_and_no_value(work, workers, monkeypatch):
    from pydp_cli.pipeline.model import Pipeline

    def broken(self, batch):
        raise RuntimeError(batch.column("name")[0].as_py())

    monkeypatch.setattr(Pipeline, "apply_counted", broken)
    work.write("many.csv", "id,name\n" + "1,Anna Berg\n" * 500_000)
    done = work.pydp("anonymize", "many.csv", "-o", "out.csv", "--keep", "id,name", "--workers", workers)
    assert done.code == 1
    report = Path(re.search(r"written to (\S+)", done.err)[1])
    told = report.read_text()
    report.unlink()
    assert "RuntimeError" in told
    assert "test_crash.py" in told
    assert ("(worker)" in told) == (workers == 2)
    assert "Anna" not in told + done.err
    assert not work.path("out.csv").exists()
