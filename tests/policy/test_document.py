"""YAML is read safely: hostile documents are refused, quickly and with a place, and every value knows its place."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import PolicyError
from pydp_cli.policy.document import MAX_BYTES, read_document

BOMB = b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + level, 98 + level, b", ".join([b"*%c" % (97 + level)] * 9)) for level in range(20)
)
HOSTILE = {
    "an alias bomb": (BOMB, "6:8: more than 100,000 values, counting what aliases stand for"),
    "an alias within itself": (b"a: &a [*a]", "1:8: an alias cannot stand within what it stands for"),
    "an alias of nothing": (b"a: *b", "1:4: an alias for which there is no anchor above"),
    "an alias as a key": (b"a: &a x\n*a : 1", "2:1: a key cannot be an alias"),
    "an anchor on a key": (b"&a a: 1", "1:1: a key cannot be an anchor"),
    "deep aliases": (
        b"a: &a " + b"[" * 40 + b"]" * 40 + b"\nb: " + b"[" * 20 + b"*a" + b"]" * 20,
        "2:24: nested more than 50 deep",
    ),
    "a tag": (b"a: !!python/object/apply:os.system [ls]", "1:4: tags are not allowed"),
    "a local tag": (b"a: !secret x", "1:4: tags are not allowed"),
    "many tags": (b"!" * 60_000, "1:1: tags are not allowed"),
    "deep lists": (b"[" * 100_000, "1:1: a line has at most 65,536 characters"),
    "deep lists in a short line": (b"[" * 1000, "1:51: nested more than 50 deep"),
    "deep blocks": (b"- " * 1000, "1:101: nested more than 50 deep"),
    "too many bytes": (b"#" * (MAX_BYTES + 1), "1:1: a policy has at most 1,048,576 bytes"),
    "a duplicate key": (b"a: 1\nb: 2\na: 3", '3:1: key "a" is there twice'),
    "a merge key": (b"a: &a {b: 1}\nc: {<<: *a}", "2:5: merge keys are not allowed"),
    "a list as a key": (b"? [a]\n: 1", "1:3: a key must be a single word or text"),
    "no value": (b"a:\nb: 1", '1:1: "a" has no value'),
    "a tab": (b"a:\n\tb: 1", "2:1: a tab, which YAML does not allow here"),
    "bad UTF-8": (b"a: 1\nb: \xff", "2:4: not UTF-8 (byte 8)"),
    "UTF-16": ("a: 1".encode("utf-16"), "1:1: the file is UTF-16"),
    "a control character": (b"a: \x00", "1:4: a control character, which YAML does not allow"),
    "a directive": (b"%YAML 99999999999999.1\n---\na: 1", "1:1: YAML directives are not allowed"),
    "two documents": (b"a: 1\n---\nb: 1", "2:1: a policy is one YAML document"),
    "an escape beyond Unicode": (b'a: "\\UFFFFFFFF"', "1:1: not valid YAML"),
    "half a character": (b'a: "\\ud800"', "1:4: an escape that is half a character"),
    "an unclosed bracket": (b"a: [1, 2\nb: 3", "2:2: expected ',' or ']', but got ':'"),
    "an unclosed quote": (b'a: "b', "1:6: found unexpected end of stream"),
    "two colons": (b"a: b: c", "1:5: mapping values are not allowed here"),
    "nothing": (b"", "1:1: the policy is empty"),
    "a comment alone": (b"# nothing", "1:1: the policy is empty"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_with_its_place(name):
    raw, told = HOSTILE[name]
    with pytest.raises(PolicyError) as caught:
        read_document(raw, "pydp.yml")
    assert str(caught.value) == f"pydp.yml:{told}"


def test_a_bomb_costs_no_more_than_its_text():
    started = time.perf_counter()
    read_document(b"a: [" + b"1, " * 9 + b"1]\n", "pydp.yml")
    plain = time.perf_counter() - started
    started = time.perf_counter()
    with pytest.raises(PolicyError):
        read_document(BOMB, "pydp.yml")
    assert time.perf_counter() - started < 200 * plain


def test_values_are_yaml_1_2_and_codes_stay_text():
    raw = b"a: NO\nb: 007\nc: '7'\nd: 1.5\ne: null\nf: [yes, true]\n1: one\ng: |\n  two\n  lines\nh: {}\n"
    assert read_document(raw, "p").data() == {
        "a": "NO", "b": "007", "c": "7", "d": 1.5, "e": None, "f": ["yes", True], "1": "one",
        "g": "two\nlines\n", "h": {},
    }  # fmt: skip


def test_aliases_stand_for_their_anchor():
    document = read_document(b"a: &a {b: 1}\nc: *a\nd: [*a, *a]\n", "p")
    assert document.data() == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]}
    assert document.place_of(("c", "b")) == "p:1:11"


def test_a_decimal_type_needs_no_quotes_between_braces():
    assert read_document(b"{type: decimal(12,2), anonymize: keep}", "p").data() == {
        "type": "decimal(12,2)",
        "anonymize": "keep",
    }
    with pytest.raises(PolicyError, match="has no value"):
        read_document(b"{type: 'decimal(12', 2)}", "p")


def test_places_are_those_of_the_file():
    document = read_document("a:\n  ö: [x, {b: 1}]\n  c:\n    - d\n".encode(), "pydp.yml")
    assert document.place_of(("a", "ö", 0)) == "pydp.yml:2:7"
    assert document.place_of(("a", "ö", 1, "b")) == "pydp.yml:2:14"
    assert document.place_of(("a", "ö", 1, "b"), at_key=True) == "pydp.yml:2:11"
    assert document.place_of(("a", "c", 0)) == "pydp.yml:4:7"
    assert document.place_of(("a", "c", 9, "z")) == "pydp.yml:3:3"
    assert document.place_of(()) == "pydp.yml:1:1"


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    assert read_document(b"\xef\xbb\xbfa: 1", "p").data() == {"a": 1}


YAML_TEXT = st.text("ab:{}[]-?,&*!|>'\"%@#\\\n\t 01xU~<", max_size=80)


@given(YAML_TEXT | st.text(max_size=80))
def test_any_text_is_a_document_or_a_policy_error(text):
    try:
        read_document(text.encode("utf-8", "surrogatepass"), "p")
    except PolicyError as error:
        assert all(problem.place for problem in error.problems)  # noqa: PT017


@given(st.binary(max_size=80))
def test_any_bytes_are_a_document_or_a_policy_error(raw):
    try:
        read_document(raw, "p")
    except PolicyError as error:
        assert error.problems  # noqa: PT017
