"""`pydp encrypt` and `pydp decrypt` as a user runs them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

KEYS = ["--keyring", "ring", "--key-file", "key"]
CLOSED = """version: 1
keyring: ring
datasets:
  people:
    path: people.csv
    columns:
      id: {type: int64, anonymize: keep}
      name: {encrypt: true}
      email: {encrypt: {mode: deterministic, domain: email}}
      born: {type: date, encrypt: {bind: [id], nulls: encrypt, pad: 16}}
      zip: keep
      note: {encrypt: true}
  contacts:
    path: contacts.csv
    columns:
      mail: {encrypt: {mode: deterministic, domain: email}}
"""


def encrypt(work, *arguments, source="people.csv", target="out.csv"):
    result = work.pydp("encrypt", source, "-o", target, *arguments, *KEYS)
    assert result.code == 0, result.err
    return result


def test_encrypts_named_columns_and_decrypts_without_being_told_which(work):
    encrypt(work, "--set", "email=random", "--set", "note=random")
    out = work.read("out.csv")
    assert "anna@example.com" not in out
    assert "likes" not in out
    assert "Anna Berg" in out
    assert work.pydp("decrypt", "out.csv", "-o", "back.csv", *KEYS).code == 0
    assert work.read("back.csv") == work.read("people.csv")


@pytest.mark.parametrize("middle", ["out.csv", "out.parquet", "out.csv.gz", "out.tsv"])
def test_a_policy_encrypts_and_decrypts_through_every_format(work, middle):
    work.write("pydp.yml", CLOSED)
    policy = ["-p", "pydp.yml", "--dataset", "people", "--key-file", "key"]
    assert work.pydp("encrypt", "-o", middle, *policy).code == 0
    assert work.pydp("decrypt", middle, "-o", "back.csv", *policy).code == 0
    assert work.read("back.csv") == work.read("people.csv")


def test_random_cells_differ_and_deterministic_ones_join_with_a_warning(work):
    work.write("pydp.yml", CLOSED)
    work.write("contacts.csv", "mail\nanna@example.com\nanna@example.com\n")
    for name in ("people", "contacts"):
        result = work.pydp("encrypt", "--dataset", name, "-o", f"{name}.enc.csv", "--key-file", "key")
        assert result.code == 0
        assert "warning: the output tells which values are equal" in result.err
    cells = work.read("contacts.enc.csv").split()[1:]
    assert cells[0] == cells[1]
    assert cells[0] in work.read("people.enc.csv")


def test_only_the_columns_asked_for_are_decrypted(work):
    encrypt(work, "--set", "email=random", "--set", "name=random")
    assert work.pydp("decrypt", "out.csv", "-o", "back.csv", "--columns", "email", *KEYS).code == 0
    back = work.read("back.csv")
    assert "anna@example.com" in back
    assert "Anna" not in back


def test_an_altered_cell_ends_the_run_with_its_place_and_no_output(work):
    encrypt(work, "--set", "email=random")
    lines = work.read("out.csv").splitlines()
    fields = lines[2].split(",")
    middle = len(fields[2]) // 2
    fields[2] = fields[2][:middle] + ("A" if fields[2][middle] != "A" else "B") + fields[2][middle + 1 :]
    work.write("out.csv", "\n".join([*lines[:2], ",".join(fields), *lines[3:], ""]))
    result = work.pydp("decrypt", "out.csv", "-o", "back.csv", *KEYS)
    assert result.code == 3
    assert 'out.csv, row 2, column "email": a cell failed authentication' in result.err
    assert not work.path("back.csv").exists()
    assert not work.left_over()


def test_failed_cells_are_kept_or_nulled_only_on_demand_and_counted(work):
    encrypt(work, "--set", "email=random")
    lines = work.read("out.csv").splitlines()
    work.write("out.csv", "\n".join([*lines[:2], lines[2].replace(lines[2].split(",")[2], "AAAA"), *lines[3:], ""]))
    for how, left in (("keep", "AAAA"), ("null", "")):
        result = work.pydp("decrypt", "out.csv", "-o", "b.csv", "--on-error", how, "--force", "--report", "r", *KEYS)
        assert result.code == 0
        assert "1 cell failed" in result.err
        assert work.read("b.csv").splitlines()[2].split(",")[2] == left
        columns = json.loads(work.read("r"))["files"][0]["columns"]
        assert [column["column"] for column in columns if column.get("cells_failed")] == ["email"]
    assert work.pydp("decrypt", "out.csv", "-o", "c.csv", "--on-error", "skip", *KEYS).code == 2


def test_another_keyring_is_refused_with_the_key_that_is_missing(work):
    encrypt(work, "--set", "email=random")
    assert work.pydp("keys", "init", "--keyring", "other", "--key-file", "otherkey", "-q").code == 0
    result = work.pydp("decrypt", "out.csv", "-o", "back.csv", "--keyring", "other", "--key-file", "otherkey")
    assert result.code == 3
    assert "is not in the keyring" in result.err


def test_a_renamed_column_is_refused(work):
    encrypt(work, "--set", "email=random", target="out.csv")
    work.write("out.csv", work.read("out.csv").replace("id,name,email", "id,email,name"))
    assert work.pydp("decrypt", "out.csv", "-o", "back.csv", *KEYS).code == 3


def test_a_file_of_another_dataset_is_refused(work):
    work.write("pydp.yml", CLOSED)
    work.write("two.csv", "id,name,email,born,zip,note\n1,a,b,2000-01-01,1,\n")
    work.write("other.yml", CLOSED.replace("people:", "staff:"))
    for target in ("out.csv", "out.parquet"):
        code = work.pydp("encrypt", "two.csv", "--dataset", "people", "-o", target, "--key-file", "key").code
        assert code == 0
        result = work.pydp(
            "decrypt", target, "-p", "other.yml", "--dataset", "staff", "-o", "x.csv", "--key-file", "key"
        )
        assert result.code == 3
        assert not work.path("x.csv").exists()


def test_a_bound_cell_that_moved_to_another_row_is_refused(work):
    work.write("in.csv", "id,salary\n1,10\n2,20\n")
    encrypt(work, "--set", "salary=random:bind=id", source="in.csv", target="out.parquet")
    table = pq.read_table("out.parquet")
    assert work.pydp("decrypt", "out.parquet", "-o", "back.csv", *KEYS).code == 0
    assert work.read("back.csv") == work.read("in.csv")
    swapped = table.set_column(1, table.schema.field(1), table.column(1).take(pa.array([1, 0])))
    pq.write_table(swapped, "out.parquet")
    assert work.pydp("decrypt", "out.parquet", "-o", "b.csv", *KEYS).code == 3


def test_nothing_to_decrypt_is_said(work):
    result = work.pydp("decrypt", "people.csv", "-o", "x.csv", *KEYS)
    assert result.code == 2
    assert "nothing in this file is encrypted" in result.err


def test_an_encrypted_column_is_not_encrypted_again(work):
    encrypt(work, "--set", "email=random", target="out.parquet")
    result = work.pydp("encrypt", "out.parquet", "-o", "twice.parquet", "--set", "email=random", *KEYS)
    assert result.code == 2
    assert "encrypted already" in result.err


def test_streams_through_pipes(work):
    encrypt(work, "--set", "email=random")
    import subprocess

    process = work.start("decrypt", "-", "-o", "-", *KEYS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = process.communicate(work.path("out.csv").read_bytes())
    assert process.returncode == 0
    assert out.decode() == work.read("people.csv")


def test_the_report_says_what_each_column_leaks(work):
    encrypt(work, "--set", "email=random", "--set", "name=deterministic", "--report", "r.json")
    report = json.loads(work.read("r.json"))
    leaks = {column["column"]: column["leaks"] for column in report["files"][0]["columns"]}
    assert leaks["email"].startswith("its length")
    assert leaks["name"].startswith("which values are equal")
    assert leaks["zip"] == "everything"
    assert report["warnings"]


def test_prints_the_policy_that_set_stands_for(work):
    result = work.pydp("encrypt", "people.csv", "--set", "email=deterministic", "--print-policy")
    assert result.code == 0
    assert "deterministic" in result.out


@pytest.mark.parametrize("mode", ["random", "deterministic"])
def test_what_is_encrypted_already_is_refused_and_not_encrypted_again(work, mode):
    once = work.pydp("encrypt", "people.csv", "-o", "once.csv", "--set", f"email={mode}", *KEYS)
    assert once.code == 0, once.err
    twice = work.pydp("encrypt", "once.csv", "-o", "twice.csv", "--set", "email=random", *KEYS)
    assert (twice.code, "the column is encrypted already" in twice.err) == (2, True)
    assert 'column "email"' in twice.err
    assert not work.path("twice.csv").exists()
    other = work.pydp("encrypt", "once.csv", "-o", "other.csv", "--set", "name=random", *KEYS)
    assert other.code == 0, other.err
