"""What a policy says of people's rights is checked against itself, the files beside the data, and their schema."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pydp_cli.pipeline.survey import check_files
from pydp_cli.policy.checks import check_policy
from pydp_cli.policy.loader import load_policy
from pydp_cli.policy.rights import duration_days

START = """version: 1
identities: {person: {}}
purposes:
  books: {basis: legal-obligation, keep: P10Y}
datasets:
  people:
    path: data/people.parquet
    identifiers: {id: person}
    other_columns: keep
"""


def problems(folder, more="", *, dataset=None):
    (folder / "pydp.yml").write_text(START + more)
    (folder / "data").mkdir(exist_ok=True)
    if not (folder / "data/people.parquet").exists():
        write(folder, "people", id=[1], name=["Anna"])
    policy = load_policy(folder / "pydp.yml")
    found = check_policy(policy) if dataset is None else check_files(policy, dataset)[1]
    return [(problem.severity, problem.message) for problem in found]


def write(folder, file, schema=None, **columns):
    (folder / "data").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns, schema=schema), folder / f"data/{file}.parquet")


def test_a_policy_that_reaches_everything_is_sound(tmp_path):
    assert problems(tmp_path) == []


def test_links_in_a_circle(tmp_path):
    found = problems(
        tmp_path,
        "    links: {boss: teams.lead}\n"
        "  teams: {path: data/t.parquet, other_columns: keep, links: {lead: people.boss}}\n",
    )
    assert ("error", "links go in a circle: people.boss → teams.lead → people.boss") in found


def test_a_dataset_that_nobody_can_be_found_in(tmp_path):
    more = "  visits: {path: data/visits.csv, other_columns: keep}\n"
    message = 'nobody can be found in dataset "visits": it has no identifiers and no links'
    assert problems(tmp_path, more) == [("warning", message)]
    linked = "  visits: {path: data/visits.csv, other_columns: keep, links: {who: people.id}}\n"
    assert problems(tmp_path, linked) == []


@pytest.mark.parametrize("name", ["old.csv", "people.parquet~", "export.json", "people.csv.bak", "deep/er/x.tsv.gz"])
def test_files_that_no_dataset_claims(tmp_path, name):
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    path.write_text("x")
    assert problems(tmp_path) == [("warning", f"no dataset claims data/{name}")]
    assert problems(tmp_path, 'not_personal: [{path: "data/*", because: test}]\n') == []


def test_many_files_are_told_in_short(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(9):
        (tmp_path / f"data/{number}.csv").write_text("x")
    ((_, message),) = problems(tmp_path)
    assert message.endswith("data/4.csv and 4 more")


def test_identifiers_in_the_names_of_folders(tmp_path):
    more = '  logs: {path: "data/logs/id=*/*.csv", other_columns: keep, identifiers: {id: person}}\n'
    message = 'dataset "logs" is partitioned by "id": the names of its folders identify people'
    assert ("warning", message) in problems(tmp_path, more)


def test_retention_that_is_shorter_than_an_obligation(tmp_path):
    more = "    purposes: [books]\n    retention: {clock: name, keep: P3Y, then: THEN}\n"
    ((severity, message),) = problems(tmp_path, more.replace("THEN", "delete_row"))
    assert severity == "error"
    assert "P3Y" in message
    assert "P10Y" in message
    assert problems(tmp_path, more.replace("THEN", "review")) == []
    assert problems(tmp_path, more.replace("P3Y", "P120M").replace("THEN", "delete_row")) == []


@pytest.mark.parametrize(
    ("erase", "message"),
    [
        ("keep", 'rows of "people" are kept, and nothing says why'),
        ("mask", '"mask" does not say which columns of "people" it is for'),
        ("unlink", '"unlink" is for datasets with links, and "people" has none'),
    ],
)
def test_erasing_that_says_too_little(tmp_path, erase, message):
    assert problems(tmp_path, f"    erase: {{action: {erase}}}\n") == [("error", message)]


@pytest.mark.parametrize(
    ("value", "wrong"), [("null", True), ("0", False), ("none", True), ("7.5", True), ("300", True)]
)
def test_what_a_column_cannot_take(tmp_path, value, wrong):
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("age", pa.int8(), nullable=False)])
    write(tmp_path, "people", schema, id=[1], age=[2])
    found = problems(tmp_path, f"    erase: {{action: mask, set: {{age: {value}}}}}\n", dataset="people")
    assert [severity for severity, _ in found] == (["error"] if wrong else [])


def test_a_column_that_is_not_there(tmp_path):
    found = problems(tmp_path, "    erase: {action: mask, set: {age: null}}\n", dataset="people")
    assert found == [("error", '`erase` names column "age", which the data does not have')]


@pytest.mark.parametrize(("text", "days"), [("P1Y", 365.25), ("P2W", 14), ("P12M", 365.25), ("P1DT12H", 1.5)])
def test_durations_are_compared_in_days(text, days):
    assert duration_days(text) == pytest.approx(days)
