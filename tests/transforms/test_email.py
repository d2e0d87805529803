import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.transforms.email import Email
from pydp_cli.transforms.registry import transforms
from tests.transforms.keyed import texts, treat

ADDRESSES = texts("ada@mail.example.com", "a@x.org", '"x@y"@localhost', "no address", "", None, "@", "ü\n@é.de")


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ({}, ["a***@mail.example.com", "***@x.org", '"***@localhost', "***", "***", None, "***@", "ü***@é.de"]),
        ({"local": "redact", "domain": "redact"}, ["***@***"] * 3 + ["***", "***", None] + ["***@***"] * 2),
        (
            {"local": "keep", "domain": "tld"},
            ["ada@***.com", "a@***.org", '"x@y"@***', "***", "***", None, "@***", "ü\n@***.de"],
        ),
    ],
)
def test_keeps_only_what_is_asked_for(options, result):
    assert treat(Email(**options), ADDRESSES).to_pylist() == result
    assert treat(Email(**options), ADDRESSES[2:]).to_pylist() == result[2:]


@given(st.lists(st.text(max_size=20), max_size=10), st.sampled_from(["keep", "redact", "tld"]))
def test_never_shows_more_of_a_local_part_than_its_first_letter(values, domain):
    values = [f"{value}@{value}.org" for value in values]
    for before, after in zip(values, treat(Email(domain=domain), texts(*values)).to_pylist(), strict=True):
        local = before.rpartition("@")[0]
        assert after.rpartition("@")[0] in ("***", f"{local[:1]}***")


def test_says_what_it_leaks():
    assert transforms()["email"] is Email
    assert Email().leak() == "the first letter and the mail domain"
    assert Email(local="redact", domain="redact").leak() == "which values are missing"
    assert Email().gives(pa.string()) == pa.string()
