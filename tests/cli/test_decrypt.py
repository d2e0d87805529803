"""`pydp decrypt` under keys of every state, on files of mixed versions, and on damage of every kind."""

import base64
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

KEYS = ["--keyring", "ring", "--key-file", "key"]
SECRET = "anna.secret@example.com"


@pytest.fixture
def sealed(work):
    work.write("in.csv", f"id,email\n1,{SECRET}\n2,\n3,other@example.com\n")
    assert work.pydp("encrypt", "in.csv", "-o", "out.csv", "--set", "email=random", *KEYS).code == 0
    return work


def key_id(work, row=1):
    cell = work.read("out.csv").splitlines()[row].split(",")[1]
    return base64.b64decode(cell)[1:5].hex()


def test_cells_of_several_key_versions_in_one_file_are_decrypted(sealed):
    assert sealed.pydp("keys", "new-version", "cell", *KEYS).code == 0
    assert sealed.pydp("encrypt", "in.csv", "-o", "new.csv", "--set", "email=deterministic", *KEYS).code == 0
    header, *old = sealed.read("out.csv").splitlines()
    new = sealed.read("new.csv").splitlines()[1:]
    sealed.write("mixed.csv", "\n".join([header, *old, *new, ""]))
    assert sealed.pydp("decrypt", "mixed.csv", "-o", "back.csv", *KEYS).code == 0
    first, *rows = sealed.read("in.csv").splitlines()
    assert sealed.read("back.csv").splitlines() == [first, *rows, *rows]


def test_a_disabled_key_refuses_and_an_enabled_one_does_not(sealed):
    old = key_id(sealed)
    assert sealed.pydp("keys", "new-version", "cell", *KEYS).code == 0
    assert sealed.pydp("keys", "disable", old, *KEYS).code == 0
    result = sealed.pydp("decrypt", "out.csv", "-o", "back.csv", *KEYS)
    assert result.code == 3
    assert f'key {old} ("cell", version 1) is disabled since' in result.err
    assert 'out.csv, rows 1, 3, column "email"' in result.err
    assert "`pydp keys enable" in result.err
    assert not sealed.path("back.csv").exists()
    assert sealed.pydp("keys", "enable", old, *KEYS).code == 0
    assert sealed.pydp("decrypt", "out.csv", "-o", "back.csv", *KEYS).code == 0


def test_a_destroyed_key_is_named_with_its_date(sealed):
    old = key_id(sealed)
    assert sealed.pydp("keys", "new-version", "cell", *KEYS).code == 0
    assert sealed.pydp("keys", "disable", old, *KEYS).code == 0
    destroyed = sealed.pydp("keys", "destroy", old, "--accept-loss", old, *KEYS)
    if destroyed.code != 0:
        destroyed = sealed.pydp("keys", "destroy", old, "--accept-loss", *KEYS)
    assert destroyed.code == 0, destroyed.err
    result = sealed.pydp("decrypt", "out.csv", "-o", "back.csv", *KEYS)
    assert result.code == 3
    assert "was destroyed on 2" in result.err


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("at", [0, 1, 4, 5, 20, 21, 36, 37, -1])
def test_a_flipped_byte_of_any_field_is_refused_without_showing_a_value(work, form, at):
    work.write("in.csv", f"id,email\n1,{SECRET}\n2,other@example.com\n")
    assert work.pydp("encrypt", "in.csv", "-o", f"out.{form}", "--set", "email=random", *KEYS).code == 0
    if form == "csv":
        header, first, second = work.read("out.csv").splitlines()
        cells = [first.split(",")[1], second.split(",")[1]]
    else:
        table = pq.read_table("out.parquet")
        cells = table.column("email").to_pylist()
    raw = bytearray(base64.b64decode(cells[0]))
    raw[at] ^= 0x04
    cells[0] = base64.b64encode(raw).decode()
    if form == "csv":
        work.write("out.csv", f"{header}\n1,{cells[0]}\n2,{cells[1]}\n")
    else:
        pq.write_table(table.set_column(1, table.schema.field("email"), pa.array(cells)), "out.parquet")
    result = work.pydp("decrypt", f"out.{form}", "-o", "back.csv", *KEYS)
    assert result.code == 3
    assert 'row 1, column "email"' in result.err
    assert "secret" not in result.err + result.out
    assert not work.path("back.csv").exists()


@pytest.mark.parametrize("cell", ["", "AAAA", "not base64!", "AQ", "=", "Ag=="])
def test_what_is_no_cell_among_cells_is_refused(sealed, cell):
    text = sealed.read("out.csv")
    second = text.splitlines()[3].split(",")[1]
    sealed.write("out.csv", text.replace(second, f'"{cell}"'))
    assert sealed.pydp("decrypt", "out.csv", "-o", "back.csv", *KEYS).code == 3


def test_in_place_and_dry_run(sealed):
    before = sealed.read("out.csv")
    shown = sealed.pydp("decrypt", "out.csv", "--dry-run", *KEYS)
    assert shown.code == 0
    assert sealed.read("out.csv") == before
    assert sealed.pydp("decrypt", "out.csv", "--in-place", *KEYS).code == 0
    assert sealed.read("out.csv") == sealed.read("in.csv")
    assert sealed.pydp("encrypt", "out.csv", "--in-place", "--set", "email=random", *KEYS).code == 0
    assert SECRET not in sealed.read("out.csv")


def test_a_column_that_is_not_there_or_not_encrypted_is_said(sealed):
    for column, error in (("mail", "no column"), ("id", "cell")):
        result = sealed.pydp("decrypt", "out.csv", "-o", "b.csv", "--columns", column, *KEYS)
        assert result.code in (2, 3)
        assert error in result.err


def test_a_giant_cell_and_an_empty_file_come_back(work):
    work.write("in.csv", "id,v\n1," + "x" * 3_000_000 + "\n2,short\n")
    work.write("empty.csv", "id,v\n")
    for name in ("in", "empty"):
        assert work.pydp("encrypt", f"{name}.csv", "-o", "out.csv", "--force", "--set", "v=random", *KEYS).code == 0
        result = work.pydp("decrypt", "out.csv", "-o", "back.csv", "--force", "--set", "v=random", *KEYS)
        assert result.code == 0, result.err
        assert work.read("back.csv") == work.read(f"{name}.csv")


def test_no_keyring_is_an_error_that_says_what_to_do(sealed):
    sealed.path("pydp.yml").unlink()
    result = sealed.pydp("decrypt", "out.csv", "-o", "back.csv")
    assert result.code == 2
    assert "hint" in result.err


def test_a_key_of_its_own_is_used_where_the_policy_names_one(work):
    work.write(
        "pydp.yml",
        "version: 1\nkeyring: ring\ndatasets:\n  pay:\n    path: pay.csv\n    columns:\n      id: keep\n"
        "      salary: {encrypt: {key: cell/hr, blind_index: {population: 1000}}}\n",
    )
    work.write("pay.csv", "id,salary\n1,10\n2,20\n")
    missing = work.pydp("encrypt", "-o", "out.csv", "--key-file", "key")
    assert missing.code == 2
    assert "cell/hr" in missing.err
    made = work.pydp("keys", "new-version", "cell/hr", *KEYS)
    assert made.code == 0, made.err
    assert work.pydp("encrypt", "-o", "out.csv", "--key-file", "key").code == 0
    assert work.pydp("decrypt", "out.csv", "-o", "back.csv", "--key-file", "key").code == 0
    assert work.read("back.csv") == work.read("pay.csv")


def test_parquet_notes_the_key_version_of_format_preserving_columns(work):
    work.write("in.csv", "id,phone\n1,+49 170 1234567\n")
    assert work.pydp("encrypt", "in.csv", "-o", "out.parquet", "--set", "phone=fpe:keep_first=2", *KEYS).code == 0
    assert work.pydp("keys", "new-version", "cell", *KEYS).code == 0
    assert work.pydp("decrypt", "out.parquet", "-o", "back.csv", *KEYS).code == 0
    assert work.read("back.csv") == work.read("in.csv")


def test_a_blind_index_can_be_set_without_a_policy(work):
    work.write("in.csv", "id,email\n1,a@example.com\n")
    setting = "email=random:blind_index={population: 1000}"
    assert work.pydp("encrypt", "in.csv", "-o", "out.csv", "--set", setting, *KEYS).code == 0
    assert work.read("out.csv").startswith("id,email,email_bidx\n")
    assert work.pydp("decrypt", "out.csv", "-o", "back.csv", "--set", setting, *KEYS).code == 0
    assert work.read("back.csv") == work.read("in.csv")


def test_values_that_do_not_name_their_key_version_are_not_guessed_at(work):
    work.write("in.csv", "id,phone\n1,+49 170 1234567\n")
    setting = ("--set", "phone=fpe")
    assert work.pydp("encrypt", "in.csv", "-o", "out.csv", *setting, *KEYS).code == 0
    assert work.pydp("decrypt", "out.csv", "-o", "back.csv", *setting, *KEYS).code == 0
    assert work.read("back.csv") == work.read("in.csv")
    (old,) = [key["id"] for key in json.loads(work.pydp("keys", "list", "--json", *KEYS).out) if key["key"] == "cell"]
    assert work.pydp("keys", "new-version", "cell", *KEYS).code == 0
    refused = work.pydp("decrypt", "out.csv", "-o", "again.csv", *setting, *KEYS)
    assert refused.code == 3
    assert "do not tell which version of their key made them" in refused.err
    assert not work.path("again.csv").exists()
    assert work.pydp("decrypt", "out.csv", "-o", "again.csv", *setting, "--key-version", old, *KEYS).code == 0
    assert work.read("again.csv") == work.read("in.csv")
