import pickle
import string

import ffx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from stdnum import ean, iban, luhn

from pydp_cli.errors import BadValue, UnsupportedType
from pydp_cli.transforms.registry import transforms
from pydp_cli.transforms.token import Token
from pydp_cli.transforms.token_layout import layout
from tests.transforms.keyed import GivenRows, binding, derive_key, texts, treat

CARDS = ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"]
IBANS = ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR14 2004 1010 0505 0001 3M02 606"]
SHAPED = st.text(string.ascii_letters + string.digits + " -./äß€@", max_size=40)


def undo(options, tokens, kind=pa.string(), **more):  # noqa: B008
    return options.bind_inverse(binding("email", kind, **more))(tokens, GivenRows({"email": tokens}))


def shape(text):
    classes = ((string.digits, "9"), (string.ascii_uppercase, "A"), (string.ascii_lowercase, "a"))
    return "".join(next((name for letters, name in classes if c in letters), c) for c in text)


@given(st.lists(st.none() | SHAPED | st.text(max_size=20), max_size=20), st.integers(0, 4), st.integers(0, 4))
@settings(max_examples=60)
def test_comes_back_and_keeps_its_shape(values, keep_first, keep_last):
    options = Token(keep_first=keep_first, keep_last=keep_last, on_small="redact")
    column = texts("x", *values)[1:]
    tokens = treat(options, column)
    back = undo(options, tokens)
    for before, token, after in zip(values, tokens.to_pylist(), back.to_pylist(), strict=True):
        if token == "[redacted]":
            assert after is None
        else:
            assert after == before
            assert before is None or shape(token) == shape(before)


@given(st.lists(st.none() | SHAPED, max_size=20), st.integers(0, 20))
@settings(max_examples=30)
def test_equals_itself_however_the_rows_are_cut(values, cut):
    options = Token(on_small="pseudonym")
    column = texts(*values)
    parts = [treat(options, part) for part in (column[:cut], column[cut:])]
    assert pa.chunked_array(parts).combine_chunks() == treat(options, column)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_is_the_same_for_every_physical_type_of_text(kind):
    column = texts(*CARDS, None, *IBANS)
    assert treat(Token(), column.cast(kind)) == treat(Token(), column)


def test_digits_are_those_of_an_independent_ff1():
    """The samples of NIST are tests of `crypto.ff1`; a token is that cipher, with the domain for its tweak."""
    values = ["0123456789", "4111111111111111", "00000000"]
    key = derive_key("token", "email", "", length=32)
    cipher = ffx.FF1(key, radix=10)
    expected = [cipher.encrypt(value, tweak=b"email") for value in values]
    assert treat(Token(), texts(*values)).to_pylist() == expected


def test_different_values_have_different_tokens():
    column = pc.binary_join_element_wise(
        "AB-", pc.utf8_lpad(pc.cast(pa.array(np.arange(100_000)), pa.string()), 6, "0"), ""
    )
    assert pc.count_distinct(treat(Token(), column)).as_py() == 100_000


def test_golden_tokens():
    values = ["4111 1111 1111 1111", "AB-123456", "Ada Lovelace", "f47ac10b-58cc-4372-a567-0e02b2c3d479"]
    tokens = ["5887 7714 2406 4584", "JX-095044", "Ttb Nufwrxvz", "n29yh17e-63cd-7993-a670-1z01w5z6s879"]
    assert treat(Token(domain="customer"), texts(*values)).to_pylist() == tokens


def test_agrees_within_a_domain_only():
    column = texts(*CARDS)
    assert treat(Token(domain="card"), column) == treat(Token(), column, name="card")
    assert treat(Token(domain="card"), column) != treat(Token(), column)
    assert treat(Token(release="q1"), column) == treat(Token(), column, release="q1")
    assert treat(Token(release="q1"), column) != treat(Token(), column)
    assert Token().key_label("card") == "token/card"


@pytest.mark.parametrize(
    ("scheme", "check", "valid"),
    [
        ("luhn", luhn.is_valid, [value.replace(" ", "").replace("-", "") for value in CARDS]),
        ("ean", ean.is_valid, ["4006381333931", "9780306406157", "96385074"]),
        ("iban", lambda text: iban.is_valid(text, check_country=False), [value.replace(" ", "") for value in IBANS]),
    ],
)
@pytest.mark.parametrize("keep", [{}, {"keep_last": 1}, {"keep_first": 1}])
def test_what_was_valid_stays_valid_and_what_was_not_does_not(scheme, check, valid, keep):
    options = Token(check_digit=scheme, on_small="redact", **keep)
    wrong = [value[:-2] + value[-1] + value[-2] for value in valid if value[-1] != value[-2]]
    column = texts(*valid, None, *wrong)
    tokens = treat(options, column)
    for before, token in zip(column.to_pylist(), tokens.to_pylist(), strict=True):
        if before is not None and token != "[redacted]":
            assert token != before
            assert scheme == "iban" or check(token) == check(before)
            assert scheme != "iban" or _mod_97(token) == _mod_97(before)
            assert scheme != "iban" or token[:2] == before[:2]
    kept = pc.not_equal(tokens, "[redacted]")
    assert undo(options, tokens).filter(kept) == column.filter(kept)


def _mod_97(text):
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97


@pytest.mark.parametrize("check", ["00", "01", "99", "50"])
def test_an_iban_with_odd_check_digits_comes_back_too(check):
    options = Token(check_digit="iban")
    column = texts(f"DE{check}370400440532013000")
    assert undo(options, treat(options, column)) == column


def test_keeps_the_first_and_last_digits_across_separators():
    token = treat(Token(keep_first=4, keep_last=3), texts("4111 1111 1111 1111"))[0].as_py()
    assert (token[:5], token[-3:], token[9]) == ("4111 ", "111", " ")


def test_every_character_depends_on_every_other_in_long_mixed_values():
    base = "Ab1" * 20
    other = {"A": "D", "b": "c", "1": "7"}
    column = texts(base, *[base[:place] + other[base[place]] + base[place + 1 :] for place in range(60)])
    tokens = treat(Token(), column).to_pylist()
    for other in tokens[1:]:
        same = sum(a == b for a, b in zip(tokens[0], other, strict=True))
        assert same < 20


@given(st.lists(st.none() | st.integers(10**6, 10**18 - 1), max_size=30))
@settings(max_examples=30)
def test_numbers_stay_numbers_of_as_many_digits(values):
    column = pa.array(values, pa.int64())
    tokens = treat(Token(), column)
    assert [value and len(str(value)) for value in values] == [
        token and len(str(token)) for token in tokens.to_pylist()
    ]
    assert undo(Token(), tokens, pa.int64()) == column


def test_numbers_take_a_wider_type_and_come_back_in_theirs():
    column = pa.array([4_000_000_000, -0, 1_234_567], pa.uint32())
    options = Token(on_small="redact")
    tokens = treat(options, column)
    assert tokens.type == pa.uint64()
    assert undo(options, tokens, pa.uint32()).to_pylist() == [4_000_000_000, None, 1_234_567]
    assert Token().gives(pa.int16()) == pa.int64()


def test_a_number_of_nineteen_digits_is_refused_by_row():
    with pytest.raises(BadValue) as caught:
        treat(Token(), pa.array([10**6, 2**63 - 1]))
    assert caught.value.rows == (1,)


def test_short_values_do_what_is_asked_for():
    column = texts("12345", None, "1234567", "", "abcd")
    with pytest.raises(BadValue) as caught:
        treat(Token(), column)
    assert caught.value.rows == (0, 3, 4)
    assert "12345" not in str(caught.value)
    redacted = treat(Token(on_small="redact"), column).to_pylist()
    assert (redacted[0], redacted[1], redacted[4]) == ("[redacted]", None, "[redacted]")
    options = Token(on_small="pseudonym")
    pseudonyms = treat(options, column)
    assert pseudonyms[0].as_py().startswith("~")
    assert pc.count_distinct(pseudonyms).as_py() == 4
    assert undo(options, pseudonyms).to_pylist() == [None, None, "1234567", None, None]


def test_six_first_four_last_and_a_check_digit_leave_too_few():
    assert not layout("9" * 16, keep_first=6, keep_last=4, scheme=None).is_small
    assert layout("9" * 16, keep_first=6, keep_last=4, scheme="luhn").is_small


def test_refuses_what_it_cannot_treat():
    with pytest.raises(UnsupportedType):
        Token().check_takes(pa.float64(), "x")
    with pytest.raises(UnsupportedType):
        Token(on_small="pseudonym").check_takes(pa.int64(), "x")
    with pytest.raises(ValidationError):
        Token(check_digit="isbn")


def test_another_key_does_not_bring_it_back():
    column = texts(*CARDS)
    assert undo(Token(domain="other"), treat(Token(), column)) != column


def test_is_picklable_and_does_not_show_its_key():
    bound = Token().bind(binding())
    assert pickle.loads(pickle.dumps(bound)) == bound
    assert "key=" not in repr(bound)


def test_is_listed_as_reversible():
    info = transforms()["token"].info
    assert info.reversible
    assert info.keyed
