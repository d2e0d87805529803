import pickle

import pyarrow as pa
import pytest

from pydp_cli.errors import BadValue, InputError
from pydp_cli.transforms.generalize import Generalize
from pydp_cli.transforms.hierarchy import read_hierarchy
from pydp_cli.transforms.registry import Binding
from tests.transforms.columns import derive_key, treat

EDUCATION = "Bachelors;Higher education;*\nMasters;Higher education;*\n9th;School;*\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "education.csv").write_text(EDUCATION, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0, ["Bachelors", "9th", None]),
        (1, ["Higher education", "School", None]),
        (2, ["*", "*", None]),
    ],
)
def test_replaces_by_the_group_at_the_level(folder, level, expected):
    options = Generalize(hierarchy="education.csv", level=level)

    assert treat(options, pa.array(["Bachelors", "9th", None]), base_dir=folder).to_pylist() == expected


def test_numbers_are_looked_up_by_their_text(tmp_path):
    (tmp_path / "ages.csv").write_text("\ufeff7,0-9\n12,10-19\n", encoding="utf-8")
    options = Generalize(hierarchy="ages.csv", level=1, delimiter=",")

    assert treat(options, pa.array([7, 12, None], pa.int8()), base_dir=tmp_path).to_pylist() == ["0-9", "10-19", None]


def test_unknown_values_follow_the_policy_and_are_not_quoted(folder):
    column = pa.array(["9th", "secret", None])

    assert treat(
        Generalize(hierarchy="education.csv", level=1, unknown="redact"), column, base_dir=folder
    ).to_pylist() == [
        "School",
        "*",
        None,
    ]
    nulls = Generalize(hierarchy="education.csv", level=1, unknown="null")
    assert nulls.makes_null()
    assert treat(nulls, column, base_dir=folder).to_pylist() == ["School", None, None]
    with pytest.raises(BadValue) as raised:
        treat(Generalize(hierarchy="education.csv", level=1), column, base_dir=folder)
    assert raised.value.rows == (1,)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a;b\n\nc\n", "1 levels where the first line has 2"),
        (b"a;b\na;b\n", "listed twice"),
        (b"", "empty"),
        (b"\xff;b\n", "not UTF-8"),
        (b'"a;b\n', "not CSV"),
        (None, "cannot read the hierarchy: No such file"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "h.csv").write_bytes(content)

    with pytest.raises(InputError, match=message):
        read_hierarchy(tmp_path / "h.csv")


def test_a_level_that_is_not_there_is_refused_before_a_row_is_read(folder):
    with pytest.raises(InputError, match="there is no level 3: the highest is 2"):
        Generalize(hierarchy="education.csv", level=3).bind(Binding("d", "c", pa.string(), derive_key, folder))


def test_travels_to_workers(folder):
    function = Generalize(hierarchy="education.csv", level=1).bind(Binding("d", "c", pa.string(), derive_key, folder))

    assert pickle.loads(pickle.dumps(function))(pa.array(["9th"])).to_pylist() == ["School"]


def test_says_what_it_leaks():
    assert Generalize(hierarchy="x", level=1).leak() == "the group at level 1"
    assert Generalize(hierarchy="x", level=0).leak() == "every value that the file lists"
