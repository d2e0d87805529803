"""`pydp erase-user` as a user runs it: plan, apply, resume, holds, certificates, and that nothing else changes."""

import json
import os

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.datasets import formats
from pydp_cli.rewrite import transaction as transactions
from tests.cli.test_export_user import shop
from tests.subjects.conftest import MESSAGES, ORDERS

__all__ = ["shop"]
ANNA = ("erase-user", "--subject", "email=anna@example.com", "--key-file", "key")


def erase(shop, *more):
    return shop.pydp(*ANNA, "--yes", *more)


def contents(shop):
    """Read everything, by readers that are not ours."""
    customers = duckdb.sql(f"select * from '{shop.path('data/customers/')}/*.parquet' order by id").fetchall()
    items = duckdb.sql(f"select * from '{shop.path('data/items.parquet')}'").fetchall()
    return customers, shop.read("data/orders/all.csv"), items, shop.read("data/messages.csv")


def data_files(shop):
    return {path: path.read_bytes() for path in sorted(shop.path("data").rglob("*")) if path.is_file()}


GONE = (
    [
        (0, "", "Fay"),
        (2, "bo@example.com", "Bo"),
        (3, None, "Cy"),
        (4, "info@acme.example", "Di"),
        (5, "info@acme.example", "Ed"),
    ],
    "id,customer_id,email,total\no2,2,,20.00\no4,0,,1.00\n",
    [("o2", "chair"), (None, "lost")],
    'sender,receiver,text\nbo@example.com,cy@example.com,"how are, you"\ncy@example.com,,fine\n',
)


def test_a_person_is_erased_everywhere_and_nobody_else_is(shop):
    other = shop.path("data/customers/b.parquet").read_bytes()
    done = erase(shop, "--certificate", "anna.json", "--request", "R0001")
    assert (done.code, "anna" in done.out + done.err.replace("anna.json", "")) == (0, False)
    assert "rows deleted and 1 cell changed in 4 files" in done.err
    assert contents(shop) == GONE
    assert shop.path("data/customers/b.parquet").read_bytes() == other
    said = json.loads(shop.read("anna.json"))
    assert (said["verdict"], said["request"], said["found"]) == ("erased", "R0001", [])
    assert said["totals"] == {
        "changed": {"receiver": 1},
        "deleted": 8,
        "files": 4,
        "held": 0,
        "kept": 0,
        "review": 0,
    }
    assert not list(shop.path("data").rglob(".*"))
    for path in shop.path(".pydp").rglob("*"):
        if path.is_file():
            assert b"anna" not in path.read_bytes().lower(), path
    assert "Certificate of erasure" in shop.read("anna.html")


def test_nothing_found_is_success(shop):
    before = data_files(shop)
    done = shop.pydp("erase-user", "--subject", "customer_id=99", "--yes", "--key-file", "key")
    assert done.code == 0
    assert "nothing was found of this person in 5 files" in done.err
    assert data_files(shop) == before
    again = shop.pydp("erase-user", "--subject", "customer_id=99", "--key-file", "key")
    assert again.code == 0  # there is nothing to ask for


def test_twice_changes_nothing(shop):
    erase(shop)
    before = data_files(shop)
    assert erase(shop).code == 0
    assert data_files(shop) == before


def test_without_a_yes_nothing_is_changed(shop):
    before = data_files(shop)
    done = shop.pydp(*ANNA)
    assert (done.code, "there is nobody to ask" in done.err) == (2, True)
    assert "delete 3 rows" in done.out
    assert data_files(shop) == before
    assert erase(shop).code == 0  # and nothing is left to resume


def test_without_a_keyring_it_is_refused(shop):
    shop.write("pydp.yml", shop.read("pydp.yml").replace("keyring: ring\n", ""))
    done = shop.pydp("erase-user", "--subject", "customer_id=1", "--yes")
    assert (done.code, "needs a keyring" in done.err) == (2, True)


def test_a_plan_is_reviewed_and_carried_out(shop):
    before = data_files(shop)
    planned = shop.pydp(*ANNA, "--plan", "plan.json")
    assert (planned.code, data_files(shop)) == (0, before)
    plan = shop.read("plan.json")
    assert "anna" not in plan.lower()
    said = json.loads(plan)
    assert [(one["dataset"], one["deleted"], one["changed"]) for one in said["files"]] == [
        ("customers", 1, {}),
        ("orders", 3, {}),
        ("items", 3, {}),
        ("messages", 1, {"receiver": 1}),
    ]
    applied = shop.pydp("erase-user", "--apply", "plan.json", "--key-file", "key")
    assert applied.code == 0
    assert contents(shop) == GONE
    after = data_files(shop)
    again = shop.pydp("erase-user", "--apply", "plan.json", "--key-file", "key")
    assert (again.code, "carried out already" in again.err, data_files(shop)) == (0, True, after)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda shop: shop.write("data/orders/all.csv", ORDERS + "o9,2,,3.00\n"), "the files"),
        (lambda shop: shop.write("data/orders/more.csv", "id,customer_id,email,total\n"), "the datasets"),
        (lambda shop: shop.write("pydp.yml", shop.read("pydp.yml") + "not_personal: []\n# x\n"), None),
        (lambda shop: shop.write("pydp.yml", shop.read("pydp.yml").replace("HGB 257", "AO 147")), "the policy"),
        (lambda shop: shop.pydp("hold", "add", "--dataset", "items", "--matter", "Tax"), "the legal holds"),
    ],
)
def test_a_plan_is_refused_where_what_it_was_made_on_changed(shop, change, what):
    shop.pydp(*ANNA, "--plan", "plan.json")
    change(shop)
    before = data_files(shop)
    done = shop.pydp("erase-user", "--apply", "plan.json", "--key-file", "key")
    if what is None:
        assert done.code == 0
        return
    assert (done.code, f"has changed since: {what}" in done.err) == (3, True)
    assert data_files(shop) == before


def test_an_altered_plan_is_refused(shop):
    shop.pydp(*ANNA, "--plan", "plan.json")
    sound = shop.path("plan.json").read_bytes()
    for place in range(5, len(sound), 97):
        shop.path("plan.json").write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        done = shop.pydp("erase-user", "--apply", "plan.json", "--key-file", "key")
        assert done.code == 3, place
        assert "Traceback" not in done.err
    assert shop.read("data/orders/all.csv") == ORDERS


RULES = """  orders:
    erase: {action: mask, set: {email: null, total: "0.00", customer_id: {pseudonymise: hmac}}, because: HGB 257}
"""


def test_rows_are_kept_masked_with_a_reason(shop):
    shop.write("pydp.yml", shop.read("pydp.yml").replace("  orders:\n", RULES))
    done = erase(shop, "--json")
    assert done.code == 0
    lines = shop.read("data/orders/all.csv").splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", "o1", "o2", "o3", "o4", "o5"]
    masked = [line.split(",") for line in lines if line.startswith(("o1", "o3", "o5"))]
    assert {(email, total) for _, _, email, total in masked} == {("", "0.00")}
    pseudonym, other, none = (customer for _, customer, _, _ in masked)
    assert (len(pseudonym), pseudonym, none) == (32, other, "")
    assert lines[2] == "o2,2,,20.00"
    assert json.loads(done.out)["totals"]["changed"] == {"customer_id": 2, "email": 3, "receiver": 1, "total": 3}
    before = data_files(shop)
    assert erase(shop).code == 0
    assert data_files(shop) == before


@pytest.mark.parametrize(
    ("rule", "orders", "told"),
    [
        ("{action: keep, because: accounting}", ORDERS, ("kept", 3)),
        ("review", ORDERS, ("review", 3)),
        ("unlink", ORDERS.replace("o1,1,", "o1,,").replace("o3,1,", "o3,,"), ("changed", {"customer_id": 2})),
        (
            "{action: delete_row, when: total < 6, because: small}",
            ORDERS.replace("o3,1,anna.b@example.org,5.50\n", ""),
            ("kept", 2),
        ),
    ],
)
def test_every_action_does_what_it_says(shop, rule, orders, told):
    policy = shop.read("pydp.yml").replace("  orders:\n", f"  orders:\n    erase: {rule}\n")
    policy = policy.replace("      total: keep", '      total: {type: "decimal(9,2)", anonymize: keep}')
    shop.write("pydp.yml", policy.replace("  items:\n", "  items:\n    erase: {action: keep, because: nothing}\n"))
    done = erase(shop, "--json")
    assert done.code == 0, done.err
    assert shop.read("data/orders/all.csv") == orders
    said = json.loads(done.out)
    total = said["totals"][told[0]]
    assert {**total, "receiver": 0} == {**told[1], "receiver": 0} if told[0] == "changed" else total >= told[1]
    reasons = {one["because"] for one in said["staying"]}
    assert "nothing" in reasons


def test_held_rows_stay_and_it_says_so(shop):
    shop.pydp("hold", "add", "--subject", "customer_id=2", "--matter", "Doe", "--key-file", "key")
    shop.pydp("hold", "add", "--dataset", "orders", "--matter", "Tax")
    done = erase(shop, "--json")
    assert done.code == 5
    assert shop.read("data/orders/all.csv") == ORDERS
    assert shop.read("data/messages.csv") == MESSAGES.replace("cy@example.com,ANNA@example.com", "cy@example.com,")
    said = json.loads(done.out)
    assert (said["verdict"], said["holds"], said["totals"]["held"]) == ("erased", ["H0001", "H0002"], 4)
    shop.pydp("hold", "lift", "H0001", "--because", "x", "--key-file", "key")
    shop.pydp("hold", "lift", "H0002", "--because", "x", "--key-file", "key")
    assert erase(shop).code == 0
    assert contents(shop)[1:] == GONE[1:]


def test_what_a_type_cannot_take_is_refused_before_anything_changes(shop):
    rule = "  customers:\n    erase: {action: mask, set: {id: none}}\n"
    shop.write("pydp.yml", shop.read("pydp.yml").replace("  customers:\n", rule))
    before = data_files(shop)
    done = erase(shop)
    assert (done.code, "not of the column's type" in done.err) == (2, True)
    assert data_files(shop) == before
    shop.write("pydp.yml", shop.read("pydp.yml").replace("{id: none}", "{nobody: null}"))
    done = erase(shop)
    assert (done.code, 'there is no column "nobody"' in done.err) == (2, True)
    assert data_files(shop) == before


def test_a_person_who_is_not_clear_is_refused(shop):
    shop.write("data/orders/more.csv", "id,customer_id,email,total\no8,1,bo@example.com,1.00\n")
    before = data_files(shop)
    done = erase(shop)
    assert (done.code, "not clear who this is" in done.err) == (3, True)
    assert data_files(shop) == before


def test_many_people_at_once(shop):
    shop.write("people.csv", "customer_id\n1\n2\n99\n1\n")
    done = shop.pydp("erase-user", "--subjects", "people.csv", "--yes", "--key-file", "key", "--json")
    assert done.code == 0
    assert shop.read("data/orders/all.csv") == "id,customer_id,email,total\no4,0,,1.00\n"
    assert shop.read("data/messages.csv") == "sender,receiver,text\ncy@example.com,,fine\n"


def test_who_comes_back_is_erased_again(shop):
    restored = data_files(shop)
    erase(shop)
    none = shop.pydp("erase-user", "--reapply", "--yes", "--key-file", "key")
    assert (none.code, "nobody who was erased is in the data" in none.err) == (0, True)
    for path, content in restored.items():
        path.write_bytes(content)
    assert shop.pydp("erase-user", "--reapply", "--yes", "--key-file", "key").code == 0
    assert contents(shop) == GONE


def test_a_writer_that_replaces_a_file_meanwhile_is_searched_again(shop, monkeypatch):
    real = transactions.Transaction.commit
    replaced = []

    def commit(self):
        if not replaced:
            replaced.append(True)
            temp = shop.path("data/orders/new")
            temp.write_text(ORDERS + "o7,1,,9.00\no8,2,,8.00\n")
            temp.replace(shop.path("data/orders/all.csv"))
        return real(self)

    monkeypatch.setattr(transactions.Transaction, "commit", commit)
    done = erase(shop, "--json")
    assert done.code == 0
    assert shop.read("data/orders/all.csv") == "id,customer_id,email,total\no2,2,,20.00\no4,0,,1.00\no8,2,,8.00\n"
    [orders] = [one for one in json.loads(done.out)["files"] if one["dataset"] == "orders"]
    assert orders["deleted"] == 4


@pytest.mark.parametrize("held", [False, True])
def test_categories_that_writers_repeat_in_every_row_group_go_too(shop, held):
    """Also where the row that stays is in another row group than the one whose dictionary tells of it."""
    table = pq.read_table(shop.path("data/customers/a.parquet"))
    told = [*table["email"].to_pylist(), *[f"p{number}@example.org" for number in range(6)]]
    table = pa.table(
        {
            "id": pa.array([*table["id"].to_pylist(), *range(100, 106)], table["id"].type),
            "email": pa.array(told).dictionary_encode(),
            "name": pa.array(["Anna Berg", *["somebody"] * 8]).dictionary_encode(),
        }
    )
    pq.write_table(table, shop.path("data/customers/a.parquet"), row_group_size=2, compression="none")
    if held:
        shop.pydp("hold", "add", "--dataset", "customers", "--matter", "Tax")
    done = erase(shop)
    assert done.code == (5 if held else 0), done.err
    after = pq.read_table(shop.path("data/customers/a.parquet"))
    assert after.to_pylist() == (table if held else table.slice(1)).to_pylist()
    assert (b"Anna" in shop.path("data/customers/a.parquet").read_bytes()) == held
    assert "dictionary" not in done.err


def test_a_file_named_after_a_person_is_told_without_the_name(shop):
    shop.path("data/orders/all.csv").rename(shop.path("data/orders/for Anna%40example.com.csv"))
    planned = shop.pydp(*ANNA, "--plan", "plan.json")
    done = erase(shop, "--certificate", "c.json")
    assert (planned.code, done.code) == (0, 3)  # the file stays, and so does its name
    said = json.loads(shop.read("c.json"))
    assert [one["path"] for one in said["files"] if one["dataset"] == "orders"] == ["data/orders/for ….csv"]
    assert [one["path"] for one in said["found"]] == ["data/orders/for ….csv"]
    for told in (planned.out, done.out, done.err, shop.read("plan.json"), shop.read("c.json"), shop.read("c.html")):
        assert "anna" not in told.lower()


@pytest.mark.parametrize("rule", ["pseudonymise", "{action: mask, set: {customer_id: null}, because: law}"])
def test_nothing_can_be_put_in_the_names_of_folders(shop, rule):
    logs = f"  logs:\n    path: data/logs\n    identifiers: {{customer_id: customer_id}}\n    erase: {rule}\n"
    shop.write("pydp.yml", shop.read("pydp.yml").replace("  items:\n", f"{logs}    other_columns: keep\n  items:\n"))
    folder = shop.path("data/logs/customer_id=1")
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"page": ["a"]}), folder / "x.parquet")
    checked = shop.pydp("policy", "check")
    assert (checked.code, 'puts something else in "customer_id"' in checked.err) == (2, True)
    planned = shop.pydp(*ANNA, "--plan", "plan.json")
    assert (planned.code, '"customer_id" is in the names of folders' in planned.err) == (2, True)


def test_an_open_reader_keeps_what_it_reads(shop):
    with shop.path("data/orders/all.csv").open() as reader:
        assert erase(shop).code == 0
        assert reader.read() == ORDERS


def test_only_one_run_at_a_time(shop):
    import fcntl

    shop.path(".pydp").mkdir(exist_ok=True)
    with shop.path(".pydp/run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert erase(shop).code == 6


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


def test_a_failure_before_the_commit_changes_nothing_and_is_resumed_or_given_up(shop, monkeypatch):
    before = data_files(shop)
    with monkeypatch.context() as patched:
        patched.setattr(transactions.Transaction, "note", full_disk)
        assert erase(shop).code == 2
    assert data_files(shop) == before
    blocked = erase(shop)
    assert (blocked.code, "an earlier erasure was interrupted" in blocked.err) == (75, True)
    given_up = shop.pydp("erase-user", "--abort", "--key-file", "key")
    assert (given_up.code, "nothing was changed" in given_up.err) == (0, True)
    assert data_files(shop) == before
    assert erase(shop).code == 0


def test_what_was_committed_is_finished_and_certified_by_resume(shop, monkeypatch):
    calls = []
    real = os.replace

    def replace(source, target):
        if str(source).endswith(".staged"):
            calls.append(target)
            if len(calls) == 2:
                raise OSError(5, "Input/output error")
        return real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        assert erase(shop).code == 75
    assert shop.pydp("erase-user", "--abort", "--key-file", "key").code == 3
    done = shop.pydp("erase-user", "--resume", "--key-file", "key", "--json")
    assert done.code == 0
    assert contents(shop) == GONE
    said = json.loads(done.out)
    assert (said["totals"]["deleted"], said["totals"]["files"], said["verdict"]) == (8, 4, "erased")
    assert "nothing was interrupted" in shop.pydp("erase-user", "--resume", "--key-file", "key").err


def test_resume_refuses_another_policy(shop, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(transactions.Transaction, "note", full_disk)
        erase(shop)
    policy = shop.read("pydp.yml")
    shop.write("pydp.yml", policy.replace("HGB 257", "AO 147"))
    assert shop.pydp("erase-user", "--resume", "--key-file", "key").code == 3
    shop.write("pydp.yml", policy)
    assert shop.pydp("erase-user", "--resume", "--key-file", "key").code == 0
    assert contents(shop) == GONE


def test_an_encrypted_file_is_refused_and_not_passed_over(shop):
    table = pq.read_table(shop.path("data/items.parquet"))
    shop.path("data/items.parquet").write_bytes(b"PARE" + b"\0" * 40 + b"PARE")
    before = data_files(shop)
    done = erase(shop)
    assert (done.code, "encrypted" in done.err) == (2, True)
    assert data_files(shop) == before
    pq.write_table(table, shop.path("data/items.parquet"))


def test_the_format_of_a_file_is_kept(shop):
    assert formats.format_of_name("all.csv.gz") is not None
    import gzip

    shop.path("data/orders/all.csv").unlink()
    shop.write("data/orders/all.csv.gz", gzip.compress(ORDERS.encode()))
    policy = shop.read("pydp.yml").replace("data/orders/*.csv", "data/orders/*.csv.gz")
    shop.write("pydp.yml", policy)
    assert erase(shop).code == 0
    assert gzip.decompress(shop.path("data/orders/all.csv.gz").read_bytes()).decode() == GONE[1]


def test_certificates_verify_and_altered_ones_do_not(shop):
    erase(shop, "--certificate", "anna.json")
    ours = shop.pydp("certificate", "verify", "anna.json", "--key-file", "key")
    assert (ours.code, "by a key that is trusted" in ours.err) == (0, True)
    alone = shop.pydp("certificate", "verify", "anna.json")
    assert (alone.code, "by the key that it names" in alone.err) == (0, True)
    key = json.loads(shop.read("anna.json"))["signed_by"]
    assert shop.pydp("certificate", "verify", "anna.json", "--key", key).code == 0
    sound = shop.path("anna.json").read_bytes()
    for place in range(0, len(sound), 41):
        shop.path("anna.json").write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        done = shop.pydp("certificate", "verify", "anna.json", "--key-file", "key")
        assert done.code == 3, place
        assert "Traceback" not in done.err
    shop.path("anna.json").write_bytes(sound.replace(b'"deleted": 8', b'"deleted": 9'))
    altered = shop.pydp("certificate", "verify", "anna.json")
    assert (altered.code, "it was altered" in altered.err) == (3, True)


def test_what_is_left_beside_the_rows_is_named_and_makes_it_incomplete(shop):
    shop.write("data/orders/all.csv~", ORDERS)
    shop.write("data/customers/.a.parquet.crc", "crc")
    done = erase(shop, "--certificate", "anna.json")
    assert done.code == 3
    assert "data/orders/all.csv~: a copy that a program left holds an identifier" in done.err
    assert "data/customers/.a.parquet.crc: it is the checksum of a file that was changed" in done.err
    said = json.loads(shop.read("anna.json"))
    assert (said["verdict"], len(said["found"])) == ("incomplete", 2)
    assert "This is still there" in shop.read("anna.html")
    verified = shop.pydp("certificate", "verify", "anna.json")
    assert (verified.code, "not complete" in verified.err) == (3, True)
    shop.path("data/orders/all.csv~").unlink()
    shop.path("data/customers/.a.parquet.crc").unlink()
    assert erase(shop).code == 0


def test_when_it_is_over_no_record_can_tell_who_it_was(shop):
    erase(shop)
    [record] = shop.path(".pydp/erasures").glob("*.json")
    said = json.loads(record.read_bytes())
    assert (said["people"], len(said["finished"])) == ("", 64)


def test_a_page_that_does_not_show_its_certificate_is_told(shop):
    erase(shop, "--certificate", "anna.json")
    page = shop.read("anna.html")
    shop.write("anna.html", page.replace("<td>8 in 4 files</td>", "<td>9 in 4 files</td>"))
    done = shop.pydp("certificate", "verify", "anna.json")
    assert (done.code, "anna.html: the page was altered" in done.err) == (3, True)
    shop.path("anna.html").unlink()
    assert shop.pydp("certificate", "verify", "anna.json").code == 0
