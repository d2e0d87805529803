"""Crypto-shredding as a user runs it: encrypt per person, erase one, and no copy of their values is readable."""

import json
import shutil
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

POLICY = """version: 1
keyring: ring
identities:
  patient: {type: int64}
  email: {normalize: [casefold]}
datasets:
  visits:
    path: data/visits.csv
    identifiers: {id: patient}
    erase: ERASE
    columns:
      id: keep
      name: {encrypt: {per_subject: true, bind: [id]}}
      born: {type: date, encrypt: {per_subject: true, nulls: encrypt, pad: 16}}
      town: {encrypt: {mode: deterministic}}
  letters:
    path: data/letters.parquet
    links: {patient: visits.id}
    columns:
      patient: keep
      weight: {encrypt: {per_subject: true}}
"""
VISITS = "id,name,born,town\n1,Anna Berg,1980-02-03,Graz\n007,Bo,1999-12-31,Wien\n1,Anna Berg,,Graz\n3,,1931-07-01,\n"
KEY = ("--key-file", "key")


@pytest.fixture
def clinic(work):
    """Two datasets, encrypted in place under people's keys."""
    work.write("pydp.yml", POLICY.replace("ERASE", "delete_row"))
    work.write("data/visits.csv", VISITS)
    weights = pa.table({"patient": pa.array([7, 1, 3, 1]), "weight": pa.array([70.5, 61.25, -0.0, None])})
    pq.write_table(weights, work.path("data/letters.parquet"))
    for name in ("visits", "letters"):
        done = work.pydp("encrypt", "--dataset", name, "--in-place", *KEY)
        assert done.code == 0, done.err
    return work


def decrypt(clinic, dataset="visits", *more, source=()):
    return clinic.pydp("decrypt", *source, "--dataset", dataset, "-o", "-", *more, *KEY)


def test_everything_comes_back_and_nothing_is_in_clear(clinic):
    text = clinic.read("data/visits.csv")
    assert "Anna" not in text
    assert "1980" not in text
    assert decrypt(clinic).out == VISITS
    assert clinic.pydp("decrypt", "--dataset", "letters", "-o", "back.parquet", *KEY).code == 0
    back = pq.read_table(clinic.path("back.parquet"))
    assert back["weight"].to_pylist() == [70.5, 61.25, 0.0, None]
    assert str(back["weight"][2]) == "-0.0"
    assert back.schema.field("weight").type == pa.float64()


def test_one_person_has_one_key_in_every_dataset_and_spelling(clinic):
    shown = clinic.pydp("keys", "subjects", "--json", *KEY)
    assert json.loads(shown.out)["people"] == 3  # 007 and 7 are one, as the identity says


def test_a_file_without_its_policy_needs_the_store(clinic):
    clinic.path("pydp.yml").rename(clinic.path("away.yml"))
    named = ("data/letters.parquet", "-o", "-", "--output-format", "csv", "--keyring", "ring", *KEY)
    refused = clinic.pydp("decrypt", *named)
    assert (refused.code, "--subject-keys" in refused.err) == (3, True)
    assert clinic.pydp("decrypt", *named, "--subject-keys", ".pydp/subject-keys.db").out.startswith(
        "patient,weight\n7,70.5"
    )
    assert clinic.pydp("decrypt", *named, "--subject-keys", "none.db").code == 2


def erase(clinic, *more):
    return clinic.pydp("erase-user", "--subject", "patient=1", "--yes", "--certificate", "c.json", *more, *KEY)


def test_after_erasing_no_copy_of_the_data_is_readable_for_that_person(clinic):
    shutil.copytree(clinic.path("data"), clinic.path("backup"))
    shutil.copy(clinic.path(".pydp/subject-keys.db"), clinic.path("yesterday.db"))
    done = erase(clinic)
    assert (done.code, "destroyed 1 key of people" in done.err) == (0, True), done.err
    said = json.loads(clinic.read("c.json"))
    assert said["shredded"] == {"holds": [], "keys": 1, "people_kept": 0}
    assert "copy of the keyring" in " ".join(said["limits"])
    assert "Keys of people destroyed</td><td>1<" in clinic.read("c.html")
    assert clinic.pydp("certificate", "verify", "c.json").code == 0
    assert decrypt(clinic).out == "id,name,born,town\n007,Bo,1999-12-31,Wien\n3,,1931-07-01,\n"
    old = decrypt(clinic, source=["backup/visits.csv"])
    assert (old.code, old.out) == (3, "")
    assert "rows 1, 3" in old.err
    assert "their people were erased, and their keys destroyed on" in old.err
    kept = decrypt(clinic, "visits", "--on-error", "null", source=["backup/visits.csv"])
    assert kept.out == "id,name,born,town\n1,,,Graz\n007,Bo,1999-12-31,Wien\n1,,,Graz\n3,,1931-07-01,\n"
    assert "4 cells failed" in kept.err
    shutil.copy(clinic.path("yesterday.db"), clinic.path(".pydp/subject-keys.db"))
    for more in ((), ("--on-error", "null")):
        stale = decrypt(clinic, "visits", *more, source=["backup/visits.csv"])
        assert "Anna" not in stale.out
    refused = decrypt(clinic, source=["backup/visits.csv"])
    assert (refused.code, "copy from before" in refused.err) == (3, True)


def test_a_stale_store_stops_an_erasure_before_anything_is_changed(clinic):
    shutil.copy(clinic.path(".pydp/subject-keys.db"), clinic.path("yesterday.db"))
    assert clinic.pydp("erase-user", "--subject", "patient=3", "--yes", *KEY).code == 0
    shutil.copy(clinic.path("yesterday.db"), clinic.path(".pydp/subject-keys.db"))
    before = clinic.read("data/visits.csv")
    done = erase(clinic)
    assert (done.code, "copy from before" in done.err) == (3, True)
    assert clinic.read("data/visits.csv") == before


def test_the_same_erasure_again_destroys_nothing(clinic):
    erase(clinic)
    assert erase(clinic).code == 0
    assert json.loads(clinic.read("c.json"))["shredded"]["keys"] == 0


def test_shredding_keeps_rows_and_cleans_what_can_be_linked(clinic):
    clinic.write("pydp.yml", POLICY.replace("ERASE", "crypto_shred"))
    before = clinic.read("data/visits.csv").splitlines()
    done = erase(clinic)
    assert done.code == 0, done.err
    after = clinic.read("data/visits.csv").splitlines()
    assert [line for line in after if line in before] == [before[0], before[2], before[4]]
    for line in (after[1], after[3]):
        number, name, born, town = line.split(",")
        assert (number, town) == ("", "")
        assert name in before[1] + before[3]
        assert born
    shown = decrypt(clinic, "visits", "--on-error", "null")
    assert shown.out == "id,name,born,town\n,,,\n007,Bo,1999-12-31,Wien\n,,,\n3,,1931-07-01,\n"


@pytest.mark.parametrize("rule", ["{action: keep, because: accounting}", "{action: review}"])
def test_a_key_stays_where_rows_stay(clinic, rule):
    clinic.write("pydp.yml", POLICY.replace("ERASE", rule))
    assert erase(clinic).code == 0
    assert json.loads(clinic.read("c.json"))["shredded"] == {"holds": [], "keys": 0, "people_kept": 1}
    assert decrypt(clinic).out == VISITS


def test_a_hold_keeps_rows_and_key(clinic):
    add = ("hold", "add", "--subject", "patient=1", "--matter", "Doe", "--dataset", "visits")
    assert clinic.pydp(*add, *KEY).code == 0
    assert erase(clinic).code == 5
    assert decrypt(clinic).out == VISITS
    assert clinic.pydp("hold", "lift", "H0001", "--because", "over", *KEY).code == 0
    assert erase(clinic).code == 0
    assert json.loads(clinic.read("c.json"))["shredded"]["keys"] == 1


def test_a_hold_on_keys_alone_is_honoured(clinic):
    hold = "holds:\n  - {id: H1, matter: Doe, match: {identity: {patient: 3}}, blocks: [shred]}\n"
    clinic.write("pydp.yml", POLICY.replace("ERASE", "delete_row") + hold)
    done = erase(clinic)
    assert (done.code, "no key of a person was destroyed" in done.err) == (5, True)
    assert json.loads(clinic.read("c.json"))["shredded"] == {"holds": ["H1"], "keys": 0, "people_kept": 1}


def test_a_person_who_comes_back_gets_another_key(clinic):
    erase(clinic)
    assert clinic.pydp("guard", "--readmit", "patient=1", *KEY).code == 0
    clinic.write("new.csv", "id,name,born,town\n1,Anna Berg,1980-02-03,Graz\n")
    assert clinic.pydp("encrypt", "new.csv", "--dataset", "visits", "-o", "new.enc.csv", *KEY).code == 0
    assert "Anna Berg" in decrypt(clinic, source=["new.enc.csv"]).out


def test_a_copy_for_the_person_has_the_values_in_clear(clinic):
    done = clinic.pydp("export-user", "--subject", "patient=1", "-o", "anna", *KEY)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in clinic.read("anna/data/visits.jsonl").splitlines()]
    assert [(row["name"], row["born"]) for row in rows] == [("Anna Berg", "1980-02-03"), ("Anna Berg", None)]
    erase(clinic)
    shutil.rmtree(clinic.path("anna"))
    assert clinic.pydp("export-user", "--subject", "patient=7", "-o", "bo", *KEY).code == 0
    assert "Bo" in clinic.read("bo/data/visits.jsonl")


def test_a_dry_run_makes_no_key(work):
    work.write("pydp.yml", POLICY.replace("ERASE", "delete_row"))
    work.write("data/visits.csv", VISITS)
    shown = work.pydp("encrypt", "--dataset", "visits", "--dry-run", *KEY)
    assert (shown.code, "Anna" in shown.out) == (0, False)
    assert not work.path(".pydp/subject-keys.db").exists()
    assert "epoch" not in work.read("ring")


def test_a_value_that_is_nobodys_is_refused(clinic):
    clinic.write("data/visits.csv", "id,name,born,town\n,Anna,,\n")
    done = clinic.pydp("encrypt", "--dataset", "visits", "-o", "-", *KEY)
    assert (done.code, done.out) == (2, "")
    assert 'values are nobody\'s: column "id"' in done.err
    assert "row 1" in done.err


@pytest.mark.parametrize("workers", [1, 2])
def test_many_rows_and_new_people_in_two_workers(clinic, workers):
    rows = [f"{number % 5000},name {number},,x\n" for number in range(150_000)]
    clinic.write("many.csv", "id,name,born,town\n" + "".join(rows))
    options = ("--workers", workers, "--dataset", "visits", *KEY)
    assert clinic.pydp("encrypt", "many.csv", "-o", "many.enc.csv", *options).code == 0
    assert clinic.pydp("decrypt", "many.enc.csv", "-o", "many.back.csv", *options).code == 0
    assert clinic.read("many.back.csv") == clinic.read("many.csv")
    with sqlite3.connect(clinic.path(".pydp/subject-keys.db")) as store:
        assert store.execute("SELECT count(*) FROM people").fetchone() == (5000,)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("identifiers: {id: patient}", "other_columns: error", "no column names whose the row is"),
        ("identifiers: {id: patient}", "identifiers: {id: patient, town: email}", "several columns name"),
        ("per_subject: true, bind: [id]", "per_subject: town", '"town" does not name whose the row is'),
        ("per_subject: true, bind: [id]", "per_subject: true, mode: deterministic", "cannot go with: mode"),
        ("per_subject: true, bind: [id]", "per_subject: true, fpe: true", "cannot go with: fpe"),
        ("per_subject: true, bind: [id]", "per_subject: true, key: cell/x", "cannot go with: key"),
        ("links: {patient: visits.id}", "links: {patient: visits.id}\n    erase: crypto_shred", "leaves values"),
    ],
)
def test_the_check_says_what_cannot_be(work, old, new, message):
    text = POLICY.replace("ERASE", "delete_row")
    if "leaves" in message:
        new = new.replace("crypto_shred", "crypto_shred\n    other_columns: keep")
    work.write("pydp.yml", text.replace(old, new))
    done = work.pydp("policy", "check")
    assert message in done.out + done.err
    assert done.code == (0 if "leaves" in message else 2)


def test_shredding_without_such_columns_is_refused(work):
    plain = POLICY.replace("ERASE", "crypto_shred").replace("encrypt: {per_subject: true, bind: [id]}", "encrypt: true")
    work.write("pydp.yml", plain.replace("per_subject: true, nulls", "nulls"))
    assert "erases nothing" in (done := work.pydp("policy", "check")).out + done.err
    assert done.code == 2


def test_the_store_is_backed_up_and_begins_new_epochs(clinic):
    assert clinic.pydp("keys", "subjects", "--backup", "copy.db", *KEY).code == 0
    assert clinic.pydp("keys", "subjects", "--backup", "copy.db", *KEY).code == 2
    assert clinic.pydp("keys", "subjects", "--store", "copy.db", *KEY).code == 0
    done = clinic.pydp("keys", "subjects", "--new-epoch", *KEY)
    assert (done.code, "3 keys wrapped anew" in done.err) == (0, True)
    assert decrypt(clinic).out == VISITS
    assert clinic.pydp("keys", "subjects", "--store", "copy.db", *KEY).code == 3
    assert "3 people have a key, and 0 keys were destroyed" in clinic.pydp("keys", "subjects", *KEY).err


def test_an_encrypted_column_is_not_encrypted_again(clinic):
    done = clinic.pydp("encrypt", "--dataset", "visits", "-o", "-", *KEY)
    assert (done.code, "encrypted already" in done.err) == (2, True)


def test_usage_counts_the_cells_of_people_under_their_epoch(clinic):
    told = json.loads(clinic.pydp("keys", "usage", "--json", *KEY).out)
    cells = {one["key"].partition("/")[0]: one["cells"] for one in told["keys"]}
    assert (cells["epoch"], cells["cell"]) == (3 + 4 + 3, 3)  # names, births and weights; towns
    assert told["unknown"] == {}
