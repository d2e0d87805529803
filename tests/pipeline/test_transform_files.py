"""Files are found, matched with their datasets, treated, and published together or not at all."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.errors import BadValue, InputError, PolicyError, UsageError
from pydp_cli.pipeline.transform_files import Request, find_files, transform_files
from pydp_cli.policy.loader import parse_policy
from tests.pipeline.rings import policy, run

TWO = """version: 1
datasets:
  people: {path: "people/*.csv", columns: {id: keep}}
  orders: {path: orders, columns: {id: keep}}
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("people/a.csv", "people/b.csv", "orders/year=2025/a.csv", "orders/year=2026/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("id\n1\n")
    return tmp_path


def two(folder):
    return parse_policy(TWO.encode(), base_dir=folder)


def test_without_an_input_the_dataset_names_its_files(folder):
    found = find_files(Request("anonymize", two(folder), dataset="people"))
    assert [(name, file.relative_name) for name, file in found] == [("people", "a.csv"), ("people", "b.csv")]


def test_an_input_tells_its_dataset_by_where_it_is(folder):
    paths = (str(folder / "people" / "b.csv"), str(folder / "orders" / "year=2026" / "a.csv"))
    assert [name for name, _ in find_files(Request("anonymize", two(folder), paths))] == ["people", "orders"]


def test_an_input_of_no_dataset_needs_a_choice(folder):
    (folder / "other.csv").write_text("id\n1\n")
    with pytest.raises(UsageError, match="no dataset"):
        find_files(Request("anonymize", two(folder), (str(folder / "other.csv"),)))
    chosen = Request("anonymize", two(folder), (str(folder / "other.csv"),), dataset="people")
    assert [name for name, _ in find_files(chosen)] == ["people"]


def test_several_datasets_and_no_input_need_a_choice(folder):
    with pytest.raises(UsageError, match="several datasets"):
        find_files(Request("anonymize", two(folder)))


def test_hive_partitions_keep_their_folders(folder):
    transform_files(Request("anonymize", two(folder), dataset="orders", output=str(folder / "out")), lambda: None)
    assert sorted(str(path.relative_to(folder / "out")) for path in (folder / "out").rglob("*.csv")) == [
        "year=2025/a.csv",
        "year=2026/a.csv",
    ]


@pytest.mark.parametrize(
    ("content", "error"),
    [("id\n1,2\n", InputError), ("other\n1\n", PolicyError), ("", InputError), ("id\nx\n", BadValue)],
)
def test_when_one_file_fails_none_is_published(folder, content, error):
    (folder / "people" / "b.csv").write_text(content)
    chosen = parse_policy(TWO.replace("{id: keep}", "{id: {round: 0}}", 1).encode(), base_dir=folder)
    with pytest.raises(error):
        transform_files(Request("anonymize", chosen, dataset="people", output=str(folder / "out")), lambda: None)
    assert [path for path in (folder / "out").rglob("*") if path.is_file()] == []


def test_the_report_counts_rows_nulls_and_values_that_stayed(tmp_path):
    pq.write_table(pa.table({"id": ["a", "bbbb", None], "n": [1, None, 3]}), tmp_path / "in.parquet")
    chosen = policy({"id": "{prefix: 2}", "n": "keep"})
    report = run(chosen, tmp_path / "in.parquet", tmp_path / "out.parquet", measure=True).as_json()
    column = report["files"][0]["columns"][0]
    assert (report["rows_in"], report["rows_out"], report["policy_sha256"]) == (3, 3, chosen.digest)
    assert (column["nulls_in"], column["nulls_out"], column["values_unchanged"]) == (1, 1, 1)
