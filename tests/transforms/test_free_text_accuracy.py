from pathlib import Path

import pytest

from pydp_cli.errors import InputError
from pydp_cli.transforms.free_text_accuracy import measure, read_labelled
from pydp_cli.transforms.free_text_patterns import KINDS

LABELLED = Path(__file__).parents[2] / "fixtures" / "free_text" / "labelled.jsonl"


def test_reaches_the_accuracy_that_is_documented():
    """The floors are what was measured, less a little: a change of the patterns must not make them worse."""
    reached = {accuracy.kind: accuracy for accuracy in measure(read_labelled(LABELLED))}
    assert set(reached) == {*KINDS, "name", "all"}
    for kind, accuracy in reached.items():
        assert accuracy.labelled >= 60, kind
        assert accuracy.precision >= 0.98, kind
        assert accuracy.recall >= 0.98, kind
        assert accuracy.coverage >= 0.98, kind
    assert reached["all"].precision >= 0.995
    assert reached["all"].recall >= 0.995


def test_counts_what_is_missed_misnamed_and_made_up(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text(
        '{"text": "call [[phone|+49 30 901820]] or [[email|nobody]]"}\n'
        '{"text": "[[card|192.0.2.1]] and 192.0.2.2", "own": {"name": "Ada"}}\n'
        '{"text": "dear [[name|Ada]]", "own": {"name": "Ada"}}\n',
        encoding="utf-8",
    )
    counted = {accuracy.kind: accuracy for accuracy in measure(read_labelled(path))}
    assert (counted["phone"].recall, counted["phone"].precision) == (1, 1)
    assert (counted["email"].recall, counted["email"].coverage) == (0, 0)
    assert (counted["card"].recall, counted["card"].coverage) == (0, 1)
    assert (counted["ip"].claimed, counted["ip"].precision) == (2, 0)
    assert counted["name"].recall == 1
    assert (counted["all"].labelled, counted["all"].found) == (4, 2)
    assert measure([]) == []


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text('{"text": "fine"}\n{"txt": 1}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"set\.jsonl:2"):
        read_labelled(path)
