"""`pydp anonymize` as a user runs it."""

import csv
import io
import json
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_dataset_of_the_policy_is_transformed_to_stdout(work):
    result = work.pydp("anonymize", "--key-file", "key", "-q")
    assert result.code == 0
    assert result.err == ""
    first, second, third = rows(result.out)
    assert (first["name"], first["born"], first["zip"]) == ("A********", "1980-01-01", "010")
    assert first["email"].endswith("@example.org")
    assert first["note"] == 'likes "tea", and more'
    assert second["id"] != third["id"]
    assert result.out.splitlines()[2].endswith(",803,")
    assert result.out.splitlines()[3].endswith(',101,""')


def test_pseudonyms_are_equal_across_files_formats_and_runs(work):
    work.pydp("anonymize", "-o", "out.csv", "--key-file", "key")
    table = pa.table({"ref": ["007", None, "1"], "n": [1, 2, 3]})
    pq.write_table(table, work.path("other.parquet"))
    setting = "ref=pseudonym:domain=person"
    done = work.pydp(
        *("anonymize", "other.parquet", "-o", "other.out.parquet", "--set", setting, "--keep", "n"),
        *("--keyring", "ring", "--key-file", "key"),
    )
    assert done.code == 0
    ids = [row["id"] for row in rows(work.read("out.csv"))]
    assert pq.read_table(work.path("other.out.parquet"))["ref"].to_pylist() == [ids[1], None, ids[0]]


def test_another_domain_or_release_is_not_linkable(work):
    seen = set()
    for more in ("domain=person", "domain=client", "domain=person,release=2026Q4"):
        result = work.pydp(
            *("anonymize", "people.csv", "--set", f"id=pseudonym:{more}", "--other-columns", "drop"),
            *("--keyring", "ring", "--key-file", "key"),
        )
        assert result.code == 0, result.err
        seen |= {row["id"] for row in rows(result.out)}
    assert len(seen) == 9


def test_a_column_that_nobody_named_stops_the_run(work):
    work.write("people.csv", "id,name,email,born,zip,note,diagnosis\n1,a,b@c.de,2000-01-01,1,x,secret\n")
    result = work.pydp("anonymize", "-o", "out.csv", "--key-file", "key")
    assert result.code == 2
    assert 'pydp: error: pydp.yml:6:5: column "diagnosis" is in the data' in result.err
    assert "secret" not in result.err
    assert not work.path("out.csv").exists()


@pytest.mark.parametrize(("choice", "present"), [("keep", True), ("drop", False)])
def test_other_columns_can_be_kept_or_dropped_on_request(work, choice, present):
    result = work.pydp("anonymize", "people.csv", "--set", "name=redact", "--other-columns", choice)
    assert result.code == 0
    assert ("zip" in rows(result.out)[0]) is present


def test_settings_print_the_policy_that_they_stand_for(work):
    arguments = (
        "--set",
        "zip=prefix:3",
        "--set",
        "name=mask:keep_first=1,char=#",
        "--drop",
        "email,note",
        "--keep",
        "id,born",
    )
    printed = work.pydp("anonymize", "people.csv", *arguments, "--print-policy")
    assert printed.code == 0
    work.write("printed.yml", printed.out)
    by_policy = work.pydp("anonymize", "people.csv", "-p", "printed.yml")
    by_settings = work.pydp("anonymize", "people.csv", *arguments)
    assert by_policy.out == by_settings.out
    assert rows(by_settings.out)[0] == {"id": "1", "name": "A########", "born": "1980-02-03", "zip": "010"}


def test_several_files_keep_their_relative_names(work):
    work.write("in/country=DE/a.csv", "id,x\n1,2\n")
    work.write("in/country=FR/b.csv.gz", __import__("gzip").compress(b"id,x\n3,4\n"))
    result = work.pydp("anonymize", "in", "-o", "out/", "--keep", "id,x")
    assert result.code == 0, result.err
    assert work.read("out/country=DE/a.csv") == "id,x\n1,2\n"
    assert __import__("gzip").decompress(work.path("out/country=FR/b.csv.gz").read_bytes()) == b"id,x\n3,4\n"


def test_csv_becomes_parquet_and_back(work):
    assert (
        work.pydp("anonymize", "people.csv", "-o", "p.parquet", "--other-columns", "keep", "--set", "name=keep").code
        == 0
    )
    assert (
        work.pydp("anonymize", "p.parquet", "-o", "back.csv", "--other-columns", "keep", "--set", "name=keep").code == 0
    )
    assert rows(work.read("back.csv")) == rows(work.read("people.csv"))


def test_in_place_replaces_the_file_and_keeps_its_mode(work):
    work.path("people.csv").chmod(0o640)
    assert work.pydp("anonymize", "--in-place", "--key-file", "key").code == 0
    assert stat.S_IMODE(work.path("people.csv").stat().st_mode) == 0o640
    assert "Anna" not in work.read("people.csv")


def test_a_new_output_is_private(work):
    work.pydp("anonymize", "-o", "out.csv", "--key-file", "key")
    assert stat.S_IMODE(work.path("out.csv").stat().st_mode) == 0o600


def test_an_output_that_exists_is_kept_unless_forced(work):
    work.write("out.csv", "precious")
    refused = work.pydp("anonymize", "-o", "out.csv", "--key-file", "key")
    assert refused.code == 2
    assert "already exists" in refused.err
    assert work.read("out.csv") == "precious"
    assert work.pydp("anonymize", "-o", "out.csv", "--force", "--key-file", "key").code == 0


@pytest.mark.parametrize("alias", ["people.csv", "./people.csv", "link.csv", "hard.csv"])
def test_the_input_is_never_the_output(work, alias):
    work.path("link.csv").symlink_to("people.csv")
    work.path("hard.csv").hardlink_to(work.path("people.csv"))
    before = work.read("people.csv")
    result = work.pydp("anonymize", "-o", alias, "--force", "--key-file", "key")
    assert result.code == 2
    assert "the output is the input" in result.err
    assert work.read("people.csv") == before


def test_a_dry_run_shows_shapes_and_writes_nothing(work):
    before = sorted(path.name for path in work.folder.iterdir())
    shown = work.pydp("anonymize", "--dry-run", "--key-file", "key", "-o", "out.csv")
    assert shown.code == 0
    assert "Anna" not in shown.out
    assert "Xxxx Xxxx" in shown.out
    assert "A********" in shown.out
    assert sorted(path.name for path in work.folder.iterdir()) == before
    revealed = work.pydp("anonymize", "--dry-run", "--reveal", "--key-file", "key", "-o", "out.csv")
    assert "Anna Berg" in revealed.out


def test_the_report_says_what_was_counted(work):
    assert work.pydp("anonymize", "-o", "out.csv", "--report", "report.json", "--key-file", "key").code == 0
    report = json.loads(work.read("report.json"))
    assert (report["rows_in"], report["rows_out"], report["rejected_rows"]) == (3, 3, 0)
    columns = {column["column"]: column for column in report["files"][0]["columns"]}
    assert columns["id"]["keys"][0]["name"] == "pseudonym"
    assert columns["id"]["values_unchanged"] == 0
    assert columns["name"]["nulls_in"] == columns["name"]["nulls_out"] == 1
    assert columns["email"]["leaks"]
    assert "Pseudonymised" in report["statement"]
    assert "anna" not in json.dumps(report).lower()


def test_json_prints_the_report(work):
    result = work.pydp("anonymize", "-o", "out.csv", "--json", "--key-file", "key")
    assert json.loads(result.out)["rows_out"] == 3


def test_bad_rows_are_set_aside_and_counted(work):
    work.write("ragged.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert work.pydp("anonymize", "ragged.csv", "--keep", "a,b").code == 2
    result = work.pydp("anonymize", "ragged.csv", "--keep", "a,b", "--bad-rows", "bad.csv")
    assert result.code == 0
    assert result.out == "a,b\n1,2\n7,8\n"
    assert "2 malformed set aside" in result.err
    assert work.read("bad.csv") == "3\n4,5,6\n"
    assert stat.S_IMODE(work.path("bad.csv").stat().st_mode) == 0o600


def test_rows_and_steps_can_carry_conditions(work):
    work.write(
        "when.yml",
        """version: 1
datasets:
  people:
    path: people.csv
    drop_rows: 'name is null'
    columns:
      id: keep
      name: [{mask: {keep_first: 1}, when: 'zip == "01067"'}]
      email: drop
      born: keep
      zip: keep
      note: drop
""",
    )
    result = work.pydp("anonymize", "-p", "when.yml")
    assert result.code == 0, result.err
    assert [row["name"] for row in rows(result.out)] == ["A********", "Bo"]


def test_a_value_of_the_wrong_type_is_named_by_its_row_and_not_told(work):
    work.write("numbers.csv", "n\n1\n2\nsecret\n")
    result = work.pydp("anonymize", "numbers.csv", "--set", "n=bin:5", "-o", "out.csv")
    assert result.code == 2
    assert 'numbers.csv, row 3, column "n"' in result.err
    assert "secret" not in result.err
    assert not work.path("out.csv").exists()


def test_a_keyed_transform_without_a_keyring_says_what_to_run(work):
    result = work.pydp("anonymize", "people.csv", "--set", "id=pseudonym", "--other-columns", "drop")
    assert result.code == 2
    assert "pydp keys init" in result.err


def test_the_wrong_key_file_is_refused_with_3(work):
    assert work.pydp("keys", "init", "--keyring", "ring2", "--key-file", "key2", "-q").code == 0
    result = work.pydp("anonymize", "--key-file", "key2")
    assert result.code == 3
    assert "not what unlocks the keyring" in result.err


def test_two_datasets_that_claim_one_file_need_a_choice(work):
    second = "  again:\n    path: people.csv\n    columns: {id: keep}\n"
    work.write("pydp.yml", work.read("pydp.yml") + second)
    result = work.pydp("anonymize", "people.csv", "--key-file", "key")
    assert result.code == 2
    assert "people and again" in result.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"a,a\n1,2\n", "same name"),
        (b'a,b\n1,"x\n', "never closed"),
        (b"a,b\n1,\xff\n", "byte 6 of the file is not valid utf-8"),
        (b"a,b\n1\n", "1 field where 2 are expected"),
    ],
)
def test_malformed_csv_is_told_with_its_place(work, content, message):
    work.write("bad.csv", content)
    result = work.pydp("anonymize", "bad.csv", "-o", "out.csv", "--keep", "a,b")
    assert result.code == 2
    assert message in result.err
    assert "bad.csv" in result.err
    assert not work.path("out.csv").exists()


def test_a_header_alone_gives_a_valid_empty_output(work):
    work.write("head.csv", "a,b\r\n")
    assert work.pydp("anonymize", "head.csv", "-o", "out.parquet", "--keep", "a,b").code == 0
    assert pq.read_table(work.path("out.parquet")).num_rows == 0
    assert work.pydp("anonymize", "head.csv", "--keep", "a,b").out == "a,b\r\n"


@pytest.mark.parametrize("damage", ["truncated", "not parquet"])
def test_damaged_parquet_is_refused(work, damage):
    pq.write_table(pa.table({"a": list(range(1000))}), work.path("x.parquet"))
    whole = work.path("x.parquet").read_bytes()
    work.write("x.parquet", whole[: len(whole) // 2] if damage == "truncated" else b"hello world, this is text")
    result = work.pydp("anonymize", "x.parquet", "-o", "out.parquet", "--keep", "a")
    assert result.code == 2
    assert "x.parquet" in result.err
    assert not work.path("out.parquet").exists()


def test_verbose_tells_each_file_and_the_keys(work):
    done = work.pydp("anonymize", "--key-file", "key", "-o", "out.csv", "-v")
    told = next(line for line in done.err.splitlines() if "→" in line)
    assert "people.csv → out.csv: dataset people, 3 rows in, 3 out, keys " in told
    assert "→" not in work.pydp("anonymize", "--key-file", "key", "-o", "other.csv").err
