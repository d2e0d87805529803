"""`pydp requests` and `pydp policy ropa` as a user runs them."""

import csv
import io
import json

import pytest

POLICY = """version: 1
keyring: ring
controller: {name: "Acme | Co", dpo: dpo@acme.example, regimes: [eu-gdpr]}
identities: {person: {}}
purposes:
  service: {basis: contract, description: To serve you, recipients: [Parcel Ltd]}
datasets:
  people:
    path: people.csv
    identifiers: {id: person}
    purposes: [service]
    subject: customers
    other_columns: keep
    retention: {clock: born, keep: P3Y}
    columns: {name: {anonymize: redact, encrypt: true, category: name}}
"""


def test_a_request_runs_its_course(work):
    work.write("pydp.yml", POLICY)
    done = work.pydp(
        "requests", "open", "erasure", "--received", "2026-11-02", "--subject", "person=7", "--key-file", "key"
    )
    assert (done.code, done.out) == (0, "R0001: erasure (Art. 17), due 2026-12-02\n")
    assert work.pydp("requests", "due", "--as-of", "2026-11-10").code == 0
    due = work.pydp("requests", "due", "--as-of", "2026-12-04")
    assert (due.code, "overdue by 2 days" in due.out) == (7, True)
    assert work.pydp("requests", "extend", "R0001").code == 2
    assert "2027-02-02" in work.pydp("requests", "extend", "R0001", "--because", "archives").err
    (one,) = json.loads(work.pydp("requests", "list", "--json").out)
    assert (one["due"], one["subject"].count("-")) == ("2027-02-02", 1)
    assert work.pydp("requests", "close", "R0001", "--outcome", "maybe").code == 2
    assert work.pydp("requests", "close", "R0001").code == 0
    assert work.pydp("requests", "list").out == ""
    assert "done" in work.pydp("requests", "list", "--closed").out


def test_a_date_that_is_none_is_told_by_the_option_that_has_it(work):
    work.write("pydp.yml", POLICY)
    for date in ("2026-02-30", "soon", "0001-01-01T00:00:00+23:00"):
        done = work.pydp("requests", "open", "erasure", "--received", date)
        assert (done.code, "--received: not a date" in done.err) == (2, True), done.err


def test_altered_requests_are_told(work):
    work.write("pydp.yml", POLICY)
    work.pydp("requests", "open", "erasure", "--received", "2026-11-02")
    assert work.pydp("requests", "verify").code == 0
    path = work.path(".pydp/requests/audit/000000.jsonl")
    path.write_text(path.read_text().replace("2026-11-02", "2027-11-02"))
    done = work.pydp("requests", "verify")
    assert (done.code, done.out.startswith("altered")) == (3, True)
    done = work.pydp("requests", "due", "--as-of", "2026-12-01")
    assert (done.code, "`pydp requests verify` tells what is wrong" in done.err) == (3, True)


@pytest.mark.parametrize(
    ("received", "due"), [("2026-01-15T23:30:00-08:00", "2026-02-16"), ("2026-01-16T00:30:00+09:00", "2026-02-16")]
)
def test_a_request_arrives_on_the_day_that_is_written(work, received, due):
    """Sunday, 15 February 2026, moves to the Monday; the 16th is one. In UTC each would be the other day."""
    work.write("pydp.yml", POLICY)
    work.pydp("requests", "open", "erasure", "--received", received)
    (one,) = json.loads(work.pydp("requests", "list", "--json").out)
    assert (one["received"], one["due"]) == (received[:10], due)


def test_dates_that_cannot_be_are_told(work):
    work.write("pydp.yml", POLICY)
    done = work.pydp("requests", "open", "erasure", "--received", "9998-01-01")
    assert (done.code, "after today" in done.err) == (0, True)
    done = work.pydp("requests", "open", "erasure", "--received", "9999-12-01")
    assert (done.code, "no deadline can be counted" in done.err) == (2, True)
    work.pydp("requests", "open", "erasure", "--received", "2020-01-02")
    assert "the first deadline was 2020-02-03" in work.pydp("requests", "extend", "R0002", "--because", "x").err
    assert "due today" in work.pydp("requests", "due", "--as-of", "2020-04-02").out
    assert "overdue by 1 day\n" in work.pydp("requests", "due", "--as-of", "2020-04-03").out


def test_a_request_needs_a_law(work):
    assert work.pydp("requests", "open", "erasure").code == 2
    assert work.pydp("requests", "open", "erasure", "--regime", "us-ca-ccpa").code == 0


def test_the_record_of_processing_says_what_the_policy_says(work):
    work.write("pydp.yml", POLICY)
    (row,) = csv.DictReader(io.StringIO(work.pydp("policy", "ropa").out))
    assert row["controller"] == "Acme | Co"
    assert row["legal basis"] == "contract"
    assert row["people"] == "customers"
    assert row["kept for"] == "P3Y from born"
    assert row["recipients"] == "Parcel Ltd"
    assert "1 of 1 columns encrypted" in row["security"]
    page = work.pydp("policy", "ropa", "--format", "markdown").out
    assert "## people: To serve you" in page
    assert "| controller | Acme \\| Co |" in page
    assert work.pydp("policy", "ropa", "--format", "pdf").code == 2


def test_what_the_policy_does_not_say_is_shown(work):
    (row,) = csv.DictReader(io.StringIO(work.pydp("policy", "ropa").out))
    assert row["legal basis"] == "(not said)"
