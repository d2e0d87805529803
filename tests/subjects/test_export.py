import csv
import io
import json
import resource
import signal
import zipfile
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyrage
import pytest

from pydp_cli.audit.signing import signer_of
from pydp_cli.datasets.formats import open_source
from pydp_cli.errors import InputError, OutputError, Refused, TemporaryFailure, UsageError
from pydp_cli.subjects.bundle_verify import verify_bundle
from pydp_cli.subjects.export import ExportRequest, export_people, export_person
from pydp_cli.subjects.resolve import resolve
from pydp_cli.subjects.ropa import ropa_csv
from pydp_cli.subjects.subject import parse_subjects
from pydp_cli.subjects.values import csv_rows, json_lines
from tests.subjects.conftest import POLICY
from tests.subjects.test_resolve import treat

AS_OF = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)


def request(company, *given, keyring=True, **more):
    catalogue = company.catalogue()
    ring = company.keyring if keyring else None
    found = resolve(catalogue, [parse_subjects(given or ["customer_id=1"], catalogue)], keyring=ring)
    signer = None if ring is None else signer_of(ring, "export")
    return ExportRequest(catalogue, found, AS_OF, "1.0", keyring=ring, signer=signer, **more)


def export(company, *given, name="copy.zip", **more):
    path = company.folder / name
    made = export_person(request(company, *given, **more), 0, path)
    return path, made


def lines(path, name):
    with zipfile.ZipFile(path) as archive:
        return [json.loads(line) for line in archive.read(name).splitlines()]


def test_the_bundle_has_a_persons_rows_of_every_dataset(company):
    path, made = export(company)
    assert lines(path, "data/customers.jsonl") == [{"id": 1, "email": "Anna@Example.com", "name": "Anna"}]
    assert [row["id"] for row in lines(path, "data/orders.jsonl")] == ["o1", "o3", "o5"]
    assert [row["what"] for row in lines(path, "data/items.jsonl")] == ["lamp", "desk", "pen"]
    assert (made.rows, made.datasets) == (9, 4)
    assert path.stat().st_mode & 0o777 == 0o600


def test_other_people_in_shared_rows_are_redacted_and_counted(company):
    path, _ = export(company)
    assert lines(path, "data/messages.jsonl") == [
        {"sender": "anna@example.com", "receiver": None, "text": "hello"},
        {"sender": None, "receiver": "ANNA@example.com", "text": "fine"},
    ]
    with zipfile.ZipFile(path) as archive:
        omissions = json.loads(archive.read("omissions.json"))
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert [(one["column"], one["cells"]) for one in omissions] == [("receiver", 1), ("sender", 1)]
    assert b"bo@example.com" not in everything
    assert b"cy@example.com" not in everything


@pytest.mark.parametrize(
    ("treatment", "shown"),
    [
        ("keep", True),
        ("{anonymize: keep, category: pd:Note}", False),
        ("redact", False),
        ("{anonymize: keep, encrypt: true}", False),
        ("{purposes: [service]}", False),
        (None, False),
    ],
)
def test_a_mention_shows_only_columns_that_are_nobodys_by_the_policy(company, treatment, shown):
    said = "other_columns: keep\n    columns: {" + ("" if treatment is None else f"text: {treatment}, ")
    company.write(
        "pydp.yml",
        POLICY.replace("columns: {sender: keep, receiver: keep, text: keep}", f"{said}sender: keep, receiver: keep}}"),
    )
    path, _ = export(company)
    own, mention = lines(path, "data/messages.jsonl")
    assert (own["text"], mention["text"]) == ("hello", "fine" if shown else None)


def test_what_was_searched_without_a_find_is_named(company):
    path, _ = export(company, "customer_id=3")
    manifest = verify_bundle(path).manifest
    assert manifest["datasets"]["customers"] == {"files": 2, "searched": 2, "rows": 1}
    assert manifest["datasets"]["orders"] == {"files": 1, "searched": 1, "rows": 0}
    with zipfile.ZipFile(path) as archive:
        assert "data/orders.jsonl" not in archive.namelist()
        assert b"nothing about you was found" in archive.read("index.html")
        assert {"items", "messages"} == {one["dataset"] for one in json.loads(archive.read("omissions.json"))}


def test_nobody_found_is_a_bundle_that_says_so(company):
    path, made = export(company, "customer_id=999")
    assert made.rows == 0
    assert verify_bundle(path).manifest["datasets"]["orders"]["searched"] == 1


def test_how_long_a_column_is_kept_is_said(company):
    said = "total: {anonymize: keep, retention: {clock: id, keep: P1Y6M, then: 'null'}}"
    company.change_policy("      total: keep", f"      {said}")
    path, _ = export(company)
    with zipfile.ZipFile(path) as archive:
        orders = json.loads(archive.read("processing.json"))[1]
        page = archive.read("index.html").decode()
    assert orders["retention_of_columns"] == {"total": {"clock": ["id"], "keep": "P1Y6M", "then": "null"}}
    assert "total is kept for 1 year and 6 months." in page
    assert "total: P1Y6M from id" in ropa_csv(company.catalogue().policy)


def test_the_page_tells_what_the_person_agreed_to(company):
    said = {"purpose": "<news>", "status": "withdrawn", "at": "2026-01-02T03:04:05.000000Z"}
    path, _ = export(company, consent={0: [said]})
    with zipfile.ZipFile(path) as archive:
        page = archive.read("index.html").decode()
    assert "<td>&lt;news&gt;</td><td>took it back</td><td>2 January 2026, 03:04 UTC</td>" in page


def test_the_schema_tells_the_types_of_all_files(company):
    company.write("data/customers/c.parquet", pa.table({"id": ["1"], "email": ["anna@example.com"], "name": ["A"]}))
    path, _ = export(company)
    with zipfile.ZipFile(path) as archive:
        types = {one["name"]: one["type"] for one in json.loads(archive.read("data/customers.schema.json"))}
    assert types == {"id": "int64 or text", "email": "text", "name": "text"}


def test_what_folders_say_of_rows_is_part_of_them(company):
    company.write("data/logs/customer_id=1/x.parquet", pa.table({"page": ["a", "b"]}))
    text = "  logs:\n    path: data/logs\n    identifiers: {customer_id: customer_id}\n    other_columns: keep\n"
    company.change_policy("  items:\n", text + "  items:\n")
    path, _ = export(company)
    assert lines(path, "data/logs.jsonl") == [{"page": page, "customer_id": "1"} for page in "ab"]


def test_the_same_request_gives_the_same_bytes(company):
    assert export(company)[0].read_bytes() == export(company, name="other.zip")[0].read_bytes()


def test_processing_says_what_the_law_asks_for(company):
    path, _ = export(company)
    with zipfile.ZipFile(path) as archive:
        said = {one["dataset"]: one for one in json.loads(archive.read("processing.json"))}
        page = archive.read("index.html").decode()
    assert [purpose["basis"] for purpose in said["orders"]["purposes"]] == ["contract", "legal-obligation"]
    assert said["customers"]["categories"] == ["pd:EmailAddress", "pd:Name"]
    assert said["customers"]["recipients"] == ["Parcel Ltd"]
    assert "To serve you (contract)" in page
    assert "What it is: email address, name." in page
    assert '<a href="#d0">customers</a></td><td class="count">1 row</td>' in page


def test_the_page_has_no_script_and_shows_values_as_text(company):
    company.write(
        "data/customers/a.parquet",
        pa.table({"id": [1], "email": ["anna@example.com"], "name": ["<script>alert(1)</script>&"]}),
    )
    path, _ = export(company)
    with zipfile.ZipFile(path) as archive:
        page = archive.read("index.html").decode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd|' /C calc'!A0", "@SUM(A1)", "\tx", "\rx"])
def test_a_table_holds_no_formulas_and_json_is_exact(text):
    batch = pa.record_batch([pa.array([text, "plain", None])], ["a"])
    table = list(csv.reader(io.StringIO(csv_rows(batch, heading=True).decode(), newline="")))
    assert table == [["a"], [f"'{text}"], ["plain"], [""]]
    named = csv_rows(pa.record_batch([pa.array([1])], [text]), heading=True).decode()
    assert next(csv.reader(io.StringIO(named, newline=""))) == [f"'{text}"]
    assert json.loads(next(json_lines(batch))) == {"a": text}


@pytest.mark.parametrize("text", ["-5", "+49", "-1.50", "-1,234.5"])
def test_numbers_stay_numbers_in_a_table(text):
    assert csv_rows(pa.record_batch([pa.array([text])], ["a"]), heading=False).decode().strip().strip('"') == text


def test_every_type_is_written():
    columns = {
        "dec": pa.array([Decimal("3.10"), None]),
        "when": pa.array([1, None], pa.timestamp("ns", "UTC")),
        "day": pa.array([1, None], pa.date32()),
        "raw": pa.array([b"\xff", None]),
        "nested": pa.array([{"a": [1, None], "b": b"x"}, None]),
        "nan": pa.array([float("nan"), None]),
        "yes": pa.array([True, None]),
        "word": pa.array(["é", None]).dictionary_encode(),
        "gone": pa.nulls(2),
    }
    batch = pa.record_batch(list(columns.values()), list(columns))
    first, second = map(json.loads, json_lines(batch))
    assert first["dec"] == "3.10"
    assert first["when"] == "1970-01-01T00:00:00.000000001Z"
    assert first["raw"] == "/w=="
    assert first["nested"] == {"a": [1, None], "b": "eA=="}
    assert (first["nan"], first["yes"], first["word"]) == ("nan", True, "é")
    assert set(second.values()) == {None}
    assert csv_rows(batch, heading=True).count(b"\r\n") == 3


def test_encrypted_columns_are_opened_where_the_key_is_there_and_listed_where_not(company):
    company.change_policy("name: {anonymize: redact, category: pd:Name}", "name: {anonymize: redact, encrypt: true}")
    treat(company, "encrypt", "customers", "data/customers/a.parquet", "data/customers/a.e.parquet")
    (company.folder / "data/customers/a.parquet").unlink()
    path, _ = export(company)
    assert lines(path, "data/customers.jsonl")[0]["name"] == "Anna"
    path, made = export(company, name="locked.zip", keyring=False)
    assert "name" not in lines(path, "data/customers.jsonl")[0]
    assert made.omissions == 3
    assert made.reference is None


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_text_of_every_kind_is_exported(company, kind):
    names = pa.array(["Anna", "Bo"]).cast(kind)
    company.write(
        "data/customers/a.parquet", pa.table({"id": [1, 2], "email": ["anna@example.com", "b"], "name": names})
    )
    path, _ = export(company)
    assert lines(path, "data/customers.jsonl")[0]["name"] == "Anna"


def test_files_of_a_dataset_may_have_different_columns(company):
    company.write(
        "data/customers/c.parquet",
        pa.table({"email": ["anna@example.com"], "id": pa.array([1], pa.int32()), "age": [7]}),
    )
    path, _ = export(company)
    assert lines(path, "data/customers.jsonl")[1] == {"email": "anna@example.com", "id": 1, "age": 7}
    with zipfile.ZipFile(path) as archive:
        table = list(csv.reader(io.StringIO(archive.read("data/customers.csv").decode())))
    assert table == [
        ["id", "email", "name", "age"],
        ["1", "Anna@Example.com", "Anna", ""],
        ["1", "anna@example.com", "", "7"],
    ]


def test_a_bundle_can_be_a_folder(company):
    path, _ = export(company, name="copy")
    assert verify_bundle(path).manifest["datasets"]["customers"]["rows"] == 1
    assert path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.rglob("*") if file.is_file()} == {0o600}
    with pytest.raises(OutputError):
        export(company, name="copy")


def test_a_bundle_is_encrypted_to_a_recipient(company):
    identity = pyrage.x25519.Identity.generate()
    path, _ = export(company, name="copy.zip.age", recipients=[str(identity.to_public())])
    assert b"Anna" not in path.read_bytes()
    plain = company.folder / "plain.zip"
    plain.write_bytes(pyrage.decrypt(path.read_bytes(), [identity]))
    assert verify_bundle(plain).manifest["complete"]
    assert sorted(file.name for file in company.folder.iterdir() if "tmp" in file.name) == []


@pytest.mark.parametrize(("name", "recipient"), [("copy.zip.age", "age1nonsense"), ("copy", "age1x")])
def test_a_recipient_that_is_none_leaves_nothing(company, name, recipient):
    with pytest.raises(UsageError):
        export(company, name=name, recipients=[recipient])
    assert not (company.folder / name).exists()


def test_an_existing_bundle_stays(company):
    path, _ = export(company)
    with pytest.raises(OutputError):
        export(company)
    assert verify_bundle(path)


def test_a_file_that_changed_since_it_was_searched_stops_the_export(company):
    asked = request(company)
    company.write("data/orders/all.csv", "id,customer_id,email,total\n")
    with pytest.raises(TemporaryFailure):
        export_person(asked, 0, company.folder / "copy.zip")
    assert not (company.folder / "copy.zip").exists()


def test_a_signed_bundle_verifies_by_its_key_and_by_no_other(company):
    path, _ = export(company)
    ours = signer_of(company.keyring, "export").public
    assert verify_bundle(path, public_keys=[ours]).trusted
    with pytest.raises(Refused, match="unknown key"):
        verify_bundle(path, public_keys=[bytes(32)])
    unsigned, _ = export(company, name="unsigned.zip", keyring=False)
    assert verify_bundle(unsigned).signed_by is None
    with pytest.raises(Refused, match="signature is missing"):
        verify_bundle(unsigned, public_keys=[ours])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda files: files.update({"data/orders.jsonl": files["data/orders.jsonl"] + b" "}),
            "is not what was signed",
        ),
        (lambda files: files.pop("data/orders.csv"), "is missing"),
        (lambda files: files.update({"more.txt": b"x"}), "was added"),
        (lambda files: files.pop("manifest.json"), "no manifest"),
        (lambda files: files.pop("manifest.sig"), "signature is missing"),
        (
            lambda files: files.update({"manifest.json": files["manifest.json"].replace(b"1.0", b"2.0")}),
            "not what was signed",
        ),
        (lambda files: files.update({"manifest.json": b"{}"}), "not as pydp writes it"),
        (lambda files: files.update({"manifest.sig": b"x\n\nx\n"}), "malformed"),
    ],
)
def test_what_was_altered_is_told(company, change, reason):
    path, _ = export(company)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(Refused, match=reason):
        verify_bundle(path)


def test_no_flipped_byte_gives_other_contents(company):
    path, _ = export(company)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        original = {name: archive.read(name) for name in archive.namelist()}
    for place in range(0, len(whole), 23):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            verify_bundle(path)
        except (Refused, InputError):
            continue
        with zipfile.ZipFile(path) as archive:  # a byte that says nothing, such as a time
            assert {name: archive.read(name) for name in archive.namelist()} == original


def test_times_beyond_nanoseconds_are_exported_as_they_are(company):
    far = pa.array([datetime(2999, 12, 31, tzinfo=timezone.utc)], pa.timestamp("us"))
    table = pa.table({"id": [1], "email": ["anna@example.com"], "name": ["x"], "until": far})
    pq.write_table(table, company.folder / "data/customers/a.parquet", use_deprecated_int96_timestamps=True)
    path, _ = export(company)
    assert lines(path, "data/customers.jsonl")[0]["until"].startswith("2999-12-31")


def test_rows_far_apart_are_found_in_their_row_groups(company):
    asked = (5, 8_191, 8_192, 40_000, 59_999)
    columns = {
        "id": pa.array([1 if row in asked else 2 for row in range(60_000)]),
        "email": pa.nulls(60_000, pa.string()),
        "name": pa.array([f"row {row}" for row in range(60_000)]),
    }
    pq.write_table(pa.table(columns), company.folder / "data/customers/a.parquet", row_group_size=30_000)
    path, _ = export(company)
    assert [line["name"] for line in lines(path, "data/customers.jsonl")] == [f"row {row}" for row in asked]


@pytest.mark.parametrize("limit", ["KEPT_BYTES", "FEW_ROWS_OF_A_FILE"])
def test_many_rows_give_the_same_bundle_as_few(company, monkeypatch, limit):
    few, _ = export(company, name="few.zip")
    monkeypatch.setattr(f"pydp_cli.subjects.export.{limit}", 0)
    many, _ = export(company, name="many.zip")
    assert many.read_bytes() == few.read_bytes()


def test_rows_of_many_columns_are_shown_one_below_the_other(company):
    names = ["id", "email", "name", *(f"extra{number}" for number in range(7))]
    company.change_policy("    purposes: [service, marketing]\n", "    other_columns: keep\n")
    table = pa.table({name: [1, 1] if name == "id" else [f"<{name}>", None] for name in names})
    pq.write_table(table, company.folder / "data/customers/a.parquet")
    path, _ = export(company)
    with zipfile.ZipFile(path) as archive:
        page = archive.read("index.html").decode()
    assert page.count('<table class="record">') == 2
    assert page.count('<th scope="row">extra6</th>') == 2
    assert "<td>&lt;extra6&gt;</td>" in page


@pytest.mark.parametrize("rows", [0, 1, 5, 100_000])
def test_copies_for_several_people_are_those_of_each_alone_and_files_are_read_once(company, monkeypatch, rows):
    monkeypatch.setattr("pydp_cli.subjects.export.COLLECTED_ROWS", rows)
    catalogue = company.catalogue()
    people = [parse_subjects([one], catalogue) for one in ("customer_id=1", "customer_id=2", "customer_id=99")]
    found = resolve(catalogue, people, keyring=company.keyring)
    asked = ExportRequest(catalogue, found, AS_OF, "1.0", keyring=company.keyring)
    alone = [company.folder / f"alone{place}.zip" for place in range(3)]
    for place, path in enumerate(alone):
        export_person(asked, place, path)
    read = []
    monkeypatch.setattr("pydp_cli.subjects.rows.open_source", counted(open_source, read))
    together = [company.folder / f"together{place}.zip" for place in range(3)]
    assert [one.rows for one in export_people(asked, together)] == [person.rows for person in found.people]
    assert [path.read_bytes() for path in together] == [path.read_bytes() for path in alone]
    if rows == 100_000:
        assert len(read) == sum(len(matches.rows) > 0 for matches in found.files)


def counted(function, calls):
    def call(*given, **more):
        calls.append(given)
        return function(*given, **more)

    return call


@pytest.mark.parametrize("name", ["copy.zip", "copy", "copy.zip.age"])
def test_a_full_disk_is_told_and_leaves_nothing(company, name):
    recipients = [str(pyrage.x25519.Identity.generate().to_public())] if name.endswith("age") else []
    asked = request(company, recipients=recipients)
    before = sorted(company.folder.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        with pytest.raises(OutputError, match="larger than the limit"):
            export_person(asked, 0, company.folder / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert sorted(company.folder.iterdir()) == before


@pytest.mark.parametrize(("name", "hint"), [("copy.zip.age", "--encrypt-to"), ("-", "NAME.zip")])
def test_a_bundle_is_not_named_what_it_is_not(company, name, hint, monkeypatch):
    monkeypatch.chdir(company.folder)
    with pytest.raises(UsageError) as caught:
        export_person(request(company), 0, Path(name))
    assert hint in str(caught.value.hint)
    assert not Path(name).exists()


def test_an_encrypted_bundle_is_not_called_damaged(company):
    identity = pyrage.x25519.Identity.generate()
    path, _ = export(company, name="copy.zip.age", recipients=[str(identity.to_public())])
    with pytest.raises(InputError, match="encrypted with age"):
        verify_bundle(path)


def test_a_file_that_is_there_twice_is_refused(company):
    path, _ = export(company)
    with zipfile.ZipFile(path) as archive:
        contents = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents:
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("manifest.json", b"{}")
    with pytest.raises(Refused, match="twice"):
        verify_bundle(path)


@pytest.mark.parametrize("manifest", ["[" * 100_000, '{"complete":true,"files":{"a":1},"format":"pydp-export-1"}\n'])
def test_a_manifest_of_something_else_is_refused(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "a").write_text("")
    with pytest.raises(Refused, match="was altered"):
        verify_bundle(tmp_path)
