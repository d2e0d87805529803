"""`pydp budget` as a user runs it."""

import json
import shutil

import pytest

POLICY = """version: 1
datasets:
  orders: {path: orders.csv, other_columns: keep}
statistics:
  budget: {epsilon: 2, per: P1Y}
  user: who
  queries:
    n: {dataset: orders, release: {n: count}, epsilon: 1.5}
"""


@pytest.fixture
def shop(work):
    work.write("orders.csv", "who,x\n1,2\n3,4\n")
    work.write("pydp.yml", POLICY)
    return work


def test_what_was_spent_and_what_is_left_are_shown(shop):
    assert shop.pydp("dp-stats", "--query", "n").code == 0
    (row,) = json.loads(shop.pydp("budget", "show", "--json").out)
    assert (row["dataset"], row["epsilon spent"], row["left"]) == ("orders", 1.5, "epsilon 0.5 of 2")
    (entry,) = json.loads(shop.pydp("budget", "history", "--json").out)
    assert (entry["query"], entry["epsilon"], entry["state"]) == ("n", "1.5", "committed")


def test_a_new_period_has_a_new_budget(shop):
    assert shop.pydp("dp-stats", "--query", "n", "--as-of", "2026-12-31").code == 0
    shop.write("orders.csv", "who,x\n1,2\n")
    assert shop.pydp("dp-stats", "--query", "n", "--as-of", "2026-12-31").code == 4
    assert shop.pydp("dp-stats", "--query", "n", "--as-of", "2027-01-01").code == 0


def test_a_closed_budget_gives_nothing_new(shop):
    assert shop.pydp("budget", "close", "orders").code == 0
    assert shop.pydp("dp-stats", "--query", "n").code == 4
    assert json.loads(shop.pydp("budget", "show", "--json").out)[0]["closed"] == "yes"


def test_a_budget_can_be_set_for_files_without_a_policy_only(shop):
    refused = shop.pydp("budget", "set", "orders", "--epsilon", "9")
    assert refused.code == 2
    assert "the policy sets the budget" in refused.err
    shop.path("pydp.yml").unlink()
    assert shop.pydp("budget", "set", "orders.csv", "--epsilon", "1").code == 0
    command = ["dp-stats", "orders.csv", "--user", "who", "--count"]
    assert shop.pydp(*command, "--epsilon", "1.1").code == 4
    assert shop.pydp(*command, "--epsilon", "1").code == 0
    assert shop.pydp(*command, "--epsilon", "0.1").code == 4


def test_an_older_copy_of_the_ledger_is_refused(shop):
    assert shop.pydp("dp-stats", "--query", "n").code == 0
    ledger = shop.path(".pydp/ledger.sqlite")
    shutil.copy(ledger, shop.path("backup"))
    assert shop.pydp("budget", "close", "orders").code == 0
    shutil.copy(shop.path("backup"), ledger)
    ran = shop.pydp("dp-stats", "--query", "n")
    assert ran.code == 3
    assert "older" in ran.err


def test_releases_and_changes_of_budgets_are_in_the_audit_log(shop):
    for _ in range(2):  # the second is the stored release, and no new one
        assert shop.pydp("dp-stats", "--query", "n").code == 0
    assert shop.pydp("budget", "close", "orders").code == 0
    events = [json.loads(line)["event"] for line in shop.read(".pydp/audit/000000.jsonl").splitlines()]
    assert events == ["audit.begin", "dp-stats.released", "budget.closed"]
    assert shop.pydp("audit", "verify").code == 0
