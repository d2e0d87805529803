"""Inputs can be objects in a store; here a small server that speaks S3's protocol."""

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

PEOPLE = b"id,name\n007,Anna\n,Bo\n"


@pytest.fixture(scope="module")
def address():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def store(address, monkeypatch, tmp_path):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_EC2_METADATA_DISABLED": "1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    client.put_object(Bucket="lake", Key="people/year=2025/a.csv", Body=PEOPLE)
    client.put_object(Bucket="lake", Key="people/year=2026/b.csv", Body=PEOPLE)
    pq.write_table(pa.table({"id": ["1"], "name": ["Cy"]}), tmp_path / "c.parquet")
    client.put_object(Bucket="lake", Key="c.parquet", Body=(tmp_path / "c.parquet").read_bytes())
    return lambda key: f"s3://lake/{key}?endpoint_override={address}&scheme=http&region=us-east-1"


def test_an_object_is_read_as_a_file_is(work, store):
    done = work.pydp("anonymize", store("people/year=2025/a.csv"), "-o", "-", "--set", "name=mask", "--keep", "id")
    assert (done.code, done.out) == (0, "id,name\n007,****\n,**\n")
    done = work.pydp("anonymize", store("c.parquet"), "-o", "c.csv", "--keep", "id,name")
    assert (done.code, work.read("c.csv")) == (0, "id,name\n1,Cy\n")


def test_a_folder_of_objects_keeps_its_partitions(work, store):
    done = work.pydp("anonymize", store("people"), "-o", "out/", "--keep", "id,name")
    assert done.code == 0
    assert sorted(str(path.relative_to(work.folder)) for path in work.folder.glob("out/*/*")) == [
        "out/year=2025/a.csv",
        "out/year=2026/b.csv",
    ]


def test_what_is_not_there_is_named_without_the_query(work, store):
    done = work.pydp("anonymize", store("none.csv"), "-o", "-", "--keep", "id,name")
    assert (done.code, done.out) == (2, "")
    assert "error: s3://lake/none.csv: no such object" in done.err
    done = work.pydp("anonymize", "s3://user:hush@lake/none.csv?scheme=ftp", "-o", "-", "--keep", "id,name")
    assert done.code == 2
    assert "hush" not in done.err
