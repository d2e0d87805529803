"""`pydp keys usage`, and `destroy` with its proof, as a user runs them."""

import json

import pytest

from tests.cli.conftest import PEOPLE

KEY = ("--key-file", "key")
POLICY = """version: 1
keyring: ring
datasets:
  people:
    path: people.csv
    columns:
      id: keep
      name: {encrypt: {mode: deterministic}}
      email: {encrypt: true}
      born: keep
      zip: keep
      note: keep
"""


@pytest.fixture
def sealed(work):
    work.write("pydp.yml", POLICY)
    result = work.pydp("encrypt", "--in-place", *KEY)
    assert result.code == 0, result.err
    return work


def used(work, *arguments):
    result = work.pydp("keys", "usage", "--json", *arguments, *KEY)
    assert result.code == 0, result.err
    return {key["id"]: (key["files"], key["columns"], key["cells"]) for key in json.loads(result.out)["keys"]}


def first_cell_key(work):
    keys = json.loads(work.pydp("keys", "list", "--json", *KEY).out)
    return next(key["id"] for key in keys if key["key"] == "cell")


def test_files_columns_and_cells_are_counted_for_each_version(sealed):
    old = first_cell_key(sealed)
    sealed.pydp("keys", "new-version", "cell", *KEY)
    counted = used(sealed)
    assert counted.pop(old) == (1, 2, 5)
    assert set(counted.values()) == {(0, 0, 0)}
    assert used(sealed, "people.csv")[old] == (1, 2, 5)
    table = sealed.pydp("keys", "usage", *KEY).out.splitlines()
    assert table[0].split() == ["key", "version", "id", "state", "files", "columns", "cells"]


def test_a_key_that_is_needed_is_not_destroyed(sealed):
    old = first_cell_key(sealed)
    sealed.pydp("keys", "new-version", "cell", *KEY)
    before = sealed.path("ring").read_bytes()
    refused = sealed.pydp("keys", "destroy", old, *KEY)
    assert (refused.code, "5 cells in 1 file are still under" in refused.err) == (3, True), refused.err
    assert sealed.path("ring").read_bytes() == before


def test_a_key_that_nothing_needs_is_destroyed_with_a_proof(sealed):
    old = first_cell_key(sealed)
    sealed.pydp("keys", "new-version", "cell", *KEY)
    sealed.write("people.csv", PEOPLE)
    sealed.pydp("encrypt", "--in-place", *KEY)
    gone = sealed.pydp("keys", "destroy", old, "--json", *KEY)
    assert gone.code == 0, gone.err
    (shown,) = json.loads(sealed.pydp("keys", "show", old, "--json", *KEY).out)
    assert shown["state"] == "destroyed"
    assert len(shown["proof"]) == 64
    assert shown["proof"] == json.loads(gone.out)["proof"]


def test_more_paths_than_the_policys_can_be_asked_for(sealed):
    old = first_cell_key(sealed)
    sealed.path("people.csv").rename(sealed.path("archive.csv"))
    sealed.pydp("keys", "new-version", "cell", *KEY)
    sealed.write("people.csv", PEOPLE)
    refused = sealed.pydp("keys", "destroy", old, "archive.csv", *KEY)
    assert (refused.code, "archive.csv" in refused.err) == (3, True)


def test_the_primary_version_and_keys_that_do_not_show_are_not_destroyed(work):
    work.write("pydp.yml", POLICY)
    primary = first_cell_key(work)
    assert work.pydp("keys", "destroy", primary, *KEY).code == 2
    keys = json.loads(work.pydp("keys", "list", "--json", *KEY).out)
    pseudonym = next(key["id"] for key in keys if key["key"] == "pseudonym")
    work.pydp("keys", "new-version", "pseudonym", *KEY)
    refused = work.pydp("keys", "destroy", pseudonym, *KEY)
    assert (refused.code, "nothing in the data tells" in refused.err) == (3, True)


def test_a_file_that_cannot_be_looked_through_proves_nothing(sealed):
    old = first_cell_key(sealed)
    sealed.pydp("keys", "new-version", "cell", *KEY)
    sealed.write("people.csv", "id,name,email,born,zip,note\n1\n")
    counted = sealed.pydp("keys", "usage", *KEY)
    assert (counted.code, "could not be looked through" in counted.err) == (3, True)
    assert sealed.pydp("keys", "destroy", old, *KEY).code == 3


def test_without_a_policy_nothing_is_proven(sealed):
    sealed.path("pydp.yml").unlink()
    result = sealed.pydp("keys", "destroy", "1a2b3c4d", "--keyring", "ring", *KEY)
    assert result.code == 2
    assert "no policy" in result.err
