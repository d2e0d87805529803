"""A plan to purge never holds a row that some reading of the policy keeps: beside a slow one, rule by rule."""

import csv
import datetime as dt
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.errors import LimitReached, PolicyError, UsageError
from pydp_cli.policy.loader import load_policy
from pydp_cli.subjects import purge
from pydp_cli.subjects.purge import carry_out, plan_purge
from tests.subjects.test_retention import slowly

TODAY = dt.date(2026, 11, 23)
days = st.dates(dt.date(2022, 1, 1), dt.date(2027, 1, 1)).map(dt.date.isoformat)
clocks = st.none() | days | days | days
texts = clocks | st.sampled_from(["soon", "31.12.2019", " ", "2020-02-30", "2023-05-05T10:00:00Z"])
people = st.sampled_from(["anna", "bo", "cy", None])


@st.composite
def cases(draw):
    kind = draw(st.sampled_from(["csv", "parquet"]))
    values = texts if kind == "csv" else clocks
    files = draw(st.lists(st.lists(st.tuples(people, values, values), max_size=8), min_size=1, max_size=3))
    said = {
        "clock": draw(st.sampled_from([["a"], ["b"], ["a", "b"]])),
        "keep": f"P{draw(st.integers(0, 3))}Y{draw(st.integers(0, 3))}M0W{draw(st.integers(0, 40))}D",
        "on_null_clock": draw(st.sampled_from(["keep", "delete", "quarantine"])),
    }
    if draw(st.booleans()):
        said["grace"] = "P0Y1M0W0D"
    if draw(st.booleans()):
        said["unless"] = 'who == "anna"'
    return kind, files, said, draw(st.booleans())


def is_kept(row, said, *, held):
    """Read the rule for one row, in plain Python."""
    who, *dates = row
    if (held and who == "bo") or ("unless" in said and who == "anna"):
        return True
    chosen = [date for name, date in zip("ab", dates, strict=True) if name in said["clock"]]
    read = []
    for text in chosen:
        if text is None or not text.strip():
            continue
        try:
            read.append(dt.date.fromisoformat(text[:10]))
        except ValueError:
            return True
    if not read:
        return said["on_null_clock"] == "keep"
    end = slowly(max(read), said["keep"])
    return (slowly(end, said["grace"]) if "grace" in said else end) >= TODAY


def place(folder, kind, files, said, *, held):
    policy = {
        "version": 1,
        "identities": {"person": {}},
        "datasets": {"d": {"path": f"d/*.{kind}", "identifiers": {"who": "person"}, "retention": said}},
    }
    if held:
        policy["holds"] = [{"id": "H", "matter": "x", "match": {"identity": {"person": "bo"}}, "from": "2020-01-01"}]
    (folder / "d").mkdir()
    (folder / "pydp.yml").write_text(json.dumps(policy))
    for number, rows in enumerate(files):
        path = folder / f"d/{number}.{kind}"
        if kind == "csv":
            with path.open("w", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerows([("who", "a", "b"), *rows])
        else:
            columns = [[row[at] for row in rows] for at in range(3)]
            made = [pa.array(column, pa.string()) for column in columns]
            table = pa.table({"who": made[0], "a": made[1].cast(pa.date32()), "b": made[2].cast(pa.date32())})
            pq.write_table(table, path, row_group_size=3)
    return load_policy(folder / "pydp.yml")


@given(cases())
@settings(max_examples=120)
def test_what_goes_is_what_no_reading_keeps(tmp_path_factory, ring, case):
    kind, files, said, held = case
    folder = tmp_path_factory.mktemp("purge")
    policy = place(folder, kind, files, said, held=held)
    plan = plan_purge(policy, TODAY, keyring=ring.open())
    going = {one.shown: one.edits.delete.tolist() for one in plan.files}
    expected = {
        f"d/{number}.{kind}": [at for at, row in enumerate(rows) if not is_kept(row, said, held=held)]
        for number, rows in enumerate(files)
    }
    assert going == expected
    done = []
    carry_out(plan, done, most=1, keyring=ring.open())
    assert sum(one["deleted"] for one in done) == sum(map(len, expected.values()))
    assert not plan_purge(policy, TODAY, keyring=ring.open()).changing
    shutil.rmtree(folder)


ROWS = [("cy", "2020-01-01", None), ("cy", None, None), ("bo", "2026-01-01", None)]
RULE = {"clock": ["a"], "keep": "P1Y", "on_null_clock": "quarantine"}


def test_rows_that_were_set_aside_and_not_deleted_are_not_kept_twice(tmp_path, monkeypatch):
    policy = place(tmp_path, "csv", [ROWS], RULE, held=False)
    real = purge.rewrite_file
    before = (tmp_path / "d/0.csv").read_bytes()
    with monkeypatch.context() as patched:
        calls = []

        def second_fails(file, stream, edits, **options):
            calls.append(edits)
            if len(calls) == 2:
                raise UsageError("no")
            return real(file, stream, edits, **options)

        patched.setattr(purge, "rewrite_file", second_fails)
        with pytest.raises(UsageError):
            carry_out(plan_purge(policy, TODAY, keyring=None), [], most=1, keyring=None)
    assert len(calls) == 2
    assert list((tmp_path / ".pydp/quarantine").iterdir()) == []
    assert (tmp_path / "d/0.csv").read_bytes() == before
    carry_out(plan_purge(policy, TODAY, keyring=None), [], most=1, keyring=None)
    [aside] = (tmp_path / ".pydp/quarantine").rglob("*.csv")
    assert (aside.read_text(), (tmp_path / "d/0.csv").read_text()) == ("who,a,b\ncy,,\n", "who,a,b\nbo,2026-01-01,\n")


def test_a_file_that_changes_meanwhile_does_not_get_round_the_limit(tmp_path, monkeypatch):
    policy = place(
        tmp_path, "csv", [[*ROWS, *[("bo", "2026-01-01", None)] * 9]], {**RULE, "on_null_clock": "keep"}, held=False
    )
    plan = plan_purge(policy, TODAY, keyring=None)
    assert plan.fractions() == {"d": 1 / 12}
    new = "who,a,b\n" + "cy,2020-01-01,\n" * 12
    (tmp_path / "d/0.csv").write_text(new)
    with pytest.raises(LimitReached):
        carry_out(plan, [], most=0.2, keyring=None)
    assert (tmp_path / "d/0.csv").read_text() == new


def test_rows_are_held_in_the_file_as_it_is_now(tmp_path, ring, monkeypatch):
    """Held rows are positions: a file that was replaced after they were found must be looked at again."""
    old = [("bo", "2020-01-01", None), ("cy", "2020-01-01", None)]
    policy = place(tmp_path, "csv", [old], RULE, held=True)
    real, replaced = purge.held_rows, []

    def held_rows(*given, **options):
        found = real(*given, **options)
        if not replaced:
            replaced.append(True)
            (tmp_path / "d/new").write_text("who,a,b\ncy,2020-01-01,\nbo,2020-01-01,\n")
            (tmp_path / "d/new").replace(tmp_path / "d/0.csv")
        return found

    monkeypatch.setattr(purge, "held_rows", held_rows)
    carry_out(plan_purge(policy, TODAY, keyring=ring.open()), [], most=1, keyring=ring.open())
    assert (tmp_path / "d/0.csv").read_text() == "who,a,b\nbo,2020-01-01,\n"


def test_a_law_that_obliges_to_keep_rows_goes_before_the_rule(tmp_path):
    policy = place(tmp_path, "csv", [ROWS], RULE, held=False)
    text = (tmp_path / "pydp.yml").read_text()
    obliged = text.replace(
        '"identities"', '"purposes": {"tax": {"basis": "legal-obligation", "keep": "P10Y"}}, "identities"'
    )
    (tmp_path / "pydp.yml").write_text(obliged.replace('"retention"', '"purposes": ["tax"], "retention"'))
    with pytest.raises(PolicyError, match="obliges to keep them"):
        plan_purge(load_policy(tmp_path / "pydp.yml"), TODAY, keyring=None)
    assert plan_purge(policy, TODAY, keyring=None).changing


def test_a_file_of_two_datasets_is_refused(tmp_path):
    place(tmp_path, "csv", [ROWS], RULE, held=False)
    text = (tmp_path / "pydp.yml").read_text()
    again = text.replace(
        '"datasets": {', '"datasets": {"e": {"path": "d/0.csv", "retention": {"clock": "a", "keep": "P9Y"}}, '
    )
    (tmp_path / "pydp.yml").write_text(again)
    with pytest.raises(UsageError, match="reach this file twice"):
        plan_purge(load_policy(tmp_path / "pydp.yml"), TODAY, keyring=None)
