"""Editors are told of the whole language: what loads is valid, and common mistakes are not."""

import json
from pathlib import Path

import jsonschema
import pytest

from pydp_cli.policy.document import read_document
from pydp_cli.policy.model import ColumnPolicy
from pydp_cli.policy.schema import policy_json_schema
from pydp_cli.transforms.registry import transforms
from tests.policy.examples import EXAMPLE, policy_with

FIXTURE = Path(__file__).parents[2] / "fixtures" / "pydp.yml"


@pytest.fixture(scope="module")
def validator():
    schema = policy_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


def data(text):
    return read_document(text.encode(), "pydp.yml").data()


def test_the_example_is_valid(validator):
    validator.validate(data(EXAMPLE))


@pytest.mark.skipif(not FIXTURE.exists(), reason="the fixtures have no policy yet")
def test_the_fixtures_policy_is_valid(validator):
    validator.validate(data(FIXTURE.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "column",
    ["a: keep", "a: null", "a: decide", "a: {prefix: 3}", "a: {prefix: {keep: 3}}", "a: [{date: year}, redact]",
     "a: {redact: {}, when: a is null}", "a: {type: date, anonymize: decide}", "a: {encrypt: fpe}",
     "a: {map: {values: {b: c}, default: d}}", "a: {top_code: {max_age: 89, at: 2026-01-01}}"],
)  # fmt: skip
def test_every_form_is_valid(validator, column):
    assert validator.is_valid(data(policy_with([column])))


@pytest.mark.parametrize(
    "column",
    ["a: redakt", "a: {prefx: 3}", "a: {mask: {keep_lst: 4}}", "a: {mask: {keep_last: x}}", "a: {date: yr}", "a: date",
     "a: {encrypt: maybe}", "a: []", "a: {anonymise: keep}"],
)  # fmt: skip
def test_mistakes_are_not_valid(validator, column):
    assert not validator.is_valid(data(policy_with([column])))


def test_every_transform_has_its_options(validator):
    for name, model in transforms().items():
        described = json.dumps(validator.schema["$defs"][f"Step {name}"])
        assert all(f'"{field.alias or option}"' in described for option, field in model.model_fields.items())


def test_no_transform_is_named_like_a_key_of_a_column():
    assert not transforms().keys() & {*ColumnPolicy.model_fields, "when"}
