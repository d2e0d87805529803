"""A transform's name is its own: nothing that comes later takes it over."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from pydp_cli.errors import UsageError
from pydp_cli.transforms import registry
from pydp_cli.transforms.registry import TransformOptions, find_transform, transform
from pydp_cli.transforms.types import ANY

REGISTER = """
from pydp_cli.errors import UsageError
from pydp_cli.transforms.registry import TransformOptions, find_transform, transform
from pydp_cli.transforms.types import ANY

try:
    @transform("mask", takes=ANY, reversible=False, leaks="all")
    class Mine(TransformOptions):
        "Take the place of ours."
except UsageError as error:
    print(error.message)
print(find_transform("mask").__module__)
"""


def named(name):
    return transform(name, takes=ANY, reversible=False, leaks="nothing")


def test_a_name_that_is_taken_is_refused_and_the_first_stays():
    first = find_transform("redact")
    with pytest.raises(UsageError, match='there is a transform "redact" already') as raised:
        named("redact")(type("Mine", (TransformOptions,), {}))
    assert raised.value.hint == "it is pydp_cli.transforms.redact.Redact: give this one another name"
    assert find_transform("redact") is first


def test_a_built_in_that_is_not_loaded_yet_keeps_its_name():
    done = subprocess.run([sys.executable, "-c", REGISTER], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ['there is a transform "mask" already', "pydp_cli.transforms.mask"]


def test_an_entry_point_does_not_replace_a_built_in():
    entry = EntryPoint("redact", "pydp_cli.transforms.mask:Mask", "pydp.transforms")
    assert find_transform("redact") is not None
    with pytest.raises(UsageError, match='there is a transform "redact" already'):
        registry._offer(entry)


def test_a_definition_that_is_loaded_again_keeps_its_name():
    first = find_transform("redact")
    again = type("Redact", (TransformOptions,), {"__module__": first.__module__})
    try:
        assert named("redact")(again) is again
    finally:
        registry._REGISTRY["redact"] = first
