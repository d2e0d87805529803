import pickle
import sys

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pydp_cli.errors import InputError, UsageError
from pydp_cli.transforms.python import PythonFunction, load_function
from pydp_cli.transforms.registry import Binding
from tests.transforms.columns import derive_key, treat

SOURCE = """
import pandas as pd

def shout(column):
    return column.str.upper()

def lengths(column):
    return column.str.len()

def add_one(column):
    return column + 1

def short(column):
    return column.iloc[1:]

def scalar(column):
    return 7

def raises(column):
    raise ValueError("the value is " + column.iloc[0])

def types(column):
    return pd.Series([str(column.dtype)] * len(column))

answer = 42
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "our_rules.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "broken_rules.py").write_text("x = (1\n", encoding="utf-8")
    yield tmp_path
    for name in ("our_rules", "broken_rules"):
        sys.modules.pop(name, None)
    load_function.cache_clear()


def ours(function, **options):
    return PythonFunction(function=f"our_rules:{function}", from_policy_dir=True, **options)


def test_calls_the_function_with_the_column(folder):
    column = pa.array(["a", None, "é"])

    assert treat(ours("shout"), column, base_dir=folder).to_pylist() == ["A", None, "É"]
    assert treat(ours("lengths", returns="integer"), column, base_dir=folder).to_pylist() == [1, None, 1]


def test_integers_with_nulls_stay_integers(folder):
    column = pa.array([2**62, None, 1])

    assert treat(ours("add_one"), column, base_dir=folder).to_pylist() == [2**62 + 1, None, 2]
    assert treat(ours("types", returns="text"), column, base_dir=folder).to_pylist() == ["int64[pyarrow]"] * 3


def test_the_policys_folder_is_searched_only_when_asked(folder):
    with pytest.raises(InputError, match="cannot import"):
        PythonFunction(function="our_rules:shout").bind(Binding("d", "c", pa.string(), derive_key, folder))
    assert str(folder) not in sys.path


def test_the_policys_folder_shadows_nothing_that_is_installed(folder):
    sys.modules.pop("colorsys", None)
    (folder / "colorsys.py").write_text("def rgb_to_hsv(column): return column", encoding="utf-8")

    found = load_function("colorsys:rgb_to_hsv", folder)

    assert str(folder) not in found.__code__.co_filename
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("no_such_module:x", "cannot import"),
        ("our_rules:nothing", 'has no function "nothing"'),
        ("our_rules:answer", 'has no function "answer"'),
        ("broken_rules:x", "raised SyntaxError"),
    ],
)
def test_what_cannot_be_found_is_an_error_before_a_row_is_read(folder, function, message):
    with pytest.raises(InputError, match=message):
        PythonFunction(function=function, from_policy_dir=True).bind(Binding("d", "c", pa.string(), derive_key, folder))


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("short", {}, "gave 1 values for 2 rows"),
        ("scalar", {}, "gave no column for 2 rows"),
        ("shout", {"returns": "integer"}, "gave values that are not int64"),
        ("raises", {}, "raised ValueError at our_rules.py:20"),
    ],
)
def test_what_goes_wrong_is_told_without_a_value(folder, function, options, message):
    with pytest.raises(UsageError, match=message) as raised:
        treat(ours(function, **options), pa.array(["secret", "b"]), base_dir=folder)

    assert "secret" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__} {raised.value.__context__}"


def test_travels_to_workers_by_name(folder):
    function = ours("shout").bind(Binding("d", "c", pa.string(), derive_key, folder))

    assert pickle.loads(pickle.dumps(function))(pa.array(["a"])).to_pylist() == ["A"]


@pytest.mark.parametrize("name", ["", "os.system", "os:", ":x", "a b:c", "os:system()", "../x:y", "a..b:c"])
def test_takes_the_name_of_a_function_and_nothing_else(name):
    with pytest.raises(ValidationError):
        PythonFunction(function=name)
