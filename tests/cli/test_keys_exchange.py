"""The key of one column given away: to Tink, and to another keyring."""

import base64
import csv
import io
import json
import stat

import pytest
import tink
from tink import daead, json_proto_keyset_format, secret_key_access

from pydp_cli.errors import KeyringError
from pydp_cli.keys.tink_format import parse_keyset

KEY = ("--keyring", "ring", "--key-file", "key")
POLICY = """version: 1
keyring: ring
datasets:
  people:
    path: people.csv
    columns:
      id: keep
      name: {encrypt: {mode: deterministic, domain: names}}
      email: {encrypt: deterministic}
      born: {encrypt: true}
      zip: keep
      note: keep
"""


@pytest.fixture(scope="module", autouse=True)
def registered():
    daead.register()


@pytest.fixture
def sealed(work):
    work.write("pydp.yml", POLICY)
    result = work.pydp("encrypt", "-o", "sealed.csv", "--key-file", "key")
    assert result.code == 0, result.err
    return work


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def exported(work, *which):
    result = work.pydp("keys", "export", "--tink", *which, "-o", "keyset.json", "--json", *KEY)
    assert result.code == 0, result.err
    associated = {bytes.fromhex(k): bytes.fromhex(v) for k, v in json.loads(result.out)["associated_data"].items()}
    text = work.read("keyset.json")
    handle = json_proto_keyset_format.parse(text, secret_key_access.TOKEN)
    return handle.primitive(daead.DeterministicAead), associated, text


@pytest.mark.parametrize(
    ("which", "column"), [(("--column", "people.email"), "email"), (("--domain", "names"), "name")]
)
def test_tink_opens_our_deterministic_cells(sealed, which, column):
    primitive, associated, _ = exported(sealed, *which)
    clear, opened = rows(sealed.read("people.csv")), []
    for row in rows(sealed.read("sealed.csv")):
        cell = base64.b64decode(row[column])
        opened.append(primitive.decrypt_deterministically(cell, associated[cell[1:5]]).decode() if cell else "")
    assert opened == [row[column] for row in clear]


def test_we_open_what_tink_made(sealed):
    primitive, associated, _ = exported(sealed, "--column", "people.email")
    (data,) = associated.values()
    cells = [
        primitive.encrypt_deterministically(row["email"].encode(), data) for row in rows(sealed.read("people.csv"))
    ]
    ours = rows(sealed.read("sealed.csv"))
    assert [base64.b64encode(cell).decode() for cell in cells] == [row["email"] for row in ours]


def test_cells_of_every_version_are_in_the_keyset_and_the_primary_one_makes_new_ones(sealed):
    sealed.pydp("keys", "new-version", "cell", *KEY)
    primitive, associated, text = exported(sealed, "--column", "people.email")
    assert len(associated) == 2
    newest = json.loads(text)["primaryKeyId"].to_bytes(4, "big")
    assert primitive.encrypt_deterministically(b"x", associated[newest])[1:5] == newest
    old = base64.b64decode(rows(sealed.read("sealed.csv"))[0]["email"])
    assert primitive.decrypt_deterministically(old, associated[old[1:5]]) == b"anna@example.com"


def test_the_keyset_opens_no_other_column(sealed):
    primitive, associated, _ = exported(sealed, "--column", "people.id")
    cell = base64.b64decode(rows(sealed.read("sealed.csv"))[0]["email"])
    for data in associated.values():
        with pytest.raises(tink.TinkError):
            primitive.decrypt_deterministically(cell, data)


def test_a_keyset_is_a_private_file_and_is_not_written_over(sealed):
    exported(sealed, "--column", "people.email")
    assert stat.S_IMODE(sealed.path("keyset.json").stat().st_mode) == 0o600
    again = sealed.pydp("keys", "export", "--tink", "--column", "people.email", "-o", "keyset.json", *KEY)
    assert again.code == 2
    sealed.path("keyset.json").chmod(0o644)
    shown = sealed.pydp("keys", "import", "--tink", "keyset.json", "--column", "people.email", *KEY)
    assert (shown.code, "can be read by others" in shown.err) == (2, True)


@pytest.fixture
def partner(sealed):
    """Another keyring, which was given the key of one column."""
    exported(sealed, "--column", "people.email")
    assert sealed.pydp("keys", "init", "--keyring", "theirs", "--key-file", "their.key").code == 0
    given = sealed.pydp("keys", "import", "--tink", "keyset.json", "--column", "people.email", *THEIRS)
    assert given.code == 0, given.err
    return sealed


THEIRS = ("--keyring", "theirs", "--key-file", "their.key")


def test_another_keyring_opens_the_column_that_it_was_given_and_no_other(partner):
    opened = partner.pydp("decrypt", "sealed.csv", "-p", "pydp.yml", "-o", "-", "--columns", "email", *THEIRS)
    assert opened.code == 0, opened.err
    assert [row["email"] for row in rows(opened.out)] == [row["email"] for row in rows(partner.read("people.csv"))]
    for column in ("name", "born"):
        refused = partner.pydp("decrypt", "sealed.csv", "-p", "pydp.yml", "-o", "-", "--columns", column, *THEIRS)
        assert (refused.code, refused.out) == (3, "")


def test_an_imported_key_is_listed_makes_no_data_and_can_be_retired(partner):
    listed = json.loads(partner.pydp("keys", "list", "--json", *THEIRS).out)
    (imported,) = [key for key in listed if key["key"] == "imported/people.email"]
    assert imported["state"] == "enabled"
    assert partner.pydp("keys", "new-version", "imported/people.email", *THEIRS).code == 2
    own = partner.pydp("encrypt", "-o", "own.csv", *THEIRS)
    assert own.code == 0
    assert rows(partner.read("own.csv"))[0]["email"] != rows(partner.read("sealed.csv"))[0]["email"]
    assert partner.pydp("keys", "backup", "copy", *THEIRS).code == 0
    assert partner.pydp("keys", "verify-backup", "copy", *THEIRS).code == 0
    for step in (("disable",), ("destroy", "--accept-loss", imported["id"])):
        assert partner.pydp("keys", step[0], imported["id"], *step[1:], *THEIRS).code == 0
    gone = partner.pydp("decrypt", "sealed.csv", "-p", "pydp.yml", "-o", "-", "--columns", "email", *THEIRS)
    assert (gone.code, "was destroyed on" in gone.err) == (3, True)


def test_importing_again_changes_nothing(partner):
    before = partner.path("theirs").read_bytes()
    again = partner.pydp("keys", "import", "--tink", "keyset.json", "--column", "people.email", *THEIRS)
    assert (again.code, "1 were there already" in again.err) == (0, True)
    assert partner.path("theirs").read_bytes() == before


def test_a_keyset_that_tink_made_is_read(work):
    handle = tink.new_keyset_handle(daead.deterministic_aead_key_templates.AES256_SIV)
    (key,) = parse_keyset(json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN), "keyset")
    cell = handle.primitive(daead.DeterministicAead).encrypt_deterministically(b"x", b"")
    assert cell[1:5] == key.key_id


def altered(**changes):
    entry = {
        "keyData": {
            "typeUrl": "type.googleapis.com/google.crypto.tink.AesSivKey",
            "value": base64.b64encode(b"\x12\x40" + bytes(64)).decode(),
            "keyMaterialType": "SYMMETRIC",
        },
        "status": "ENABLED",
        "keyId": 1,
        "outputPrefixType": "TINK",
    }
    entry["keyData"] |= {name: value for name, value in changes.items() if name in entry["keyData"]}
    return entry | {name: value for name, value in changes.items() if name not in entry["keyData"]}


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [altered(status="DISABLED")],
        [altered(typeUrl="type.googleapis.com/google.crypto.tink.AesGcmKey")],
        [altered(outputPrefixType="RAW")],
        [altered(value="AAAA")],
        [altered(value="secret!")],
        [altered(value=None)],
        [altered(keyId=-1)],
        [altered(keyId=2**32)],
        [altered(keyId="x")],
        [altered(), altered()],
        ["secret"],
        "secret",
    ],
)
def test_a_keyset_that_is_none_is_refused_without_being_quoted(keys):
    with pytest.raises(KeyringError) as raised:
        parse_keyset(json.dumps({"primaryKeyId": 1, "key": keys}), "keyset.json")
    assert raised.value.place == "keyset.json"
    assert "secret" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__}"


@pytest.mark.parametrize("text", ["", "[" * 100_000, "null", '{"encryptedKeyset": "x"}', "\x00"])
def test_what_is_no_keyset_is_refused(text):
    with pytest.raises(KeyringError):
        parse_keyset(text, "keyset.json")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--column", "people.email"),
        ("--tink",),
        ("--tink", "--column", "email"),
        ("--tink", "--column", "a.b", "--domain", "c"),
    ],
)
def test_what_is_meant_must_be_said(work, arguments):
    result = work.pydp("keys", "export", "-o", "out", *arguments, *KEY)
    assert result.code == 2
    assert not work.path("out").exists()
