"""`pydp lookup` says what to search an encrypted column for."""

import csv
import io
import json
import sys

import pytest

POLICY = """version: 1
keyring: ring
identities:
  email: {normalize: [strip, casefold]}
datasets:
  people:
    path: people.csv
    other_columns: keep
    identifiers: {email: email}
    columns:
      email: {encrypt: {blind_index: {bits: 24}}}
      name: {encrypt: {mode: deterministic}}
      zip: {encrypt: {mode: deterministic, pad: 32, nulls: encrypt}}
      note: {encrypt: true}
      born: {type: date, encrypt: {mode: deterministic, domain: day}}
"""


@pytest.fixture
def sealed(work):
    work.write("pydp.yml", POLICY)
    assert work.pydp("encrypt", "-o", "out.csv", "--key-file", "key", "-q").code == 0
    return work


def look(work, monkeypatch, column, value, *more):
    monkeypatch.setattr(sys, "stdin", io.StringIO(value))
    return work.pydp("lookup", "--column", column, "--value", "-", "--key-file", "key", *more)


def rows(work):
    return list(csv.DictReader(io.StringIO(work.read("out.csv"))))


@pytest.mark.parametrize(
    ("column", "value", "held_in", "row"),
    [
        ("email", " Anna@Example.com\n", "email_bidx", 0),
        ("email", "bo@example.com", "email_bidx", 1),
        ("name", "Anna Berg\n", "name", 0),
        ("zip", "80331", "zip", 1),
        ("born", "1931-07-01T00:00", "born", 2),
    ],
)
def test_the_probe_is_what_the_column_holds(sealed, monkeypatch, column, value, held_in, row):
    result = look(sealed, monkeypatch, column, value)
    assert result.code == 0, result.err
    found = [number for number, one in enumerate(rows(sealed)) if one[held_in] == result.out.strip()]
    assert found == [row]


def test_a_line_for_each_version_of_the_key_the_newest_first(sealed, monkeypatch):
    old = look(sealed, monkeypatch, "email", "anna@example.com").out
    assert sealed.pydp("keys", "new-version", "cell", "--keyring", "ring", "--key-file", "key").code == 0
    new = look(sealed, monkeypatch, "email", "anna@example.com").out
    assert new.splitlines()[1:] == old.splitlines()
    assert new.splitlines()[0] != old.strip()
    told = json.loads(look(sealed, monkeypatch, "email", "anna@example.com", "--json").out)
    assert [one["text"] for one in told] == new.splitlines()
    assert {one["column"] for one in told} == {"email_bidx"}


@pytest.mark.parametrize(("column", "error"), [("note", "cannot be searched"), ("id", "no column"), ("nme", "name")])
def test_what_cannot_be_searched_is_said(sealed, monkeypatch, column, error):
    result = look(sealed, monkeypatch, column, "x")
    assert result.code == 2
    assert error in result.err


def test_the_value_is_not_taken_from_the_command_line(sealed):
    result = sealed.pydp("lookup", "--column", "email", "--value", "anna@example.com", "--key-file", "key")
    assert result.code == 2
    assert "anna" not in result.err
