"""What a pipeline is said to do is what it does."""

import pyarrow as pa

from pydp_cli.pipeline.compile import compile_pipeline
from pydp_cli.pipeline.explain import explain
from tests.pipeline.rings import policy

SCHEMA = pa.schema([("id", pa.string()), ("born", pa.string()), ("note", pa.string()), ("zip", pa.string())])


def stories(keyring, **columns):
    columns = dict.fromkeys(SCHEMA.names, "keep") | columns
    pipeline = compile_pipeline(policy(columns), dataset="people", schema=SCHEMA, keyring=keyring)
    return {story.column: story for story in explain(pipeline)}


def test_types_steps_and_keys_are_told(keyring):
    told = stories(keyring, id="{token: {on_small: redact}}", born="{age_from: 2026-01-01}", note="drop")
    assert (told["born"].type_in, told["born"].type_out) == ("text", "int32")
    assert told["born"].steps == ("parse", "age_from")
    assert told["id"].reversible
    assert told["id"].keys == (f"token ({keyring.primary('token').key_id.hex()})",)
    assert (told["note"].type_out, told["note"].steps, told["note"].leaks) == (None, ("drop",), "nothing")
    assert (told["zip"].steps, told["zip"].leaks, told["zip"].reversible) == (("keep",), "everything", False)


def test_a_condition_leaves_the_other_rows_as_they_are_and_says_so(keyring):
    told = stories(keyring, zip='{redact: {}, when: id == "1"}')["zip"]
    assert told.leaks.startswith('where id == "1": ')
    assert told.leaks.endswith("; elsewhere: everything")


def test_the_last_step_tells_what_is_left_also_where_keep_follows_it(keyring):
    once, twice = stories(keyring, zip="{prefix: 2}")["zip"], stories(keyring, zip="[{prefix: 2}, keep]")["zip"]
    assert once.leaks == twice.leaks != "everything"
