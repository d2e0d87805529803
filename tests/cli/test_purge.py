"""`pydp purge` as cron runs it: silent, safe, honouring holds, and never more than it should."""

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.keys import keyring as keyrings
from pydp_cli.rewrite import transaction as transactions

POLICY = """version: 1
keyring: ring
identities: {customer_id: {}}
datasets:
  visits:
    path: data/visits/*.parquet
    identifiers: {who: customer_id}
    retention: {clock: day, keep: P3Y}
  orders:
    path: data/orders.csv
    identifiers: {who: customer_id}
    columns:
      note: {anonymize: redact, retention: {clock: day, keep: P1Y, then: null}}
    other_columns: keep
"""
ORDERS = "id,who,day,note\n1,a,2020-01-01,old\n2,b,2026-06-01,new\n3,c,2024-05-05,mid\n4,d,,none\n"
NULLED = ORDERS.replace("old", "").replace("mid", "")
DAY = "--as-of", "2026-11-20"


@pytest.fixture
def place(work):
    work.write("pydp.yml", POLICY)
    work.path("data/visits").mkdir(parents=True)
    for name, first in (("old", 2018), ("mixed", 2023), ("new", 2026)):
        days = (
            [dt.date(first + n // 4, 1 + n % 4, 5) for n in range(8)] if name != "new" else [dt.date(2026, 1, 1)] * 40
        )
        table = pa.table({"who": [f"{name}{n}" for n in range(len(days))], "day": days})
        pq.write_table(table, work.path(f"data/visits/{name}.parquet"), row_group_size=4)
    work.write("data/orders.csv", ORDERS)
    return work


def files(place):
    return {path.name: path.read_bytes() for path in sorted(place.path("data").rglob("*")) if path.is_file()}


def purge(place, *more):
    return place.pydp("purge", "--apply", "--max-delete-fraction", "0.5", *DAY, *more)


def confirmed(place, *more):
    said = purge(place, *more)
    assert said.code == 3, said.err
    return purge(place, "--confirm", said.err.split("--confirm ")[1].split()[0], *more)


def test_a_preview_changes_nothing(place):
    before = files(place)
    done = place.pydp("purge", *DAY)
    assert done.code == 0
    for told in ("delete 8 rows and", "the file", "delete 4 rows", "null 2 note"):
        assert told in done.out
    assert "confirm them with --apply --confirm" in done.err
    assert files(place) == before
    assert not place.path(".pydp/purge").exists()


def test_rules_that_nobody_confirmed_are_not_applied(place):
    before = files(place)
    done = purge(place)
    assert (done.code, "nobody has confirmed" in done.err) == (3, True)
    assert purge(place, "--confirm", "0" * 12).code == 3
    assert files(place) == before


def test_what_is_past_its_time_goes_and_the_rest_stays(place):
    before = files(place)
    done = confirmed(place)
    assert done.code == 0, done.err
    after = files(place)
    assert "old.parquet" not in after
    assert after["new.parquet"] == before["new.parquet"]
    assert after["orders.csv"].decode() == NULLED
    assert pq.read_table(place.path("data/visits/mixed.parquet"))["who"].to_pylist() == [
        f"mixed{n}" for n in (4, 5, 6, 7)
    ]
    log = place.read(".pydp/audit/000000.jsonl")
    assert '"purge.done"' in log
    assert "mixed4" not in log
    again = purge(place)
    assert (again.code, again.out, again.err) == (0, "", "")
    assert files(place) == after


def test_changed_rules_need_confirming_again(place):
    confirmed(place)
    place.write("pydp.yml", POLICY.replace("P1Y", "P1M"))
    done = purge(place)
    assert (done.code, "nobody has confirmed" in done.err) == (3, True)
    assert place.read("data/orders.csv") == NULLED


def test_no_more_than_a_share_goes_at_once(place):
    before = files(place)
    said = purge(place)
    digest = said.err.split("--confirm ")[1].split()[0]
    done = place.pydp("purge", "--apply", *DAY, "--confirm", digest)
    assert (done.code, "21.4% of its rows would be deleted, and at most 20% may be" in done.err) == (4, True)
    assert files(place) == before


def test_a_clock_that_jumped_is_refused(place, monkeypatch):
    confirmed(place)
    place.write("data/orders.csv", ORDERS)
    real = keyrings.utc_now
    for days, told in ((-2, "before the last run"), (200, "more than 92 days ago")):
        with monkeypatch.context() as patched:
            patched.setattr(keyrings, "utc_now", lambda days=days: real() + dt.timedelta(days=days))
            done = place.pydp("purge", "--apply", "--max-delete-fraction", "1")
            assert (done.code, told in done.err) == (3, True)
    assert place.read("data/orders.csv") == ORDERS
    assert place.pydp("purge", "--apply", "--as-of", "2099-01-01").code == 2


def test_held_rows_stay(place):
    place.pydp("hold", "add", "--subject", "customer_id=mixed1", "--matter", "Doe", "--key-file", "key")
    assert place.pydp("purge", *DAY).code == 2  # whom it is about, only the keyring can tell
    done = confirmed(place, "--key-file", "key", "--json")
    assert done.code == 5
    said = json.loads(done.out)
    assert (said["held"], said["deleted"]) == ({"H0001": 1}, 11)
    kept = pq.read_table(place.path("data/visits/mixed.parquet"))["who"].to_pylist()
    assert kept == ["mixed1", "mixed4", "mixed5", "mixed6", "mixed7"]


def test_a_hold_on_a_dataset_keeps_all_of_it(place):
    place.pydp("hold", "add", "--dataset", "visits", "--matter", "Tax")
    before = files(place)
    done = confirmed(place, "--json")
    assert (done.code, json.loads(done.out)["held"]) == (5, {"H0001": 12})
    assert {name: data for name, data in files(place).items() if name != "orders.csv"} == {
        name: data for name, data in before.items() if name != "orders.csv"
    }


@pytest.mark.parametrize(("rule", "left"), [("keep", "234"), ("delete", "23"), ("quarantine", "23")])
def test_rows_without_a_date_do_as_the_rule_says(place, rule, left):
    policy = POLICY.replace(
        "    columns:\n", f"    retention: {{clock: day, keep: P3Y, on_null_clock: {rule}}}\n    columns:\n"
    )
    place.write("pydp.yml", policy)
    done = confirmed(place, "--dataset", "orders", "--json")
    assert done.code == 0, done.err
    assert "".join(line[0] for line in place.read("data/orders.csv").splitlines()[1:]) == left
    said = json.loads(done.out)
    assert said["undated"] == 1
    aside = list(place.path(".pydp/quarantine").rglob("*.csv"))
    assert [path.read_text() for path in aside] == (["id,who,day,note\n4,d,,none\n"] if rule == "quarantine" else [])
    assert all(path.stat().st_mode & 0o077 == 0 for path in aside)


def test_review_and_unless(place):
    policy = POLICY.replace("keep: P3Y}", 'keep: P3Y, unless: who == "mixed0", then: review}')
    place.write("pydp.yml", policy)
    done = place.pydp("purge", *DAY, "--dataset", "visits", "--json")
    assert (done.code, json.loads(done.out)["review"], json.loads(done.out)["deleted"]) == (0, 11, 0)


def test_the_last_file_of_a_dataset_is_emptied_and_not_deleted(place):
    place.path("data/visits/mixed.parquet").unlink()
    place.path("data/visits/new.parquet").unlink()
    digest = purge(place).err.split("--confirm ")[1].split()[0]
    done = place.pydp("purge", "--apply", "--max-delete-fraction", "1", *DAY, "--confirm", digest)
    assert done.code == 0
    read = pq.read_table(place.path("data/visits/old.parquet"))
    assert (read.num_rows, read.schema.names) == (0, ["who", "day"])


def test_rules_that_cannot_be_carried_out_are_refused(place):
    place.write("pydp.yml", POLICY.replace("keep: P3Y}", "keep: P3Y, then: null}"))
    done = place.pydp("purge", *DAY)
    assert (done.code, "does not say which columns it is for" in done.err) == (2, True)
    assert place.pydp("policy", "check").code == 2
    place.write("pydp.yml", POLICY.replace("then: null", "then: delete_row"))
    assert (place.pydp("purge", *DAY).code, place.pydp("policy", "check").code) == (2, 2)
    place.write("pydp.yml", "version: 1\ndatasets: {}\n")
    assert "no retention rules" in place.pydp("purge").err


def test_an_interrupted_purge_is_finished_or_begun_anew(place, monkeypatch):
    real = transactions.os.replace

    def fail(source, target):
        if str(target).endswith("orders.csv"):
            raise OSError(5, "Input/output error")
        return real(source, target)

    digest = purge(place).err.split("--confirm ")[1].split()[0]
    with monkeypatch.context() as patched:
        patched.setattr(transactions.os, "replace", fail)
        assert purge(place, "--confirm", digest).code == 75
    assert purge(place).code in {0, 75}
    done = purge(place, "--resume")
    assert done.code == 0
    assert place.read("data/orders.csv") == NULLED
    assert not place.path("data/visits/old.parquet").exists()


@pytest.mark.parametrize("way", ["--abort", "--resume"])
def test_what_a_killed_run_left_beside_the_log_goes(place, way):
    confirmed(place)
    torn = place.path(".pydp/audit/.head.0123456789abcdef.tmp")
    torn.write_text("half")
    assert purge(place, way).code == 0
    assert not torn.exists()
