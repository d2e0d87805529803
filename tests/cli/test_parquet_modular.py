"""`pydp encrypt --parquet-modular` and back, as a user runs them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

UNLOCK = ("--keyring", "ring", "--key-file", "key", "--parquet-modular")
TABLE = pa.table({"id": [1, 2, 3], "name": ["Anna", None, "Bo"]})


@pytest.fixture
def people(work):
    pq.write_table(TABLE, work.path("people.parquet"))
    return work


@pytest.mark.parametrize("columns", [(), ("--columns", "name")])
def test_a_parquet_file_is_encrypted_and_comes_back(people, columns):
    made = people.pydp("encrypt", "people.parquet", "-o", "sealed.parquet", *columns, *UNLOCK)
    read = people.pydp("decrypt", "sealed.parquet", "-o", "clear.parquet", *UNLOCK)

    assert (made.code, read.code) == (0, 0)
    assert b"Anna" not in people.path("sealed.parquet").read_bytes()
    assert pq.read_table(people.path("clear.parquet")).equals(TABLE)


def test_another_keyring_is_exit_3_and_nothing_is_published(people):
    people.pydp("encrypt", "people.parquet", "-o", "sealed.parquet", *UNLOCK)
    people.pydp("keys", "init", "--keyring", "ring2", "--key-file", "key2", "-q")

    other = ("--keyring", "ring2", "--key-file", "key2", "--parquet-modular")
    result = people.pydp("decrypt", "sealed.parquet", "-o", "clear.parquet", *other)

    assert result.code == 3
    assert "not in the keyring" in result.err
    assert not people.path("clear.parquet").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("encrypt", "people.parquet"),
        ("encrypt", "-", "-o", "sealed.parquet"),
        ("encrypt", "people.csv", "-o", "sealed.parquet"),
        ("encrypt", "people.parquet", "-o", "sealed.parquet", "--columns", "nam"),
        ("encrypt", "people.parquet", "-o", "sealed.parquet", "--context", "a"),
        ("encrypt", "people.parquet", "-o", "sealed.parquet", "--whole-file"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(people, arguments):
    result = people.pydp(*arguments, *UNLOCK)

    assert result.code == 2
    assert not people.path("sealed.parquet").exists()
    assert people.left_over() == []
