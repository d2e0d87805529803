"""Signed documents verify as they were written, and every alteration is refused with its reason."""

import json

import pytest

from pydp_cli.audit.signing import signer_of
from pydp_cli.errors import Refused, Tampered
from pydp_cli.subjects.sealed_people import open_people, seal_people
from pydp_cli.subjects.signed_document import read_document, signed_document
from pydp_cli.subjects.subject import Subject

KIND = "pydp-test-1"


@pytest.fixture
def signer(company):
    return signer_of(company.keyring, "test")


@pytest.fixture
def raw(signer):
    return signed_document(KIND, {"rows": 8, "names": ["ä", "b"], "nothing": None}, signer)


def written(document):
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"


def test_what_was_signed_reads_back(raw, signer):
    said = read_document(KIND, raw, "d")
    assert (said["rows"], said["names"], said["nothing"]) == (8, ["ä", "b"], None)
    assert read_document(KIND, raw, "d", public_keys=[bytes(32), signer.public]) == said


def test_every_byte_counts(raw):
    for at in range(len(raw)):
        with pytest.raises(Refused):
            read_document(KIND, raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], "d")
    for cut in (raw[:-1], raw + b"\n", raw[: len(raw) // 2], b"", b"[" * 100_000, b"[]"):
        with pytest.raises(Refused):
            read_document(KIND, cut, "d")


def other_digit(text, at):
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _said: {"rows": 9}, "not what was signed"),
        (lambda _said: {"more": 1}, "not what was signed"),
        (lambda _said: {"format": "pydp-other-1"}, "not a document of the kind"),
        (lambda _said: {"signature": None}, "missing or malformed"),
        (lambda said: {"signature": said["signature"][:-3]}, "missing or malformed"),
        (lambda said: {"signature": other_digit(said["signature"], -20)}, "signature is wrong"),
        (lambda said: {"signed_by": other_digit(said["signed_by"], -9)}, "missing or malformed"),
    ],
)
def test_each_kind_of_alteration_has_its_reason(raw, change, reason):
    document = json.loads(raw)
    with pytest.raises(Refused, match=reason):
        read_document(KIND, written({**document, **change(document)}), "d")


def test_another_key_and_another_way_of_writing_are_refused(raw):
    with pytest.raises(Refused, match="unknown key"):
        read_document(KIND, raw, "d", public_keys=[bytes(32)])
    with pytest.raises(Refused, match="not written as pydp writes it"):
        read_document(KIND, json.dumps(json.loads(raw)).encode(), "d")


def test_people_open_only_where_they_were_sealed_for(company):
    people = [Subject((("email", "anna@example.com"), ("customer_id", "1"))), Subject((("customer_id", "2"),))]
    sealed = seal_people(company.keyring, "erasure", "one", people)
    assert b"anna" not in sealed
    assert open_people(company.keyring, "erasure", "one", sealed) == people
    for kind, name, altered in [
        ("erasure", "two", sealed),
        ("hold", "one", sealed),
        ("erasure", "one", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        ("erasure", "one", sealed[:4]),
    ]:
        with pytest.raises(Tampered):
            open_people(company.keyring, kind, name, altered)
