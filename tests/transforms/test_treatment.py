"""Treatments read from YAML and from the command line mean the same, and mistakes are named without values."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import PolicyError, UsageError
from pydp_cli.transforms.scalars import flow_value, plain_scalar
from pydp_cli.transforms.treatment import parse_setting, parse_step, parse_treatment, to_yaml

SETTINGS = {
    "zip=prefix:3": {"prefix": 3},
    "email=pseudonym:format=email,domain=x": {"pseudonym": {"domain": "x", "format": "email"}},
    "country=keep": "keep",
    "plate=python:fleet.privacy:shorten": {"python": "fleet.privacy:shorten"},
    "born=date:year": {"date": "year"},
    "code=constant:007": {"constant": "007"},
    "code=constant:'a, b'": {"constant": "a, b"},
    "country=constant:NO": {"constant": "NO"},
    "phone=mask:4,char=#": {"mask": {"keep_last": 4, "char": "#"}},
    "plan=map:values={gold: paid},default=other": {"map": {"values": {"gold": "paid"}, "default": "other"}},
    "email=pseudonym:format=email,keep_domains=[a.org, b.org]": {
        "pseudonym": {"format": "email", "keep_domains": ["a.org", "b.org"]}
    },
    "x=null": "null",
    "income=top_code:250000.5": {"top_code": 250000.5},
    "born=top_code:max_age=89,at=2026-01-01": {"top_code": {"max_age": 89, "at": "2026-01-01"}},
}


@pytest.mark.parametrize(("setting", "written"), SETTINGS.items())
def test_a_setting_is_the_same_step_as_its_yaml(setting, written):
    column, step = parse_setting(setting)
    assert column == setting.partition("=")[0]
    assert to_yaml(step) == written
    assert parse_step(written) == step


def test_a_step_may_be_a_word_a_value_or_a_mapping():
    assert parse_step("mask") == parse_step({"mask": {}}) == parse_step({"mask": {"min_hidden": 4}})
    assert parse_step({"mask": 3}) == parse_step({"mask": {"keep_last": 3}})
    assert parse_step(None) == parse_step("null")


def test_a_condition_stands_beside_the_transform():
    step = parse_step({"redact": {}, "when": 'country == "DE"'})
    assert step.when == 'country == "DE"'
    assert parse_step(to_yaml(step)) == step


def test_a_treatment_is_one_step_or_a_list():
    assert parse_treatment("keep") == parse_treatment(["keep"])
    assert [step.name for step in parse_treatment([{"date": "year"}, "redact"])] == ["date", "redact"]


def test_steps_can_be_sent_to_workers():
    step = parse_step({"pseudonym": {"domain": "x"}, "when": "a is null"})
    assert pickle.loads(pickle.dumps(step)) == step


MISTAKES = {
    "psuedonym": ('unknown transform "psuedonym"', 'did you mean "pseudonym"?'),
    "prefx:3": ('unknown transform "prefx"', 'did you mean "prefix"?'),
    "qqqq": ('unknown transform "qqqq"', "`pydp policy schema` lists them"),
    "mask:keep_lst=4": ('transform "mask" has no option "keep_lst"', 'did you mean "keep_last"?'),
    "mask:keep_last=four": ('"keep_last" must be a whole number', None),
    "mask:keep_last=-1": ('"keep_last" must be at least 0', None),
    "mask:min_hidden=1.5": ('"min_hidden" must be a whole number', None),
    "mask:keep_length=perhaps": ('"keep_length" must be true or false', None),
    "mask:char=": ('"char" must not be empty', None),
    "date:yearly": ('"truncate" must be one of: year, quarter, month, week, day, hour', None),
    "date": ('transform "date" lacks "truncate"', None),
    "keep:5": ('"keep" has an option without a name', "write OPTION=VALUE, and quote a value that has a comma"),
    "top_code:max=1,max_age=2": ("give either `max` (numbers) or `max_age` (birth dates)", None),
    "constant:[1, 2]": (
        (
            '"value" must be text, true or false, a whole number, a number, a date like YYYY-MM-DD or a time like '
            "YYYY-MM-DDThh:mm:ss"
        ),
        None,
    ),
    "mask:1,2": ('"mask" has an option without a name', "write OPTION=VALUE, and quote a value that has a comma"),
    "mask:keep_last=1,keep_last=2": ('option "keep_last" is set twice', None),
    "constant:'a": ("a quote is not closed", None),
    "constant:[a": ("a bracket is not closed", None),
    "constant:a]": ("a bracket is closed that was not opened", None),
}


@pytest.mark.parametrize(("setting", "told"), MISTAKES.items())
def test_a_mistake_in_a_setting_is_named(setting, told):
    with pytest.raises(UsageError) as caught:
        parse_setting(f"email={setting}")
    assert (caught.value.message, caught.value.hint) == told
    assert caught.value.place == "--set email"


@pytest.mark.parametrize("setting", ["email", "=keep", "email=", "", "email=:3"])
def test_a_setting_without_column_or_transform_is_refused(setting):
    with pytest.raises(UsageError, match="COLUMN=TRANSFORM"):
        parse_setting(setting)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"mask": 1, "redact": {}}, "a step has one transform; here are 2: mask, redact"),
        ({}, "a step has one transform"),
        ({"when": "a is null"}, "a step has one transform"),
        ({"mask": 1, "when": 5}, '"when" must be a condition, as in `country == "DE"`'),
        ({"mask": {"keep_last": 1, "when": "x"}}, 'transform "mask" has no option "when"'),
        ({"keep": 5}, 'transform "keep" takes no value of its own'),
        (5, "a step is the name of a transform, or a mapping from it to its options"),
    ],
)
def test_a_mistake_in_a_step_is_named(raw, message):
    with pytest.raises(PolicyError) as caught:
        parse_step(raw)
    assert [problem.message for problem in caught.value.problems] == [message]


def test_every_mistake_is_reported_at_once():
    with pytest.raises(PolicyError) as caught:
        parse_treatment([{"mask": {"keep_first": "x", "keep_lst": 1}}, "psuedonym"])
    assert len(caught.value.problems) == 3


def test_an_empty_list_is_not_a_treatment():
    with pytest.raises(PolicyError, match="at least one step"):
        parse_treatment([])


@given(st.text(max_size=60))
def test_any_text_is_a_setting_or_a_usage_error(text):
    try:
        column, step = parse_setting("a=" + text)
    except UsageError as error:
        assert error.place is not None  # noqa: PT017
    else:
        assert column == "a"
        assert parse_step(to_yaml(step)) == step


@given(st.integers(0, 50), st.integers(0, 50), st.characters(exclude_categories=["C", "Z"]), st.booleans())
def test_options_survive_the_way_through_yaml(first, last, char, keep_length):
    step = parse_step({"mask": {"keep_first": first, "keep_last": last, "char": char, "keep_length": keep_length}})
    assert parse_step(to_yaml(step)) == step


def test_no_message_repeats_a_value():
    with pytest.raises(UsageError) as caught:
        parse_setting("a=mask:keep_last=secret-value,char=secret-value,min_hidden=secret-value")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"), ("yes", "yes"), ("on", "on"), ("true", True), ("null", None), ("~", None), ("007", "007"),
        ("7", 7), ("-7", -7), ("2_000_000", 2_000_000), ("1_", "1_"), ("1e5", 1e5), ("1.50", 1.5), (".5", 0.5),
        ("5.", 5.0), ("0", 0), ("0.5", 0.5), ("00.5", "00.5"), ("0x1F", 31), ("2026-01-01", "2026-01-01"),
        ("12:30", "12:30"), ("+49", 49), (".", "."), ("-", "-"), ("1" * 65, "1" * 65), ("٣", "٣"), ("e5", "e5"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_but_codes_and_dates_stay_text(text, value):
    assert plain_scalar(text) == value
    assert type(plain_scalar(text)) is type(value)


def test_quoted_scalars_stay_text():
    assert flow_value("'5'") == "5"
    assert flow_value('"a\\"b"') == 'a"b'
    assert flow_value("['1', 1]") == ["1", 1]
    assert flow_value("{'a, b': 1, c: '2'}") == {"a, b": 1, "c": "2"}
