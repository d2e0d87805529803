"""`pydp policy` as a user runs it."""

import json
import subprocess

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WRONG = """\
version: 1
identities:
  email: {normalize: [casfold]}
datasets:
  people:
    path: people.csv
    other_colums: drop
    columns:
      id: {psuedonym: {domain: person}}
      name: {mask: {keep_first: -1}}
      born: {date: {truncate: fortnight}}
      zip: {prefix: {}}
"""

COMPLAINTS = """\
pydp: error: pydp.yml:3:23: unknown rule in normalize
pydp: hint: did you mean "casefold"?
pydp: error: pydp.yml:7:5: unknown key "other_colums"
pydp: hint: did you mean "other_columns"?
pydp: error: pydp.yml:9:12: unknown key "psuedonym"
pydp: hint: did you mean "pseudonym"?
pydp: error: pydp.yml:10:33: "keep_first" must be at least 0
pydp: error: pydp.yml:11:31: "truncate" must be one of: year, quarter, month, week, day, hour
pydp: error: pydp.yml:12:13: transform "prefix" lacks "keep"
"""

NOT_THE_DATA = """\
version: 1
datasets:
  people:
    path: people.csv
    columns:
      id: keep
      nmae: keep
      email: keep
      born: {bin: 5}
      zip: keep
"""


def policy(columns, *, more="", dataset=""):
    lines = "\n".join(f"      {line}" for line in columns)
    return f"version: 1\n{more}datasets:\n  people:\n    path: people.csv\n{dataset}    columns:\n{lines}\n"


def checked(work, text, *arguments):
    work.write("pydp.yml", text)
    return work.pydp("policy", "check", *arguments)


def test_a_sound_policy_is_said_to_be_sound(work):
    result = work.pydp("policy", "check")
    assert (result.code, result.out) == (0, "")
    assert "the policy is sound: 1 dataset, checked against 1 file" in result.err


def test_every_problem_is_told_at_once_each_at_its_place_with_a_hint(work):
    result = checked(work, WRONG)
    assert (result.code, result.out) == (2, "")
    assert result.err == COMPLAINTS


def test_problems_are_told_as_json_too(work):
    result = checked(work, NOT_THE_DATA, "--json")
    assert result.code == 2
    told = json.loads(result.out)
    assert {problem["severity"] for problem in told} == {"error"}
    assert ("pydp.yml:7:7", 'the data has no column "nmae"') in {(one["place"], one["message"]) for one in told}


def test_the_policy_and_the_data_must_name_the_same_columns(work):
    result = checked(work, NOT_THE_DATA)
    assert result.code == 2
    assert 'pydp.yml:7:7: the data has no column "nmae"' in result.err
    assert 'did you mean "name"?' in result.err
    assert 'pydp.yml:5:5: column "note" is in the data, and not in the policy' in result.err
    assert "Anna" not in result.err


def test_every_file_of_a_dataset_is_checked(work):
    pq.write_table(pa.table({"a": [1]}), work.path("1.parquet"))
    pq.write_table(pa.table({"a": ["x"], "b": [1]}), work.path("2.parquet"))
    result = checked(work, "version: 1\ndatasets:\n  d:\n    path: '*.parquet'\n    columns: {a: {bin: 5}}\n")
    assert result.code == 2
    assert 'column "b" is in the data' in result.err


def test_a_transform_that_cannot_take_the_columns_type_is_told(work):
    pq.write_table(pa.table({"n": [1.5]}), work.path("n.parquet"))
    result = checked(work, "version: 1\ndatasets:\n  d:\n    path: n.parquet\n    columns: {n: {name: initials}}\n")
    assert result.code == 2
    assert "pydp.yml:5:15" in result.err
    assert 'transform "name" takes text, not double' in result.err


def test_a_dataset_without_files_is_a_warning(work):
    result = checked(work, "version: 1\ndatasets:\n  d:\n    path: none/*.csv\n    columns: {a: keep}\n")
    assert result.code == 0
    assert "pydp: warning: pydp.yml:4:5" in result.err


def test_what_is_to_be_decided_is_rejected_by_check_and_by_a_run(work):
    text = policy(["id: decide", "name: keep", "email: keep", "born: keep", "zip: keep", "note: keep"])
    result = checked(work, text)
    assert result.code == 2
    assert "pydp.yml:6:7" in result.err
    assert 'column "id" is still to be decided' in result.err
    run = work.pydp("anonymize", "-o", "out.csv")
    assert (run.code, work.path("out.csv").exists()) == (2, False)


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        (
            ["id: {pseudonym: {domain: p}}", "name: {pseudonym: {domain: p, format: uuid}}"],
            "",
            'people.name and people.id are in domain "p" and differ in: format',
        ),
        (
            ["id: {pseudonym: {domain: p, bits: 40}}", "name: keep"],
            "domains:\n  p: {population: 1000000}\n",
            'domain "p": among 1,000,000 values two share a pseudonym with probability',
        ),
        (["id: keep", "name: keep"], "", 'there is no identity "nobody"'),
    ],
)
def test_what_the_check_refuses_a_run_refuses_too(work, columns, more, message):
    dataset = "    identifiers: {id: nobody}\n" if "identity" in message else ""
    rest = ["email: keep", "born: keep", "zip: keep", "note: keep"]
    result = checked(work, policy([*columns, *rest], more=more, dataset=dataset))
    assert (result.code, message in result.err) == (2, True), result.err
    run = work.pydp("anonymize", "-o", "out.csv", "--keyring", "ring", "--key-file", "key")
    assert (run.code, message in run.err) == (2, True), run.err
    assert not work.path("out.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x]\n" + "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" * 1 + "c: [*b]\n", "pydp.yml:"),
        ("version: 1\ndatasets: !!python/object/apply:os.system ['true']\n", "pydp.yml:2:11"),
        ("[" * 5000, "pydp.yml:1:"),
        ("version: 1\n" + "#" * 2_000_000, "pydp.yml"),
        ("version: 1\nversion: 1\n", "pydp.yml:2:1"),
        ("version: \xff\x00", "pydp.yml"),
        ("", "pydp.yml:1:1"),
        ("- 1\n", "pydp.yml:1:1"),
        ("version: 1\n\tdatasets: {}\n", "pydp.yml:2"),
    ],
)
@pytest.mark.parametrize("command", [("policy", "check"), ("anonymize", "-o", "out.csv")])
def test_hostile_yaml_is_refused_with_its_place(work, text, message, command):
    work.write("pydp.yml", text)
    result = work.pydp(*command)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert len(result.err) < 2000


def test_an_alias_bomb_is_refused(work):
    levels = "".join(f"l{n}: &l{n} [{','.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    result = checked(work, f"version: 1\nl0: &l0 [x]\n{levels}")
    assert result.code == 2
    assert "pydp.yml" in result.err


@pytest.mark.parametrize(
    "text",
    [
        'version: 1\nkeyring: "a\\0b"\ndatasets:\n  d: {path: people.csv, columns: {id: pseudonym}}\n',
        'version: 1\nstate: "a\\0b"\ndatasets:\n  d: {path: people.csv, columns: {id: keep}}\n',
        'version: 1\ndatasets:\n  d: {path: "a\\0b", columns: {id: keep}}\n',
        'version: 1\ndatasets:\n  d: {path: people.csv, columns: {id: {map: {from: "a\\0b", default: x}}}}\n',
        'version: 1\ndatasets:\n  d: {path: people.csv, columns: {id: {generalize: {hierarchy: "\\0", level: 1}}}}\n',
    ],
)
def test_no_file_of_a_policy_is_named_with_a_null_character(work, text):
    result = checked(work, text)
    assert result.code == 2
    assert "must not hold a null character" in result.err
    assert result.err.startswith("pydp: error: pydp.yml:")


@pytest.mark.parametrize("arguments", [("anonymize", "a\0b"), ("policy", "check", "-p", "\0"), ("keys", "list", "\0")])
def test_a_null_character_in_an_argument_is_refused(work, arguments):
    result = work.pydp(*arguments)
    assert result.code == 2
    assert "holds a NUL character" in result.err


def test_the_pipeline_is_explained_column_by_column(work):
    result = work.pydp("policy", "explain")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "people: people.csv"
    assert any(line.split()[:2] == ["born", "text"] for line in lines)
    assert "key pseudonym/person" in result.out
    assert "still tells" in result.out


def test_an_unlocked_keyring_names_the_keys_of_a_pipeline(work):
    told = json.loads(work.pydp("policy", "explain", "--json", "--key-file", "key").out)
    columns = {story["column"]: story for story in told["people"]}
    (key,) = columns["id"]["keys"]
    ids = {
        row["id"]
        for row in json.loads(work.pydp("keys", "list", "--json", "--keyring", "ring", "--key-file", "key").out)
    }
    assert any(key_id in key for key_id in ids)
    assert columns["zip"]["keys"] == []


def test_the_schema_is_a_json_schema_that_takes_the_policy_and_refuses_a_wrong_one(work):
    from ruamel.yaml import YAML

    schema = json.loads(work.pydp("policy", "schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    load = YAML(typ="safe", pure=True).load
    assert list(validator.iter_errors(load(work.read("pydp.yml")))) == []
    assert list(validator.iter_errors(load(WRONG)))


def test_a_missing_policy_says_how_to_make_one(work):
    work.path("pydp.yml").unlink()
    result = work.pydp("policy", "check")
    assert (result.code, "pydp init" in result.err) == (2, True)
    named = work.pydp("policy", "check", "-p", "nowhere.yml")
    assert (named.code, "nowhere.yml" in named.err) == (2, True)


def test_the_nearest_policy_above_is_found(work, monkeypatch):
    below = work.path("deep/er")
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert work.pydp("policy", "check").code == 0


def test_a_reader_that_goes_away_ends_it_quietly(work):
    process = work.start("policy", "schema", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 0
