"""The accuracy of `free_text` is a command away, on our labelled set or on a user's own."""

import json
from pathlib import Path

LABELLED = Path(__file__).parents[2] / "fixtures" / "free_text" / "labelled.jsonl"


def test_precision_and_recall_are_printed_for_each_kind(work):
    done = work.pydp("policy", "free-text-accuracy", LABELLED)
    heading, *lines = done.out.splitlines()
    assert done.code == 0
    assert heading.split() == ["kind", "labelled", "claimed", "precision", "recall", "coverage"]
    assert {"email", "phone", "iban", "card", "ip", "url", "date", "national_id", "name", "all"} == {
        line.split()[0] for line in lines
    }


def test_what_is_missed_and_what_is_wrong_is_counted(work):
    texts = ["write to [[email|ada@example.org]]", "the [[phone|little bird]] knows", "or to bob@example.org"]
    work.write("own.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    told = {
        row["kind"]: row for row in json.loads(work.pydp("policy", "free-text-accuracy", "own.jsonl", "--json").out)
    }
    assert (told["email"]["labelled"], told["email"]["claimed"], told["email"]["right"]) == (1, 2, 1)
    assert (told["email"]["precision"], told["phone"]["recall"], told["phone"]["coverage"]) == (0.5, 0.0, 0.0)


def test_what_is_no_labelled_set_is_named_by_its_line(work):
    work.write("own.jsonl", '{"text": "fine"}\n{"texts": 1}\n')
    done = work.pydp("policy", "free-text-accuracy", "own.jsonl")
    assert done.code == 2
    assert "own.jsonl:2: not a line of a labelled set" in done.err
    assert work.pydp("policy", "free-text-accuracy", "none.jsonl").code == 2
