"""Parquet Modular Encryption: pyarrow and DuckDB read it with the key, and nobody without."""

import base64
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.datasets.parquet_modular import KeyWrapping, Modular, decrypt_modular, encrypt_modular
from pydp_cli.errors import InputError, PydpError, Tampered, UsageError, WrongKey

TABLE = pa.table(
    {
        "id": pa.array(range(5000), pa.int32()),
        "name": [f"person number {row}" if row % 7 else None for row in range(5000)],
        "home": [{"zip": f"secret zip {row}"} for row in range(5000)],
        "gone": pa.nulls(5000, pa.string()),
    }
).replace_schema_metadata({"by": "a test"})


def wrap(key):
    return base64.b64encode(key[::-1])


def unwrap(key_id, wrapped):
    if key_id != "pydp-01020304":
        raise WrongKey("another key")
    return base64.b64decode(wrapped)[::-1]


@pytest.fixture
def modular():
    return Modular(KeyWrapping("pydp-01020304", wrap, unwrap))


@pytest.fixture
def plain(tmp_path):
    pq.write_table(TABLE, tmp_path / "plain.parquet", row_group_size=2000, compression="zstd")
    return str(tmp_path / "plain.parquet")


@pytest.fixture(params=[(), ("name", "home")], ids=["uniform", "columns"])
def sealed(request, tmp_path, plain, modular):
    with (tmp_path / "sealed.parquet").open("wb") as sink:
        encrypt_modular(plain, sink, modular, "plain", request.param)
    return tmp_path / "sealed.parquet"


def test_comes_back_as_it_was(sealed, modular):
    sink = io.BytesIO()

    assert decrypt_modular(str(sealed), sink, modular, "sealed") == 5000

    back = pq.ParquetFile(io.BytesIO(sink.getvalue()))
    assert back.read().equals(TABLE, check_metadata=True)
    assert back.metadata.num_row_groups == 3
    assert back.metadata.row_group(0).column(0).compression == "ZSTD"


def test_pyarrow_reads_it_with_a_client_and_a_column_alone(sealed, modular):
    read = pq.read_table(sealed, columns=["name"], decryption_properties=modular.decryption_properties())

    assert read.column("name").equals(TABLE.column("name"))


def test_nobody_reads_it_without_the_key(sealed):
    raw = sealed.read_bytes()

    assert b"secret zip" not in raw
    assert b"person number" not in raw
    with pytest.raises(OSError, match="encrypted"):
        pq.read_table(sealed)


def test_another_key_is_told(sealed):
    other = Modular(KeyWrapping("pydp-00000000", wrap, lambda _, wrapped: unwrap("other", wrapped)))

    with pytest.raises(WrongKey, match="another key"):
        decrypt_modular(str(sealed), io.BytesIO(), other, "sealed")


def test_damage_is_refused(sealed, modular):
    raw = sealed.read_bytes()

    for position in [*range(4, len(raw), len(raw) // 40), len(raw) - 6, len(raw) - 100]:
        altered = bytearray(raw)
        altered[position] ^= 1
        sealed.write_bytes(altered)
        try:
            decrypt_modular(str(sealed), sink := io.BytesIO(), modular, "sealed")
        except (Tampered, WrongKey):
            continue
        # bytes of columns that are in clear: Parquet itself does not protect them
        assert b"secret zip" not in raw
        assert pq.read_table(io.BytesIO(sink.getvalue()), columns=["name", "home"]).equals(
            TABLE.select(["name", "home"])
        )
    for length in (0, 3, len(raw) // 2, len(raw) - 1):
        sealed.write_bytes(raw[:length])
        with pytest.raises(PydpError):
            decrypt_modular(str(sealed), io.BytesIO(), modular, "sealed")


def test_duckdb_reads_a_uniform_file(plain, modular, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "uniform.parquet"
    with path.open("wb") as sink:
        encrypt_modular(plain, sink, modular, "plain")
    key = base64.b64encode(modular.footer_key(path)).decode()

    with duckdb.connect() as connection:
        connection.execute(f"PRAGMA add_parquet_key('k', '{key}')")
        found = connection.execute(
            f"select count(*), max(id), count(name) from read_parquet('{path}', encryption_config={{footer_key: 'k'}})"
        ).fetchone()

    assert found == (5000, 4999, 5000 - TABLE.column("name").null_count)


def test_a_column_that_is_not_there_is_told(plain, modular):
    with pytest.raises(UsageError, match="nam"):
        encrypt_modular(plain, io.BytesIO(), modular, "plain", ["nam"])


def test_what_is_no_parquet_is_told(tmp_path, modular):
    (tmp_path / "text").write_text("a,b\n1,2\n")

    with pytest.raises(InputError):
        encrypt_modular(str(tmp_path / "text"), io.BytesIO(), modular, "text")


def test_a_file_without_rows_comes_back(tmp_path, modular):
    pq.write_table(TABLE.slice(0, 0), tmp_path / "empty")
    sink, back = io.BytesIO(), io.BytesIO()

    encrypt_modular(str(tmp_path / "empty"), sink, modular, "empty")
    decrypt_modular(io.BytesIO(sink.getvalue()), back, modular, "empty")

    assert pq.read_table(io.BytesIO(back.getvalue())).equals(TABLE.slice(0, 0))
