import pytest

from pydp_cli.errors import PolicyError
from pydp_cli.policy.loader import load_policy

POLICY = """version: 1
datasets:
  orders: {path: a.csv, other_columns: keep}
  %s: {path: b.csv, other_columns: keep}
"""


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "a/b",
        "a\\\\b",
        ".",
        "..",
        ".x",
        "",
        "  ",
        "x ",
        "x.",
        "a:b",
        "<b>",
        "=cmd()",
        "a\\u202eb",
        "a\\0b",
        "n" * 101,
    ],
)
def test_a_dataset_is_not_named_by_what_is_no_file_name(tmp_path, name):
    path = tmp_path / "pydp.yml"
    path.write_text(POLICY % f'"{name}"')
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    (problem,) = caught.value.problems
    assert (problem.message, problem.place) == ("a dataset cannot have this name", f"{path}:4:3")


@pytest.mark.parametrize("name", ["customers", "2026-q1 (old)", "Straße", "a.b", "顧客"])
def test_a_dataset_is_named_in_any_language(tmp_path, name):
    path = tmp_path / "pydp.yml"
    path.write_text(POLICY % f'"{name}"')
    assert name in load_policy(path).datasets
