"""The options of a command stand for a policy, which can be printed and used as a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import UsageError
from pydp_cli.policy.document import read_document
from pydp_cli.policy.loader import parse_policy
from pydp_cli.policy.settings import policy_from_settings, policy_to_yaml, to_text


def test_settings_are_a_policy_of_one_dataset():
    policy = policy_from_settings(
        ["email=pseudonym", "zip=prefix:3", "born=date:year", "born=top_code:max_age=89"],
        drop=["note"],
        keep=["id", "NO"],
        paths=["in.csv"],
    )
    assert policy_to_yaml(policy) == (
        "version: 1\n"
        "datasets:\n"
        "  input:\n"
        "    path: in.csv\n"
        "    columns:\n"
        "      email: pseudonym\n"
        "      zip: {prefix: 3}\n"
        "      born: [date: year, top_code: {max_age: 89}]\n"
        "      note: drop\n"
        "      id: keep\n"
        '      "NO": keep\n'
    )


def test_encryption_keeps_the_other_columns():
    policy = policy_from_settings(
        ["email=random:bind=[id]", "iban=fpe:alphanumeric,keep_first=2", "card=deterministic:domain=card"],
        purpose="encrypt",
    )
    dataset = policy.datasets["input"]
    assert dataset.other_columns == "keep"
    assert dataset.columns["email"].encrypt.bind == ("id",)
    assert dataset.columns["iban"].encrypt.fpe.alphabet == "alphanumeric"
    assert dataset.columns["iban"].encrypt.fpe.keep_first == 2
    assert dataset.columns["card"].encrypt.mode == "deterministic"
    assert parse_policy(policy_to_yaml(policy).encode()).digest == policy.digest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": ["a=redact"], "drop": ["a"]}, '--drop: column "a" is named twice'),
        ({"settings": [], "drop": ["a"], "keep": ["a"]}, '--keep: column "a" is named twice'),
        ({"settings": [], "other_columns": "forget"}, "--other-columns is one of: error, drop, keep"),
        ({"settings": ["a=redakt"]}, '--set a: unknown transform "redakt"'),
        ({"settings": ["a=rondom"], "purpose": "encrypt"}, '--set a: there is no way "rondom" to encrypt'),
        ({"settings": ["a=random:pad=x"], "purpose": "encrypt"}, '--set a: "pad" must be a whole number'),
        ({"settings": ["a=random", "a=fpe"], "purpose": "encrypt"}, "--set a: the column is set twice"),
        ({"settings": ["a=fpe:bind=[b]"], "purpose": "encrypt"}, "--set a: `fpe` cannot go with: bind"),
    ],
)
def test_a_mistake_is_a_usage_error(arguments, message):
    with pytest.raises(UsageError) as caught:
        policy_from_settings(**arguments)
    assert str(caught.value) == message


NAMES = st.text(min_size=1, max_size=12).filter(lambda name: "=" not in name)
TREATMENTS = st.sampled_from(["keep", "null", "prefix:3", "mask:2,char=#", "pseudonym", "constant:'07'", "constant:NO"])


@given(st.dictionaries(NAMES, TREATMENTS, max_size=5))
def test_a_printed_policy_loads_as_the_same_policy(settings):
    policy = policy_from_settings([f"{name}={treatment}" for name, treatment in settings.items()])
    assert parse_policy(policy_to_yaml(policy).encode()).digest == policy.digest


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
DATA = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    min_size=1,
    max_size=4,
)


@given(DATA)
def test_any_data_is_written_so_that_it_reads_back(data):
    assert read_document(to_text(data).encode(), "p").data() == data
