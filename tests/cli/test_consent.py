"""`pydp consent`, and `pydp anonymize --purpose`, as a user runs them."""

import json

import pytest

POLICY = """version: 1
keyring: ring
identities:
  person: {}
  email: {normalize: [strip, casefold], shared: [info@example.com]}
purposes:
  marketing: {basis: consent}
  service: {basis: contract}
datasets:
  people:
    path: people.csv
    identifiers: {id: person, email: email}
    purposes: [marketing]
    other_columns: drop
    columns: {id: keep, email: keep}
"""
KEY = ("--key-file", "key")


@pytest.fixture
def shop(work):
    work.write("pydp.yml", POLICY)
    return work


def test_consent_is_given_checked_and_withdrawn(shop):
    subject = ("--subject", "email=ANNA@example.com", "--purpose", "marketing", *KEY)
    assert shop.pydp("consent", "check", *subject).code == 3
    assert shop.pydp("consent", "record", *subject, "--notice", "v3", "--at", "2026-01-01").code == 0
    assert shop.pydp("consent", "check", *subject).code == 0
    assert json.loads(shop.pydp("consent", "check", *subject, "--json").out)["since"].startswith("2026-01-01")
    assert shop.pydp("consent", "withdraw", *subject).code == 0
    done = shop.pydp("consent", "check", *subject)
    assert (done.code, "withdrawn" in done.err) == (3, True)
    assert shop.pydp("consent", "check", *subject, "--as-of", "2026-02-01").code == 0
    assert shop.pydp("consent", "verify", *KEY).code == 0


def test_a_mailing_goes_to_those_who_agree(shop):
    shop.write("yes.csv", "email,at\nanna@example.com,2026-01-01\nc.d@other.example,2026-01-01\n")
    shop.write("no.csv", "person\n3\n")
    assert shop.pydp("consent", "import", "yes.csv", "--purpose", "marketing", *KEY).code == 0
    done = shop.pydp("consent", "import", "no.csv", "--purpose", "marketing", "--status", "opted-out", *KEY)
    assert done.code == 0, done.err
    done = shop.pydp("anonymize", "--purpose", "marketing", "-o", "out.csv", *KEY)
    assert done.code == 0, done.err
    assert shop.read("out.csv") == "id,email\n1,anna@example.com\n"
    assert "2 left out (no live consent)" in done.err
    assert shop.pydp("anonymize", "--purpose", "service", "-o", "x.csv", *KEY).code == 2
    assert "agree now" in shop.pydp("consent", "stats").out
    row = json.loads(shop.pydp("consent", "stats", "--json").out)[0]
    assert (row["identifiers"], row["agree now"], row["said no"]) == (3, 2, 1)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("email,at\na@x.org,yesterday\n", "in.csv:2"),
        ("email,at\na@x.org,2026-01-01\n,2026-01-01\n", "in.csv:3"),
        ("email,status\na@x.org,maybe\n", "in.csv:2"),
        ("email,purpose\na@x.org,fun\n", "in.csv:2"),
        ("phone\n1\n", "in.csv:1"),
        ("status\ngiven\n", "in.csv:1"),
        ("", "in.csv:1"),
        ("email,email\na@x.org,b@x.org\n", "in.csv:1"),
        ("email,at\na@x.org\n", "in.csv:2"),
        ('email,status\na@x.org,given\n\n"b\n",given\nc@x.org,\n', "in.csv:6"),
        ("email,at,until\na@x.org,2026-01-01,2025-01-01\n", "in.csv:2"),
        ('email\n"a@x.org', "in.csv:2"),
    ],
)
def test_a_file_that_cannot_be_read_records_nothing_and_tells_the_line(shop, content, place):
    shop.write("in.csv", content)
    done = shop.pydp("consent", "import", "in.csv", "--purpose", "marketing", *KEY)
    assert (done.code, place in done.err) == (2, True)
    assert not shop.path(".pydp/consent").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["record", "--subject", "email=a@x.org", "--purpose", "fun"],
        ["record", "--subject", "email=info@example.com", "--purpose", "marketing"],
        ["record", "--purpose", "marketing"],
        ["record", "--subject", "person=1", "--purpose", "marketing", "--at", "2026-02-01", "--until", "2026-01-01"],
    ],
)
def test_what_makes_no_sense_is_refused(shop, arguments):
    assert shop.pydp("consent", *arguments, *KEY).code == 2


def test_altered_events_are_told_and_decide_nothing(shop):
    shop.pydp("consent", "record", "--subject", "person=1", "--purpose", "marketing", "--refused", *KEY)
    path = shop.path(".pydp/consent/audit/000000.jsonl")
    path.write_text(path.read_text().replace("refused", "given"))
    done = shop.pydp("consent", "verify", *KEY)
    assert (done.code, done.out.startswith("altered")) == (3, True)
    done = shop.pydp("consent", "check", "--subject", "person=1", "--purpose", "marketing", *KEY)
    assert (done.code, "the consent events were tampered with" in done.err) == (3, True)


def test_a_writer_who_died_keeps_nobody_from_reading(shop):
    about = ["--subject", "person=1", "--purpose", "marketing", *KEY]
    shop.pydp("consent", "record", *about)
    path = shop.path(".pydp/consent/audit/000000.jsonl")
    path.write_text(path.read_text() + '{"details":{"at":"2026')
    assert shop.pydp("consent", "check", *about).code == 0


def test_a_purpose_needs_a_policy(shop):
    assert shop.pydp("anonymize", "people.csv", "--keep", "id", "--purpose", "marketing").code == 2
