"""`pydp init` as a user runs it: from files to a policy that the check takes once everything is decided."""

import re
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def test_every_column_is_listed_with_a_suggestion_or_left_to_decide(work):
    result = work.pydp("init", "people.csv")
    assert result.code == 0, result.err
    assert re.findall(r"^ {6}(\w+):", result.out, re.MULTILINE) == [*("id", "name", "email", "born", "zip", "note")]
    assert "decide" in result.out


def test_no_value_of_the_data_gets_into_the_policy(work):
    text = work.pydp("init", "people.csv").out
    for value in ("Anna", "Berg", "anna@", "example.com", "1980", "01067", "likes"):
        assert value not in text


def test_the_starter_policy_is_rejected_until_everything_is_decided_and_runs_then(work):
    made = work.pydp("init", "people.csv", "-o", "starter.yml")
    assert made.code == 0
    assert "pydp policy check -p starter.yml" in made.err
    undecided = work.pydp("policy", "check", "-p", "starter.yml")
    assert undecided.code == 2
    complaints = [line for line in undecided.err.splitlines() if "error:" in line]
    assert complaints
    assert all("still to be decided" in line for line in complaints)
    work.write("starter.yml", work.read("starter.yml").replace(": decide", ": redact"))
    assert work.pydp("policy", "check", "-p", "starter.yml").code == 0
    run = work.pydp("anonymize", "-p", "starter.yml", "--keyring", "ring", "--key-file", "key")
    assert run.code == 0, run.err
    assert "Anna" not in run.out


def test_several_files_become_datasets_that_are_linked(work):
    work.write("orders.csv", "order_id,id,total\n1,1,5\n2,1,7\n3,007,1\n")
    result = work.pydp("init", "people.csv", "orders.csv", "-o", "starter.yml")
    assert result.code == 0, result.err
    text = work.read("starter.yml")
    assert "  people:" in text
    assert "  orders:" in text


def test_nested_and_typed_columns_of_parquet_are_listed(work):
    table = pa.table({"rate": [1.5], "when": pa.array([0], pa.timestamp("us")), "tags": [["a"]], "s": [{"x": 1}]})
    pq.write_table(table, work.path("t.parquet"))
    result = work.pydp("init", "t.parquet")
    assert result.code == 0, result.err
    assert all(f"      {column}:" in result.out for column in table.column_names)


def test_an_existing_policy_is_kept_unless_forced(work):
    before = work.read("pydp.yml")
    refused = work.pydp("init", "people.csv", "-o", "pydp.yml")
    assert (refused.code, "already exists" in refused.err) == (2, True)
    assert work.read("pydp.yml") == before
    assert work.pydp("init", "people.csv", "-o", "pydp.yml", "--force").code == 0
    assert stat.S_IMODE(work.path("pydp.yml").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.csv", None, "missing.csv"),
        ("empty.csv", b"", "the file is empty"),
        ("x.parquet", b"PAR1 not", "x.parquet"),
        ("twice.csv", b"a,a\n1,2\n", "same name"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_written(work, name, content, message):
    if content is not None:
        work.write(name, content)
    result = work.pydp("init", name, "-o", "starter.yml")
    assert (result.code, message in result.err) == (2, True), result.err
    assert not work.path("starter.yml").exists()


def test_strange_names_of_columns_come_out_as_yaml_that_loads(work):
    header = '"a: b","#c","- d","on","null","1.5","é\u202e","with ""quotes""","{x}","&y"'
    work.write("odd.csv", header + "\n" + ",".join(["v"] * 10) + "\n")
    assert work.pydp("init", "odd.csv", "-o", "starter.yml").code == 0
    work.write("starter.yml", work.read("starter.yml").replace(": decide", ": keep"))
    result = work.pydp("policy", "check", "-p", "starter.yml")
    assert result.code == 0, result.err
