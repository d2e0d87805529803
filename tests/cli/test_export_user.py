"""`pydp export-user` as a user runs it."""

import json
import zipfile

import pytest

from pydp_cli.subjects.bundle_verify import verify_bundle
from tests.subjects.conftest import CUSTOMERS, ITEMS, MESSAGES, ORDERS
from tests.subjects.conftest import POLICY as COMPANY


@pytest.fixture
def shop(work):
    import pyarrow as pa
    import pyarrow.parquet as pq

    work.write("pydp.yml", COMPANY.replace("pydp.keyring", "ring"))
    work.path("data/customers").mkdir(parents=True)
    for name, rows in CUSTOMERS.items():
        columns = dict(zip(("id", "email", "name"), map(list, zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(columns), work.path(f"data/customers/{name}.parquet"))
    work.write("data/orders/all.csv", ORDERS)
    pq.write_table(
        pa.table({"order_id": [o for o, _ in ITEMS], "what": [w for _, w in ITEMS]}), work.path("data/items.parquet")
    )
    work.write("data/messages.csv", MESSAGES)
    return work


def test_a_copy_is_written_signed_and_logged(shop):
    done = shop.pydp("export-user", "--subject", "email=anna@example.com", "-o", "copy.zip", "--key-file", "key")
    assert (done.code, done.out) == (0, "")
    assert "customer_id → orders.customer_id: 2 rows" in done.err
    assert "copy.zip: 9 rows of 4 datasets, 2 left out (omissions.json)" in done.err
    assert "anna" not in done.err
    assert shop.pydp("export-user", "--verify", "copy.zip", "--key-file", "key").code == 0
    log = shop.read(".pydp/audit/000000.jsonl")
    assert "export-user.done" in log
    assert "anna" not in log


def test_without_a_key_the_copy_is_unsigned_and_says_so(shop):
    done = shop.pydp("export-user", "--subject", "customer_id=1", "-o", "copy.zip")
    assert done.code == 0
    assert "not signed" in done.err
    assert verify_bundle(shop.path("copy.zip")).signed_by is None


def test_many_people_get_a_copy_each(shop):
    shop.write("people.csv", "customer_id\n1\n2\n99\n")
    done = shop.pydp("export-user", "--subjects", "people.csv", "-o", "out", "--json")
    assert [one["rows"] for one in json.loads(done.out)] == [9, 5, 0]
    assert sorted(path.name for path in shop.path("out").iterdir()) == ["person-1.zip", "person-2.zip", "person-3.zip"]


def test_an_altered_copy_is_refused(shop):
    shop.pydp("export-user", "--subject", "customer_id=1", "-o", "copy.zip", "--key-file", "key")
    with zipfile.ZipFile(shop.path("copy.zip"), "a") as archive:
        archive.writestr("more.txt", "x")
    done = shop.pydp("export-user", "--verify", "copy.zip")
    assert done.code == 3
    assert "more.txt was added" in done.err


def test_somebody_who_is_not_clear_is_refused(shop):
    shop.write("pydp.yml", shop.read("pydp.yml").replace(", shared: [info@acme.example]", ""))
    done = shop.pydp("export-user", "--subject", "email=info@acme.example", "-o", "copy.zip")
    assert done.code == 3
    assert "email → customers.email: 2 rows, give customer_id (2)" in done.err
    assert not shop.path("copy.zip").exists()
    assert shop.pydp("export-user", "--subject", "email=info@acme.example", "-o", "copy.zip", "--merge").code == 0


@pytest.mark.parametrize(
    "arguments", [["--subject", "customer_id=1"], ["-o", "x.zip"], ["--subject", "x=1", "-o", "x.zip"]]
)
def test_what_is_left_out_is_asked_for(shop, arguments):
    assert shop.pydp("export-user", *arguments).code == 2


def test_the_copy_has_what_the_person_agreed_to(shop):
    subject = ("--subject", "email=anna@example.com")
    assert shop.pydp("consent", "record", *subject, "--purpose", "marketing", "--key-file", "key").code == 0
    assert shop.pydp("export-user", "--subject", "customer_id=1", "-o", "copy.zip", "--key-file", "key").code == 0
    with zipfile.ZipFile(shop.path("copy.zip")) as archive:
        (event,) = [json.loads(line) for line in archive.read("consent/records.jsonl").splitlines()]
    assert (event["purpose"], event["status"]) == ("marketing", "given")
