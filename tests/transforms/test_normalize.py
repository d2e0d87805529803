import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import UsageError
from pydp_cli.transforms.normalize import RULES, is_rule, normalize, normalize_value

ASCII = st.text(st.characters(max_codepoint=127), max_size=20)


@given(
    st.lists(st.none() | ASCII | st.text(max_size=20), max_size=20),
    st.lists(st.sampled_from(sorted(RULES)), max_size=4),
)
def test_a_value_is_normalised_alike_whatever_its_neighbours(values, rules):
    column = pa.array(["x", *values], pa.string())[1:]
    alone = [value if value is None else normalize_value(value, rules) for value in values]
    assert normalize(column, rules).to_pylist() == alone


@given(st.lists(ASCII, min_size=1, max_size=20), st.sampled_from(sorted(RULES)))
def test_the_fast_way_for_ascii_is_the_exact_way(values, rule):
    assert normalize(pa.array(values), [rule]).to_pylist() == [RULES[rule](value) for value in values]


@given(st.text(max_size=20))
def test_normalising_twice_changes_nothing(text):
    rules = ("nfkc", "strip", "casefold")
    once = normalize_value(text, rules)
    assert normalize_value(once, rules) == once


@pytest.mark.parametrize(
    ("rules", "text", "result"),
    [
        (("nfkc",), "\uff21\uff11 \ufb01", "A1 fi"),
        (("strip",), "\t a b\u00a0", "a b"),
        (("strip",), "\x0b\x1c a \x1f\x0c", "a"),
        (("nfkc", "casefold"), "\u01f0 \u0390", "\u01f0 \u0390"),
        (("casefold",), "STRASSE Straße", "strasse strasse"),
        (("digits",), "+49 (30) 12-3", "4930123"),
        (("alphanumeric",), "DE89 3704-0044", "DE8937040044"),
        (("plus_tag",), "ada+news@x.org", "ada@x.org"),
        (("e164:DE",), "030 / 901820", "+4930901820"),
        (("e164",), "+49 30 901820", "+4930901820"),
        (("e164",), "no number", "no number"),
    ],
)
def test_each_rule_does_what_it_says(rules, text, result):
    assert normalize_value(text, rules) == result


def test_an_unknown_rule_is_refused_by_name():
    assert not is_rule("e164:de")
    with pytest.raises(UsageError, match='unknown rule "upper"'):
        normalize(pa.array(["a"]), ["upper"])
