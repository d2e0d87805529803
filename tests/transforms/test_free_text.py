import pickle
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from stdnum import luhn

from pydp_cli.errors import KeyringError
from pydp_cli.transforms.folding import fold
from pydp_cli.transforms.free_text import FreeText
from pydp_cli.transforms.free_text_patterns import CANDIDATE, KINDS, NATIONAL_IDS, find
from pydp_cli.transforms.own_values import find_own, folded_value
from pydp_cli.transforms.pseudonym import Pseudonym
from pydp_cli.transforms.registry import Binding, transforms
from tests.transforms.keyed import GivenRows, binding, texts, treat

PROSE = st.text(st.characters(codec="utf-8", exclude_characters="0123456789@+"), max_size=30)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def written(column, options=FreeText(), original=None, treated=None):  # noqa: B008
    rows = GivenRows({"note": column, **(original or {})}, treated or {})
    return treat(options, column, rows=rows, name="note").to_pylist()


@st.composite
def planted(draw):
    digits = st.text("0123456789", min_size=1)
    word = st.text(LETTERS, min_size=1, max_size=10)
    card = "4" + draw(st.text("0123456789", min_size=14, max_size=14))
    kinds = {
        "email": f"{draw(word)}.{draw(word)}@{draw(word)}.org",
        "card": card + luhn.calc_check_digit(card),
        "ip": ".".join(str(draw(st.integers(0, 255))) for _ in range(4)),
        "url": f"https://{draw(word)}.example/{draw(digits)}",
        "date": f"20{draw(st.integers(10, 25))}-0{draw(st.integers(1, 9))}-1{draw(st.integers(0, 9))}",
        "phone": f"+49 30 90{draw(st.integers(1000, 9999))}",
        "iban": "DE89 3704 0044 0532 0130 00",
    }
    kind = draw(st.sampled_from(sorted(kinds)))
    return kind, kinds[kind]


@given(PROSE, planted(), PROSE)
@settings(max_examples=200)
def test_never_leaves_a_planted_identifier(before, identifier, after):
    kind, value = identifier
    result = written(texts(f"{before} - {value} ; {after}"))[0]
    assert value not in result
    assert f"[{kind.upper()}]" in result


@given(
    PROSE,
    PROSE,
    st.text(LETTERS + "éüß", min_size=3, max_size=10),
    st.sampled_from([str, str.upper, str.title, str.casefold]),
)
@settings(max_examples=200)
def test_never_leaves_a_planted_name(before, after, name, spelling):
    column = texts(f"{before} {spelling(name)} {after}")
    result = written(column, FreeText(also=["name"]), {"name": texts(name)}, {"name": texts("X")})[0]
    assert not find_own(fold(result).text, folded_value(name), parts=False)


@given(st.lists(st.none() | PROSE | planted().map(lambda pair: f"a {pair[1]} b"), max_size=10), st.integers(0, 10))
@settings(max_examples=50)
def test_equals_itself_however_the_rows_are_cut(values, cut):
    column = texts(*values)
    options = FreeText(marks="pseudonym", email_domain="email")
    parts = [part for half in (column[:cut], column[cut:]) for part in written(half, options)]
    assert parts == written(column, options)


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_leaves_text_without_identifiers_as_it_is(text):
    if not find(text):
        assert written(texts(text)) == [text]


@given(st.text(max_size=40) | planted().map(lambda pair: pair[1]))
@settings(max_examples=300)
def test_the_quick_look_passes_over_no_text_in_which_something_is_found(text):
    import pyarrow.compute as pc

    if find(text, countries=tuple(NATIONAL_IDS)):
        assert pc.match_substring_regex(texts(text), CANDIDATE)[0].as_py()


@given(st.text(max_size=40))
def test_folding_leads_back_to_whole_characters(text):
    folded = fold(text)
    for place in range(len(folded.text)):
        start, end = folded.span(place, place + 1)
        assert 0 <= start < end <= len(text)
        assert fold(text[start:end]).text.find(folded.text[place]) >= 0


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Call +49 30 901820 or ada@example.org.", "Call [PHONE] or [EMAIL]."),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [IBAN] please"),
        ("paid with 4111-1111-1111-1111!", "paid with [CARD]!"),
        ("from 192.0.2.7 via https://example.com/x?y=1.", "from [IP] via [URL]."),
        ("on 2024-02-29, 29.02.2024 and 29 February 2024", "on [DATE], [DATE] and [DATE]"),
        ("（ａｄａ＠example.com）", "（[EMAIL]）"),
        ("a\u00adda\u200b@example.com", "[EMAIL]"),
        ("ada [at] example [dot] org", "[EMAIL]"),
        ("ｈｔｔｐ：／／ｌｏｃａｌ ok", "[URL] ok"),
        ("ｗｗｗ．ｅｘａｍｐｌｅ．ｏｒｇ ok", "[URL] ok"),
        ("https://example.org/?mail=ada@example.org&t=1", "[URL]"),
        ("", ""),
    ],
)
def test_puts_a_mark_in_the_place_of_each_identifier(text, result):
    assert written(texts(text, None)) == [result, None]


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112",
        "version 10.2.14.3",
        "total 1.299,00 of 12,500.00",
        "std::vector a::b 12:30:45",
        "meet @ 5",
        "2024-02-30",
        "DE00 3704 0044 0532 0130 00 is no account",
    ],
)
def test_checksums_and_context_keep_what_only_looks_like_an_identifier(text):
    assert written(texts(text)) == [text]


@pytest.mark.parametrize(
    ("country", "number"),
    [
        ("DE", "86 095 742 719"),
        ("US", "536-22-8145"),
        ("ES", "54362315K"),
        ("FR", "2 95 10 99 126 111 93"),
        ("IT", "RCCMNL83S18D969H"),
        ("NL", "111222333"),
        ("PL", "44051401359"),
        ("BR", "390.533.447-05"),
        ("CH", "756.9217.0769.85"),
        ("GB", "AB 12 34 56 C"),
    ],
)
def test_national_ids_of_declared_countries_are_found(country, number):
    text = f"id {number}, ok"
    assert written(texts(text), FreeText(countries=[country])) == ["id [NATIONAL_ID], ok"]
    assert written(texts(text), FreeText(find=["email"], countries=[country])) == [text]


@pytest.mark.parametrize("country", NATIONAL_IDS)
def test_every_national_id_has_its_module(country):
    assert find("nothing here", countries=(country,)) == []


def test_phone_numbers_of_declared_countries_need_no_prefix():
    text = "0171 2345678901 and 01712345678"
    assert written(texts("01712345678 ok")) == ["01712345678 ok"]
    assert written(texts("01712345678 ok"), FreeText(countries=["DE"])) == ["[PHONE] ok"]
    assert "[PHONE]" in written(texts(text), FreeText(countries=["DE"]))[0]


def test_the_rows_own_values_become_their_treated_values():
    note = texts("ADA LOVELACE, née Byron; ms. Lovelace's phone 030 / 901820", "Bob is not ada", None, "ada")
    names = texts("Ada Lovelace", "Bob", "Eve", None)
    phones = texts("+49 30 901820", None, None, None)
    options = FreeText(also=["name", "phone"], countries=["DE"])
    treated = {"name": texts("A. L.", None, "E.", None), "phone": texts("***20", None, None, None)}
    assert written(note, options, {"name": names, "phone": phones}, treated) == [
        "A. L., née Byron; ms. A. L. phone ***20",
        "[NAME] is not ada",
        None,
        "ada",
    ]
    assert options.reads() == ("name", "phone")


def test_no_accent_is_left_behind_where_a_name_was():
    own = ({"name": texts("José")}, {"name": texts("X")})
    assert written(texts("Jose\u0301 kam, JOSE\u0301\u200b."), FreeText(also=["name"]), *own) == ["X kam, X."]


def test_a_value_that_its_column_keeps_becomes_a_mark():
    kept = {"name": texts("Ada Lovelace")}
    assert written(texts("ada lovelace"), FreeText(also=["name"]), kept, kept) == ["[NAME]"]
    longer = {"name": texts("Dr. Ada Lovelace")}
    assert written(texts("ada lovelace"), FreeText(also=["name"]), kept, longer) == ["[NAME]"]


def test_parts_of_names_are_found_only_if_asked_for():
    own = ({"name": texts("Ada Lovelace")}, {"name": texts("X")})
    note = texts("Ada Lovelace; Lovelace; Ada; adamant")
    assert written(note, FreeText(also=["name"]), *own) == ["X; X; X; adamant"]
    assert written(note, FreeText(also=["name"], name_parts=False), *own) == ["X; Lovelace; Ada; adamant"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Herr MULLER kam", "Müller"),
        ("Mu\u0308ller kam", "Müller"),
        ("Lovelace , Ada", "Ada Lovelace"),
        ("O\u2019Brien kam", "O'Brien"),
        ("山田太郎さんは", "山田太郎"),
        ("Straße und STRASSE", "Strasse"),
        ("kundennr 4711 08", "471108"),
    ],
)
def test_own_values_are_found_however_they_are_spelled(text, name):
    assert find_own(fold(text).text, folded_value(name), parts=True)


@pytest.mark.parametrize("value", ["", "-", "a"])
def test_values_too_short_to_mean_anything_are_not_looked_for(value):
    assert find_own("a - b", folded_value(value), parts=True) == []


def test_addresses_get_the_pseudonyms_of_their_column():
    addresses = texts("Ada@Example.org", "bob@example.org")
    rules = ("nfkc", "casefold")
    column = treat(Pseudonym(domain="email", format="email"), addresses, normalize=lambda _domain: rules).to_pylist()
    options = FreeText(email_domain="email")
    note = texts("to ada@example.org, cc bob (at) example.org")
    result = treat(options, note, rows=GivenRows({}), name="note", normalize=lambda _domain: rules)
    assert result.to_pylist() == [f"to {column[0]}, cc {column[1]}"]
    assert options.key_label("note") == "pseudonym/email"


def test_marks_with_pseudonyms_are_equal_for_equal_values_however_they_are_written():
    options = FreeText(marks="pseudonym")
    note = texts(
        "+49 30 901820, +49 (30) 901-820, +49 30 901821", "IBAN DE89370400440532013000, DE89 3704 0044 0532 0130 00"
    )
    first, second = (re.findall(r"\[\w+-[a-z2-7]{8}\]", text) for text in written(note, options))
    assert first[0] == first[1] != first[2]
    assert second[0] == second[1]
    assert options.key_label("note") == "pseudonym/note"


def test_needs_no_key_where_no_pseudonym_is_written():
    def no_keys(*_args, **_more):
        raise KeyringError("no keyring")

    bound = FreeText().bind(Binding("d", "note", pa.string(), no_keys))
    assert bound(texts("a@b.org"), GivenRows({})).to_pylist() == ["[EMAIL]"]
    assert FreeText().key_label("note") is None


def test_long_texts_take_no_more_than_linear_time():
    for piece in ("a", "1 ", "a.", "a@", "1.", ":", "(1)", "1-", " at ", "www.", "(at)", "a@b.org "):
        find(piece * (100_000 // len(piece)), countries=("DE", "US", "SE"))


@pytest.mark.parametrize(
    "options", [{"countries": ["de"]}, {"find": ["names"]}, {"find": []}, {"marks": "none"}, {"email_domain": ""}]
)
def test_refuses_options_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        FreeText(**options)


def test_is_picklable_and_does_not_show_its_key():
    bound = FreeText(marks="pseudonym", email_domain="email").bind(binding("note"))
    again = pickle.loads(pickle.dumps(bound))
    assert again(texts("a@b.org"), GivenRows({})) == bound(texts("a@b.org"), GivenRows({}))
    assert "key=" not in repr(bound)


def test_is_listed_with_what_it_leaks():
    assert "miss" in transforms()["free_text"].info.leaks
    assert set(KINDS) == set(FreeText.model_json_schema()["properties"]["find"]["items"]["enum"])
