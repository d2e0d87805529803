"""`pydp guard` and the guard of `anonymize`: who was erased does not come back unseen."""

import json

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_export_user import shop
from tests.subjects.conftest import MESSAGES, ORDERS

__all__ = ["shop"]
KEY = ("--key-file", "key")
LEFT = "id,customer_id,email,total\no2,2,,20.00\no4,0,,1.00\n"


@pytest.fixture
def without_anna(shop):
    """Anna, who is customer 1 and has two addresses, was erased; a restore has everything again."""
    everything = {path: path.read_bytes() for path in shop.path("data").rglob("*") if path.is_file()}
    done = shop.pydp("erase-user", "--subject", "email=anna@example.com", "--yes", *KEY)
    assert done.code == 0, done.err
    for path, content in everything.items():
        path.write_bytes(content)
    return shop


def test_rows_of_erased_people_are_left_out_and_counted(without_anna):
    done = without_anna.pydp("guard", "--dataset", "orders", "-o", "clean.csv", "--report", "r.json", *KEY)
    assert done.code == 0, done.err
    assert without_anna.read("clean.csv") == LEFT
    assert "5 rows in, 2 out, 3 left out (erased before)" in done.err
    [file] = json.loads(without_anna.read("r.json"))["files"]
    assert file["rows_dropped"] == {"erased before": 3}
    assert without_anna.read("data/orders/all.csv") == ORDERS
    log = without_anna.read(".pydp/audit/000000.jsonl")
    assert "guard.done" in log
    assert "anna" not in done.err + log


def test_a_stream_is_guarded_as_a_file_is(without_anna):
    import subprocess

    command = without_anna.start(
        *("guard", "-", "--dataset", "orders", "--input-format", "csv", *KEY),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = command.communicate(ORDERS.encode())
    assert (command.returncode, out.decode()) == (0, LEFT), err.decode()


def test_parquet_stays_as_it_is_but_for_the_rows(without_anna):
    done = without_anna.pydp("guard", "--dataset", "customers", "-o", "clean", *KEY)
    assert done.code == 0, done.err
    before = pq.read_table(without_anna.path("data/customers/a.parquet"))
    after = pq.read_table(without_anna.path("clean/a.parquet"))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.equals(before.slice(1))
    assert duckdb.sql(f"select count(*) from '{without_anna.path('clean/b.parquet')}'").fetchall() == [(3,)]


def test_mentions_of_an_erased_person_by_others_pass(without_anna):
    done = without_anna.pydp("guard", "--dataset", "messages", "-o", "clean.csv", *KEY)
    assert done.code == 0, done.err
    assert without_anna.read("clean.csv") == "".join(
        line for line in MESSAGES.splitlines(keepends=True) if not line.startswith("anna")
    )


def test_refused_data_is_not_written(without_anna):
    done = without_anna.pydp("guard", "--dataset", "orders", "--refuse", "-o", "clean.csv", *KEY)
    assert (done.code, without_anna.path("clean.csv").exists()) == (3, False)
    assert "people who were erased" in done.err
    without_anna.write("new.csv", LEFT)
    done = without_anna.pydp("guard", "new.csv", "--dataset", "orders", "--refuse", "-o", "clean.csv", *KEY)
    assert (done.code, without_anna.read("clean.csv")) == (0, LEFT), done.err


@pytest.mark.parametrize("workers", [1, 2])
def test_anonymize_leaves_erased_people_out_by_itself(without_anna, workers):
    done = without_anna.pydp("anonymize", "--dataset", "orders", "-o", "out.csv", "--workers", workers, *KEY)
    assert done.code == 0, done.err
    assert [line.split(",")[0] for line in without_anna.read("out.csv").splitlines()] == ["id", "o2", "o4"]
    assert "3 left out (erased before)" in done.err


def test_a_dataset_can_let_them_pass_or_refuse_them(without_anna):
    policy = without_anna.read("pydp.yml")
    orders = "path: data/orders/*.csv\n"
    without_anna.write("pydp.yml", policy.replace(orders, orders + "    guard: pass\n"))
    assert without_anna.pydp("anonymize", "--dataset", "orders", "-o", "out.csv", *KEY).code == 0
    assert len(without_anna.read("out.csv").splitlines()) == 6
    without_anna.write("pydp.yml", policy.replace(orders, orders + "    guard: refuse\n"))
    done = without_anna.pydp("anonymize", "--dataset", "orders", "-o", "other.csv", *KEY)
    assert (done.code, without_anna.path("other.csv").exists()) == (3, False)


def test_rows_that_erasing_keeps_for_a_reason_pass(without_anna):
    orders = "path: data/orders/*.csv\n"
    kept = "    erase: {action: keep, because: accounting}\n"
    without_anna.write("pydp.yml", without_anna.read("pydp.yml").replace(orders, orders + kept))
    assert without_anna.pydp("anonymize", "--dataset", "orders", "-o", "out.csv", *KEY).code == 0
    assert len(without_anna.read("out.csv").splitlines()) == 6


def test_nothing_is_deleted_in_place(without_anna):
    done = without_anna.pydp("anonymize", "--dataset", "orders", "--in-place", *KEY)
    assert (done.code, without_anna.read("data/orders/all.csv")) == (3, ORDERS)
    assert "--reapply" in done.err


def test_a_run_without_the_keyring_does_not_let_them_pass_unseen(without_anna):
    policy = without_anna.read("pydp.yml").replace(
        "customer_id: {anonymize: {pseudonym: {domain: customer}}}", "customer_id: keep"
    )
    policy = policy.replace("email: {anonymize: {pseudonym: {domain: email}}}\n      total", "email: keep\n      total")
    without_anna.write("pydp.yml", policy)
    done = without_anna.pydp("anonymize", "--dataset", "orders", "-o", "out.csv")
    assert (done.code, without_anna.path("out.csv").exists()) == (2, False)
    assert "people were erased" in done.err


def test_where_nobody_was_erased_no_key_is_needed(shop):
    done = shop.pydp("guard", "--dataset", "orders", "-o", "clean.csv")
    assert (done.code, shop.read("clean.csv")) == (0, ORDERS), done.err


def test_encrypted_columns_are_searched_too(without_anna):
    policy = without_anna.read("pydp.yml")
    change = {
        "category: pd:EmailAddress}": "encrypt: deterministic}",
        "domain: customer}}}": "domain: customer}}, encrypt: true}",
    }
    for old, new in change.items():
        policy = policy.replace(old, new, 1)
    without_anna.write("pydp.yml", policy)
    made = without_anna.pydp("encrypt", "--dataset", "customers", "-o", "cells", *KEY)
    assert made.code == 0, made.err
    done = without_anna.pydp("guard", "cells/*.parquet", "--dataset", "customers", "-o", "clean", *KEY)
    assert done.code == 0, done.err
    assert pq.read_table(without_anna.path("clean/a.parquet")).column("name").to_pylist() == ["Bo", "Cy"]
    as_csv = without_anna.pydp("encrypt", "data/customers/a.parquet", "--dataset", "customers", "-o", "cells.csv", *KEY)
    assert as_csv.code == 0, as_csv.err
    done = without_anna.pydp("guard", "cells.csv", "--dataset", "customers", "-o", "clean.csv", *KEY)
    assert (done.code, without_anna.path("clean.csv").exists()) == (2, False)
    assert "decrypt it first" in done.err


def test_who_is_a_customer_again_is_taken_off_the_list(without_anna):
    done = without_anna.pydp("guard", "--readmit", "email=ANNA@example.com", *KEY)
    assert (done.code, "2 identifiers and pseudonyms" in done.err) == (0, True), done.err
    without_anna.write("new.csv", "id,customer_id,email,total\no9,,anna@example.com,1.00\no8,1,,1.00\n")
    assert without_anna.pydp("guard", "new.csv", "--dataset", "orders", "-o", "clean.csv", *KEY).code == 0
    assert without_anna.read("clean.csv") == "id,customer_id,email,total\no9,,anna@example.com,1.00\n"
    assert without_anna.pydp("guard", "--readmit", "email=anna@example.com", *KEY).err.startswith("pydp: 0 ")


def test_pseudonyms_of_erased_people_are_recognised(without_anna):
    """What was anonymised before the erasure is imported again: its identifiers are pseudonyms."""
    without_anna.write("old.csv", ORDERS + "o9,3,,1.00\n")
    policy = without_anna.read("pydp.yml")
    orders = "path: data/orders/*.csv\n"
    without_anna.write("pydp.yml", policy.replace(orders, orders + "    guard: pass\n"))
    done = without_anna.pydp("anonymize", "old.csv", "--dataset", "orders", "-o", "pseudonyms.csv", *KEY)
    assert done.code == 0, done.err
    assert "anna" not in without_anna.read("pseudonyms.csv")
    done = without_anna.pydp("guard", "pseudonyms.csv", "--dataset", "orders", "-o", "clean.csv", *KEY)
    assert done.code == 0, done.err
    assert [line.split(",")[0] for line in without_anna.read("clean.csv").splitlines()] == ["id", "o2", "o4", "o9"]
    without_anna.path("data/orders/all.csv").write_text(without_anna.read("pseudonyms.csv"))
    done = without_anna.pydp("erase-user", "--reapply", "--yes", *KEY)
    assert done.code == 0, done.err
    assert without_anna.read("data/orders/all.csv") == without_anna.read("clean.csv")


def test_a_changed_list_is_refused(without_anna):
    path = without_anna.path(".pydp/suppression/audit/000000.jsonl")
    path.write_bytes(path.read_bytes().replace(b"suppression.added", b"suppression.other"))
    done = without_anna.pydp("guard", "--dataset", "orders", "-o", "clean.csv", *KEY)
    assert (done.code, without_anna.path("clean.csv").exists()) == (3, False)


def test_a_dataset_in_which_nobody_can_be_found_is_refused(without_anna):
    without_anna.write("new.csv", "what\nx\n")
    done = without_anna.pydp("guard", "new.csv", "--dataset", "orders", "-o", "clean.csv", *KEY)
    assert (done.code, "nobody can be recognised" in done.err) == (2, True)


def test_identifiers_are_compared_as_they_are_stored(without_anna):
    """A declared type must not turn 001 into the 1 of somebody else, nor hide a 1 that is on the list."""
    policy = without_anna.read("pydp.yml").replace("customer_id: {anonymize", "customer_id: {type: int64, anonymize")
    without_anna.write("pydp.yml", policy)
    without_anna.write("new.csv", ORDERS + "o7,01,,1.00\n")
    done = without_anna.pydp("anonymize", "new.csv", "--dataset", "orders", "-o", "out.csv", *KEY)
    assert (done.code, "3 left out (erased before)" in done.err) == (0, True), done.err


def test_dictionaries_and_large_text_are_looked_up(without_anna):
    mails = pa.array(["Anna@example.com", None, "new@example.com"])
    for kind in (pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        pq.write_table(
            pa.table({"email": mails.cast(kind) if kind == pa.large_string() else mails.dictionary_encode()}),
            without_anna.path("x.parquet"),
        )
        done = without_anna.pydp("guard", "x.parquet", "--dataset", "customers", "-o", "y.parquet", "--force", *KEY)
        assert done.code == 0, done.err
        assert pq.read_table(without_anna.path("y.parquet")).column("email").to_pylist() == [None, "new@example.com"]
