"""Local differential privacy as a user runs it: debited before a row is read, named with its epsilon, corrected for."""

import json
import shutil
import sqlite3
import subprocess
import time

import pytest

POLICY = """version: 1
datasets:
  survey:
    path: survey.csv
    columns:
      id: drop
      answer: {randomized_response: {categories: [yes, no], epsilon: 1.5, rows_per_person: 2}}
      income: {type: int64, anonymize: {dp_noise: {min: 0, max: 10000, unit: 100, epsilon: 0.5}}}
      town: keep
statistics:
  budget: {epsilon: BUDGET}
  unit: row
  queries:
    answers:
      dataset: survey
      group_by: [{town: {keys: [Graz, Wien]}}, {answer: {randomized: true}}]
      release: {people: count}
      epsilon: 1
"""
SURVEY = "id,answer,income,town\n" + "".join(
    f"{n},{'yes' if n % 5 else 'no'},{n % 90}00,{'Graz' if n % 2 else 'Wien'}\n" for n in range(4000)
)


@pytest.fixture
def survey(work):
    work.write("pydp.yml", POLICY.replace("BUDGET", "8"))
    work.write("survey.csv", SURVEY)
    return work


def publish(survey, *more):
    return survey.pydp("anonymize", "--dataset", "survey", "-o", "out.csv", *more)


def spent(survey):
    shown = json.loads(survey.pydp("budget", "show", "--json").out)
    return shown[0]["epsilon spent"] if shown else 0


def test_a_run_is_debited_and_named(survey):
    done = publish(survey)
    assert done.code == 0, done.err
    assert "survey: epsilon 3.5 for each person was debited (answer 3, income 0.5)" in done.err
    assert spent(survey) == 3.5
    (entry,) = json.loads(survey.pydp("budget", "history", "--json").out)
    assert (entry["query"], entry["epsilon"], entry["state"]) == ("anonymize: answer, income", "3.5", "committed")
    rows = survey.read("out.csv").splitlines()
    assert rows[0] == "answer,income,town"
    assert len(rows) == 4001
    (logged,) = json.loads(survey.pydp("audit", "query", "--event", "budget.debited", "--json").out)
    assert logged["details"]["epsilon"] == 3.5


def test_every_run_costs_again_until_nothing_is_left(survey):
    assert publish(survey).code == 0
    assert publish(survey, "--force").code == 0
    survey.path("out.csv").unlink()
    refused = publish(survey)
    assert (refused.code, survey.path("out.csv").exists(), spent(survey)) == (4, False, 7.0)
    assert "does not allow" in refused.err


def test_what_cannot_run_costs_nothing(survey):
    survey.write("out.csv", "mine")
    assert publish(survey).code == 2
    survey.write("survey.csv", "id,answer,town\n1,yes,Graz\n")
    assert publish(survey, "--force").code == 2
    assert publish(survey, "--dry-run").code in {0, 2}
    assert spent(survey) == 0


def test_a_dry_run_costs_nothing(survey):
    assert publish(survey, "--dry-run").code == 0
    assert spent(survey) == 0


def test_killed_after_the_debit_it_stays_debited(survey):
    survey.write("survey.csv", SURVEY + SURVEY.partition("\n")[2] * 400)
    run = survey.start("anonymize", "--dataset", "survey", "-o", "out.csv", stderr=subprocess.DEVNULL)
    ledger = survey.path(".pydp/ledger.sqlite")
    while run.poll() is None:
        if ledger.exists():
            with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
                if (
                    connection.execute("SELECT name FROM sqlite_master WHERE name = 'entry'").fetchone()
                    and (connection.execute("SELECT count(*) FROM entry").fetchone()[0])
                ):
                    break
        time.sleep(0.001)
    run.kill()
    run.wait()
    assert not survey.path("out.csv").exists()
    assert spent(survey) == 3.5
    (entry,) = json.loads(survey.pydp("budget", "history", "--json").out)
    assert entry["state"] == "reserved"


def test_without_a_policy_the_epsilon_is_named_and_nobody_keeps_count(work):
    work.write("survey.csv", SURVEY)
    settings = ("--set", "income=dp_noise:min=0,max=9000,unit=100,epsilon=1", "--other-columns", "drop")
    done = work.pydp("anonymize", "survey.csv", "-o", "out.csv", *settings)
    assert "income: epsilon 1 for each person; without a policy nothing keeps count" in done.err


def test_statistics_of_the_published_answers_are_corrected(survey):
    assert publish(survey).code == 0
    done = survey.pydp("dp-stats", "out.csv", "--query", "answers", "--json")
    assert done.code == 0, done.err
    released = json.loads(done.out)
    assert released["randomized"] == {"column": "answer", "epsilon": 1.5}
    truth = {("Graz", "yes"): 1600, ("Graz", "no"): 400, ("Wien", "yes"): 1600, ("Wien", "no"): 400}
    for row in released["rows"]:
        expected = truth[row["town"], row["answer"]]
        spread = row["people_high"] - row["people_low"]
        assert abs(row["people"] - expected) < 2 * spread  # some eight standard deviations
        assert 50 < spread < 400
    text = survey.pydp("dp-stats", "out.csv", "--query", "answers")
    assert "were randomized before, with epsilon 1.5 a row" in " ".join(text.err.split())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{people: count}", "{money: {sum: income, bounds: [0, 100]}}", "cannot be corrected"),
        ("{town: {keys: [Graz, Wien]}}", "{town: {unknown: true}}", "goes with groups that are public"),
        ("{town: {keys: [Graz, Wien]}}", "{town: {randomized: true}}", "does not say how"),
        ("{town: {keys: [Graz, Wien]}}", "{town: {randomized: {categories: [a], epsilon: 1}}}", "at least 2"),
        (
            "{town: {keys: [Graz, Wien]}}",
            "{town: {randomized: {categories: [a, b], epsilon: 1}}}",
            "one column at most",
        ),
        ("{randomized: true}", "{randomized: true, keys: [yes]}", "has the keys that"),
    ],
)
def test_what_cannot_be_corrected_is_refused(survey, old, new, message):
    text = POLICY.replace("BUDGET", "8").replace(old, new)
    survey.write("pydp.yml", text.replace("epsilon: 1\n", "epsilon: 1\n      delta: 1e-6\n"))
    done = survey.pydp("dp-stats", "--query", "answers")
    assert (done.code, message in done.err) == (2, True), done.err


def test_an_older_ledger_is_noticed_by_the_audit_log_on_any_machine(survey, monkeypatch, tmp_path):
    ledger = survey.path(".pydp/ledger.sqlite")
    assert survey.pydp("dp-stats", "survey.csv", "--query", "answers").code == 0
    shutil.copy(ledger, survey.path("old"))
    assert publish(survey).code == 0
    shutil.copy(survey.path("old"), ledger)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    for command in (("budget", "show"), ("dp-stats", "survey.csv", "--query", "answers")):
        done = survey.pydp(*command)
        assert (done.code, "older than one that was used before" in done.err) == (3, True)
