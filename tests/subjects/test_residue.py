"""What is left of a person beside the rows is found, each kind planted by itself, and never shown."""

import io
import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.datasets.parquet_dictionaries import dictionaries
from pydp_cli.datasets.parquet_footer import footer_bytes
from pydp_cli.datasets.thrift_compact import Reader
from pydp_cli.errors import InputError
from pydp_cli.subjects.bloom_filters import blocks_of, digests_of, has, stale
from pydp_cli.subjects.holds import HeldRows
from pydp_cli.subjects.needles import Needles
from pydp_cli.subjects.residue import scan_residue
from pydp_cli.subjects.subject import parse_subjects

ZOE = "zoe.quist@example.com"
OTHERS = pa.table({"id": [2, 3], "email": ["bo@example.com", "cy@example.com"], "name": ["Bo", "Cy"]})


def scan(company, *, changed=(), held=None, certain=True, whole=False, who=("customer_id=471100", f"email={ZOE}")):
    catalogue = company.catalogue()
    found = scan_residue(catalogue, [parse_subjects(who, catalogue)], held or HeldRows(), changed)
    for one in found:
        assert "zoe" not in one.what
        assert "471100" not in one.what
        assert ZOE not in one.path.lower()
    assert all(one.certain for one in found) == certain
    return [(one.path, one.what if whole else one.what.split('"')[0].strip(), one.dataset) for one in found]


def test_nothing_is_found_where_nothing_is(company):
    assert scan(company) == []


def test_a_folder_that_cannot_be_listed_is_named(company, monkeypatch):
    (company.folder / "data/customers/old").mkdir()
    real = os.scandir

    def scandir(folder="."):
        if str(folder).endswith("old"):
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    catalogue = company.catalogue()
    found = scan_residue(catalogue, [parse_subjects([f"email={ZOE}"], catalogue)], HeldRows())
    assert [(one.path, one.what, one.certain) for one in found] == [
        ("data/customers/old", "the folder cannot be listed", False)
    ]


def test_a_value_of_the_rows_is_not_residue(company):
    assert scan(company, who=("customer_id=1", "email=anna@example.com")) == []


@pytest.mark.parametrize("name", ["pandas", "note", "ARROW:schema"])
def test_metadata(company, name):
    if name == "ARROW:schema":
        schema = OTHERS.schema.with_metadata({}).set(2, pa.field("name", pa.string(), metadata={"was": ZOE}))
        company.write("data/customers/a.parquet", OTHERS.cast(schema))
        assert scan(company) == [("data/customers/a.parquet", "the metadata", "customers")]
    else:
        company.write("data/customers/a.parquet", OTHERS.replace_schema_metadata({name: f'{{"made for": "{ZOE}"}}'}))
        found = scan(company)
        assert ("data/customers/a.parquet", "the metadata", "customers") in found


@pytest.mark.parametrize("column", ["email", "name"])
@pytest.mark.parametrize("arrow_knows", [True, False])
def test_dictionaries(company, column, arrow_knows):
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["bo", "cy", f"by {ZOE}", ZOE]))
    table = OTHERS.set_column(OTHERS.schema.get_field_index(column), column, values)
    pq.write_table(table, company.folder / "data/customers/a.parquet", store_schema=arrow_knows)
    assert scan(company) == [("data/customers/a.parquet", "the dictionary of column", "customers")]


def test_statistics(company):
    """A file whose statistics still tell who was there: as a tool would leave it that drops rows and not statistics."""
    was = OTHERS.set_column(1, "email", pa.array(["bo@example.com", ZOE]))
    out = io.BytesIO()
    pq.write_table(was, out, compression="none", use_dictionary=False)
    data = out.getvalue()
    at = data.index(len(ZOE).to_bytes(4, "little") + ZOE.encode()) + 4  # in the page, and not in its header
    company.write("data/customers/a.parquet", OTHERS)
    path = company.folder / "data/customers/a.parquet"
    path.write_bytes(data[:at] + b"aaa.quist@example.com" + data[at + len(ZOE) :])
    assert scan(company) == [("data/customers/a.parquet", "the statistics of column", "customers")]


@pytest.mark.parametrize(("column", "was"), [("email", ZOE), ("id", 471100)])
def test_page_indexes(company, column, was):
    """As a tool would leave it that changes pages and statistics, and copies the page index."""
    path = company.folder / "data/customers/a.parquet"
    there = OTHERS.set_column(OTHERS.schema.get_field_index(column), column, pa.array([OTHERS[column][0].as_py(), was]))
    pq.write_table(there, path, compression="none", use_dictionary=False, write_page_index=True)
    data = path.read_bytes()
    chunk = Reader(footer_bytes(io.BytesIO(data))).struct()[4][0][1][OTHERS.schema.get_field_index(column)]
    start, end = chunk[6], chunk[6] + chunk[7]
    old = was.encode() if column == "email" else was.to_bytes(8, "little")
    new = bytes([old[0] ^ 3]) + old[1:]
    assert old in data[start:end]
    path.write_bytes(data[:start].replace(old, new) + data[start:end] + data[end:].replace(old, new))
    assert scan(company) == [("data/customers/a.parquet", "the statistics of column", "customers")]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**64 - 1, 1], pa.uint64()),
        pa.array([10**15 + 1, -(2**63) + 1], pa.timestamp("ns")),
        pa.array([2**62, -(2**62)], pa.timestamp("us")),
        pa.array([2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32()),
        pa.array(["äöü" * 30, "x" * 90]).cast(pa.binary()),
    ],
    ids=lambda values: str(values.type),
)
def test_statistics_that_python_cannot_hold_stop_nothing(company, values):
    company.write("data/customers/a.parquet", OTHERS.append_column("more", values))
    assert scan(company) == []


STRANGERS = pa.table({"id": range(100, 400), "email": [f"p{n}@example.org" for n in range(300)], "name": ["X"] * 300})
HERS = pa.table({"id": [471100], "email": [ZOE], "name": ["Zoe"]})


def with_filter_of(company, told, rows=STRANGERS):
    """Write a file with the rows, and the bloom filters of what it is told, which are of the same size."""
    path = company.folder / "data/customers/a.parquet"
    filters = {name: {"ndv": 400, "fpp": 0.01} for name in ("id", "email")}
    parts = []
    for table in (told, rows):
        pq.write_table(table, path, bloom_filter_options=filters)
        group = pq.read_metadata(path).row_group(0)
        places = [(group.column(at).bloom_filter_offset, group.column(at).bloom_filter_length) for at in range(2)]
        parts.append((bytearray(path.read_bytes()), places))
    (old, was), (new, now) = parts
    for (start, size), (at, length) in zip(was, now, strict=True):
        assert size == length
        new[at : at + length] = old[start : start + size]
    path.write_bytes(new)


def test_bloom_filters_that_tell_of_the_person_only(company):
    """As a tool would leave them that drops rows, and copies the filters."""
    with_filter_of(company, pa.concat_tables([STRANGERS, HERS]))
    assert scan(company, whole=True) == [
        ("data/customers/a.parquet", f'the bloom filter of column "{column}" holds an identifier', "customers")
        for column in ("id", "email")
    ]
    with_filter_of(company, STRANGERS)
    assert scan(company) == []


def test_bloom_filters_that_tell_of_others_who_went_are_not_certain(company):
    with_filter_of(company, pa.concat_tables([STRANGERS, HERS]), STRANGERS.slice(20))
    found = scan(company, certain=False, whole=True)
    assert [(path, dataset) for path, _, dataset in found] == [("data/customers/a.parquet", "customers")] * 2
    assert "may hold an identifier: it says so of " in found[0][1]
    assert float(found[0][1].split("says so of ")[1].split("%")[0]) < 5


@given(st.integers(0, 2**62))
def test_accidents_of_bloom_filters_are_none(tmp_path_factory, seed):
    """With filters that say yes to a third of strangers, none of those whom no row explains is told."""
    ids = np.random.default_rng(seed).integers(0, 2**62, 300)
    column = pa.chunked_array([pa.array(ids)])
    out = io.BytesIO()
    pq.write_table(pa.table({"c": column}), out, bloom_filter_options={"c": {"ndv": 60, "fpp": 0.05}})
    data = out.getvalue()
    chunk = pq.ParquetFile(out).metadata.row_group(0).column(0)
    blocks = blocks_of(chunk, lambda at, length: data[at : at + length])
    strangers = digests_of([int(number).to_bytes(8, "little") for number in range(100)])
    assert has(blocks, digests_of([int(number).to_bytes(8, "little") for number in ids])).all()
    assert has(blocks, strangers).any()
    assert stale(blocks, strangers, column) is None


def test_a_damaged_bloom_filter_is_told_and_stops_nothing(company):
    with_filter_of(company, STRANGERS)
    path = company.folder / "data/customers/a.parquet"
    data = bytearray(path.read_bytes())
    offset = pq.read_metadata(path).row_group(0).column(0).bloom_filter_offset
    data[offset : offset + 4] = b"\xff" * 4
    path.write_bytes(data)
    assert scan(company, certain=False) == [("data/customers/a.parquet", "the bloom filter of column", "customers")]


@pytest.mark.parametrize("where", ["a column's name", "the name of metadata", "a nested column", "metadata of a copy"])
def test_other_places_of_a_parquet_file(company, where):
    name = "old.parquet~" if where == "metadata of a copy" else "a.parquet"
    tables = {
        "a column's name": OTHERS.append_column(f"calls of {ZOE}", pa.array([1, 2])),
        "the name of metadata": OTHERS.replace_schema_metadata({ZOE: "x"}),
        "metadata of a copy": OTHERS.replace_schema_metadata({"for": ZOE}),
        "a nested column": OTHERS,
    }
    pq.write_table(tables[where], company.folder / "data/customers" / name, store_schema="metadata" in where)
    if where == "a nested column":
        company.write("data/customers/old.pq.parquet~", pa.table({"x": [[{"who": f"to {ZOE}"}]]}))
    assert scan(company)


def test_a_file_that_cannot_be_read_is_told_and_stops_nothing(company):
    company.write("data/orders/old.parquet", "PAR1 and nothing of the kind")
    assert scan(company, certain=False) == [
        ("data/orders/old.parquet", "a file that no dataset claims cannot be read", "")
    ]


def test_names_of_files_and_folders_are_told_without_what_they_hold(company):
    company.write(f"data/orders/for-{ZOE.upper()}.csv", "id,customer_id,email,total\n")
    company.change_policy("path: data/customers/*.parquet", "path: data/customers/*/*.parquet")
    company.write("data/customers/id=471100/x.parquet", OTHERS.drop_columns(["id"]))
    company.write("data/customers/id=471100/_SUCCESS", "")
    company.write("data/customers/email=Zoe.Quist%40example.com/_SUCCESS", "")
    company.write(f"data/customers/of {ZOE.replace('@', '%40')}/_SUCCESS", "")
    (company.folder / "data/customers/part=1/id=471100").mkdir(parents=True)
    company.write("data/customers/id=4711001/email=zoe%40example.com/_SUCCESS", "")
    assert sorted(scan(company)) == [
        ("data/customers/email=…/_SUCCESS", "the name holds an identifier", ""),
        ("data/customers/id=…/_SUCCESS", "the name holds an identifier", ""),
        ("data/customers/id=…/x.parquet", "the name holds an identifier", "customers"),
        ("data/customers/of …/_SUCCESS", "the name holds an identifier", ""),
        ("data/customers/part=1/id=…", "the name holds an identifier", ""),
        ("data/orders/for-….csv", "the name holds an identifier", "orders"),
    ]


@pytest.mark.parametrize(
    "name", ["all.csv~", "all.csv.bak", ".all.csv.swp", "old.csv", "notes.txt", "all.csv.gz", "x.parquet"]
)
def test_copies_and_files_that_no_dataset_claims(company, name):
    company.change_policy("path: data/orders/*.csv", "path: data/orders/all.csv")
    content = f"id,customer_id,email,total\no1,9,{ZOE.upper()},1\n"
    path = company.folder / "data/orders" / name
    if name.endswith(".gz"):
        import gzip

        path.write_bytes(gzip.compress(content.encode()))
    elif name.endswith(".parquet"):
        pq.write_table(pa.table({"whatever": [f"mail to {ZOE}, please"]}), path)
    else:
        path.write_text(content)
    [(found, what, _)] = scan(company)
    assert found == f"data/orders/{name}"
    assert what.endswith("holds an identifier")
    assert ("copy that a program left" in what) == name.endswith(("~", ".bak", ".swp"))


def test_copies_beside_what_a_link_leads_to(company):
    company.write("elsewhere/all.csv~", f"id,customer_id,email,total\no1,9,{ZOE},1\n")
    company.write("elsewhere/more.csv", "id,customer_id,email,total\no7,9,,1\n")
    (company.folder / "data/orders/more.csv").symlink_to("../../elsewhere/more.csv")
    assert [path for path, _, _ in scan(company)] == ["elsewhere/all.csv~"]


def test_a_short_identifier_is_found_in_the_columns_of_its_name_only(company):
    company.write("data/orders/old.csv~", "id,customer_id\no1,77\n")
    company.write("data/orders/prices.csv~", "what,price\nlamp,77\n")
    assert [path for path, _, _ in scan(company, who=("customer_id=77",))] == ["data/orders/old.csv~"]


def test_summaries_and_checksums_of_files_that_changed(company):
    company.write("data/customers/.a.parquet.crc", "crc")
    company.write("data/customers/_metadata", "x")
    assert scan(company) == []
    changed = [str(company.folder / "data/customers/a.parquet")]
    assert [(path.rsplit("/", 1)[-1], what[:14]) for path, what, _ in scan(company, changed=changed)] == [
        (".a.parquet.crc", "it is the chec"),
        ("_metadata", "it summarises "),
    ]


def test_free_text(company):
    company.change_policy(
        "{sender: keep, receiver: keep, text: keep}",
        "{sender: keep, receiver: keep, text: {prose: true, anonymize: keep}}",
    )
    company.write(
        "data/messages.csv", f"sender,receiver,text\nbo@example.com,cy@example.com,ask {ZOE}.\nbo@example.com,,no\n"
    )
    assert scan(company) == [("data/messages.csv", "1 texts in column", "messages")]
    assert scan(company, held=HeldRows(whole={"messages": ("H1",)})) == []


def test_exports_and_rows_that_were_set_aside(company):
    with zipfile.ZipFile(company.folder / "data/copy.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/orders.jsonl", f'{{"email": "{ZOE}"}}\n')
    company.write(".pydp/quarantine/orders-1/0000-all.csv", f"id,customer_id,email,total\no1,9,{ZOE},1\n")
    assert sorted(path for path, _, _ in scan(company)) == [
        ".pydp/quarantine/orders-1/0000-all.csv",
        "data/copy.zip",
    ]


@given(
    st.lists(st.text(max_size=12), max_size=20), st.sampled_from(["none", "snappy", "zstd", "gzip", "brotli", "lz4"])
)
def test_dictionaries_are_read_as_they_were_written(values, codec):
    out = io.BytesIO()
    pq.write_table(
        pa.table({"t": pa.array(values, pa.string()), "n": list(range(len(values)))}), out, compression=codec
    )
    out.seek(0)
    found = {one.column: one.values for one in dictionaries(out, "f")}
    if values:
        assert sorted(value.decode() for value in found["t"].to_pylist()) == sorted(set(values))
        assert found["n"].to_pylist() == list(range(len(values)))


def test_a_damaged_dictionary_is_an_error():
    out = io.BytesIO()
    pq.write_table(pa.table({"t": ["aaaa", "bbbb"]}), out, compression="none")
    data = bytearray(out.getvalue())
    at = data.index(b"aaaa")
    data[at - 4] = 255
    with pytest.raises(InputError, match="damaged"):
        list(dictionaries(io.BytesIO(data), "f"))


@pytest.mark.parametrize(
    ("text", "there"),
    [
        (f"ask {ZOE}.", True),
        (f"<{ZOE}>", True),
        (f"mailto:{ZOE}?x", True),
        (f"x{ZOE}", False),
        (f"{ZOE}.au", False),
        ("ZOE.QUIST@EXAMPLE.COM", True),
        ("nr. 471100, paid", True),
        ("4711001", False),
        ("Zoë O'Neil Quist", True),
        ("", False),
    ],
)
def test_needles_are_found_as_words(text, there):
    needles = Needles.of([ZOE, "471100", "Zoë O'Neil", "short"])
    assert needles.in_text(text) is there
    assert needles.in_column(pa.array([text, None])).to_pylist() == [there, False]
    assert needles.in_stream(io.BytesIO(text.encode())) is there
    assert needles.in_stream(io.BytesIO(b"-" * ((1 << 22) - 7) + b" " + text.encode())) is there
