"""`pydp dp-stats` as a user runs it."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ORDERS = "id,who,country,total,age\n" + "".join(
    f"{row},{row // 2},{('DE', 'FR', 'IT')[row % 3]},{row % 100}.50,{row % 80}\n" for row in range(3000)
)
POLICY = """version: 1
datasets:
  orders:
    path: orders.csv
    identifiers: {who: who}
    other_columns: keep
identities: {who: {}}
statistics:
  budget: {epsilon: 2.5, delta: 1.0e-6, per: P1Y, per_query: 2}
  user: who
  contribution: {groups: 2, rows_per_group: 1}
  queries:
    revenue:
      dataset: orders
      group_by: [{country: {keys: [DE, FR, IT]}}]
      release:
        orders: count
        people: count_users
        revenue: {sum: total, bounds: [0, 100], unit: 0.01}
        basket: {mean: total, bounds: [0, 100], unit: 0.01}
        spread: {std: total, bounds: [0, 100], unit: 0.01}
        typical: {quantiles: [0.25, 0.5, 0.75], of: total, bounds: [0, 100]}
        ages: {histogram: age, edges: [0, 18, 30, 80]}
      epsilon: 1.0
    private:
      dataset: orders
      group_by: [{country: {unknown: true}}]
      release: {n: count_users}
      epsilon: 1.0
      delta: 1.0e-6
"""


@pytest.fixture
def shop(work):
    work.write("orders.csv", ORDERS)
    work.write("pydp.yml", POLICY)
    return work


def adhoc(shop, *options):
    return shop.pydp("dp-stats", "orders.csv", "--user", "who", "--epsilon", "20", *options)


def test_counts_by_public_groups_are_near_the_truth_and_say_what_they_promise(shop):
    ran = adhoc(shop, "--count", "--group-by", "country=DE,FR,IT,XX", "--groups-per-person", "2", "--json")
    assert ran.code == 0
    told = json.loads(ran.out)
    assert [row["country"] for row in told["rows"]] == ["DE", "FR", "IT", "XX"]
    for row, truth in zip(told["rows"], [1000, 1000, 1000, 0], strict=True):
        assert abs(row["count"] - truth) < 30
        assert row["count_low"] <= row["count"] <= row["count_high"]
    assert (told["epsilon"], told["delta"], told["groups_per_unit"]) == (20, 0, 2)


def test_a_query_of_the_policy_has_all_its_statistics_and_the_second_time_is_free(shop):
    first = shop.pydp("dp-stats", "--query", "revenue", "--json", "--epsilon", "2")
    assert first.code == 0, first.err
    row = json.loads(first.out)["rows"][0]
    assert {"orders", "people", "revenue", "basket", "spread", "typical_0.25", "ages_18_to_30", "ages_30_up"} <= set(
        row
    )
    assert 20 < row["basket"] < 80
    assert row["typical_0.25"] <= row["typical_0.5"] <= row["typical_0.75"]
    again = shop.pydp("dp-stats", "--query", "revenue", "--json", "--epsilon", "2")
    assert again.out == first.out
    assert "at no cost" in again.err
    over = shop.pydp("dp-stats", "--query", "private")
    assert (over.code, over.out) == (4, "")
    assert "does not allow" in over.err


def test_a_private_group_of_one_person_is_not_named(shop):
    shop.write("orders.csv", ORDERS + "x,only,SECRET,1,1\n")
    ran = shop.pydp("dp-stats", "--query", "private", "--json")
    assert {row["country"] for row in json.loads(ran.out)["rows"]} == {"DE", "FR", "IT"}
    assert "SECRET" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--epsilon", "1", "--count"], "no column tells whose rows"),
        (["--user", "who", "--count"], "no epsilon"),
        (["--user", "who", "--epsilon", "1", "--sum", "total"], "no bounds"),
        (["--user", "who", "--epsilon", "1", "--mean", "total:5:1"], "lower one first"),
        (["--user", "who", "--epsilon", "1", "--mean", "total:0:inf"], "finite"),
        (["--user", "who", "--epsilon", "1", "--sum", "total:0:1e300"], "too wide"),
        (["--user", "who", "--epsilon", "1", "--count", "--group-by", "country"], "without delta"),
        (["--user", "who", "--epsilon", "1", "--count", "--where", 'who == "7"'], "identifies people"),
        (["--user", "nobody", "--epsilon", "1", "--count"], 'no column "nobody"'),
        (["--user", "who", "--epsilon", "1"], "nothing is asked"),
    ],
)
def test_what_cannot_be_private_is_refused_with_the_reason(shop, options, reason):
    ran = shop.pydp("dp-stats", "orders.csv", *options)
    assert (ran.code, ran.out) == (2, "")
    assert reason in ran.err


def test_an_epsilon_above_the_policys_cap_is_refused(shop):
    ran = shop.pydp("dp-stats", "--query", "revenue", "--epsilon", "2.1")
    assert ran.code == 2
    assert "above 2" in ran.err


def test_bad_values_nulls_and_broken_lines_never_decide_an_error(shop):
    bad = 'a,b,c,d,e,f,g\n,,,,\n9,9,DE,not a number,\n9,9,DE,nan,nan\n9,,DE,inf,-inf\n9,9,FR,1e999,"\n'
    shop.write("orders.csv", ORDERS + bad)
    ran = adhoc(shop, "--mean", "total:0:100", "--where", 'country != "XX"', "--json")
    assert ran.code == 0, ran.err
    assert "number" not in ran.err.replace("Every number", "").replace("the number", "")


def test_csv_and_parquet_outputs_have_a_column_for_each_end_of_an_interval(shop):
    options = ["--count", "--mean", "total:0:100", "--group-by", "country=DE,FR"]
    assert adhoc(shop, *options, "-o", "out.csv", "-q").code == 0
    assert shop.read("out.csv").splitlines()[0] == (
        "country,count,count_low,count_high,mean_total,mean_total_low,mean_total_high"
    )
    assert adhoc(shop, *options, "-o", "out.parquet", "-q").code == 0
    table = pq.read_table(shop.path("out.parquet"))
    assert table.schema.field("count").type == pa.int64()
    assert [str(value) for value in table.column("count").to_pylist()] == [
        line.split(",")[1] for line in shop.read("out.csv").splitlines()[1:]
    ]


def test_the_page_is_one_file_with_bars_and_escapes_what_it_shows(shop):
    ran = adhoc(shop, "--count", "--group-by", "country=DE,<b>", "--html", "page.html", "-q")
    assert ran.code == 0, ran.err
    page = shop.read("page.html")
    assert page.count('class="bar"') == 2
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "http" not in page
    assert "<script" not in page


def test_a_plan_reads_no_data_and_a_target_gives_the_epsilon_for_it(shop):
    shop.path("orders.csv").unlink()
    ran = adhoc(shop, "--count", "--plan", "--json")
    assert ran.code == 0
    half = json.loads(ran.out)[0]["95 % interval: ±"]
    ran = adhoc(shop, "--count", "--target-error", "count=100", "--json")
    assert half < 100
    assert 0.02 < json.loads(ran.out)["epsilon"] < 0.04


def test_bounds_are_found_privately(shop):
    ran = shop.pydp("dp-stats", "orders.csv", "--user", "who", "--epsilon", "5", "--suggest-bounds", "total", "--json")
    low, high = json.loads(ran.out)["bounds"]
    assert low in (0, 1, 2, 4)
    assert high == 128


def test_a_dry_run_debits_nothing(shop):
    ran = adhoc(shop, "--count", "--dry-run")
    assert ran.code == 0
    assert "nothing was debited" in ran.err
    assert not list(shop.folder.parent.glob("state/**/ledger.sqlite"))


def test_parquet_and_csv_and_any_number_of_workers_give_the_same_totals(shop):
    table = pa.table({"who": [1, 1, 2, None] * 50_000, "x": [1.0, 2.0, float("nan"), 4.0] * 50_000})
    pq.write_table(table, shop.path("x.parquet"))
    for workers in ("1", "2"):
        ran = shop.pydp(
            *("dp-stats", "x.parquet", "--user", "who", "--epsilon", "1000", "--count", "--rows-per-group", "10"),
            *("--count-users", "--dry-run", "--workers", workers, "--json"),
        )
        (row,) = json.loads(ran.out)["rows"]
        assert abs(row["count"] - 20) <= 2
        assert row["people"] == 2


def test_twenty_runs_at_once_against_a_budget_for_ten(shop):
    shop.write("pydp.yml", POLICY.replace("epsilon: 2.5, delta: 1.0e-6", "epsilon: 10, delta: 0"))
    shop.write("orders.csv", ORDERS[:200].rsplit("\n", 1)[0] + "\n")
    for number in range(20):
        shop.write(f"{number}/orders.csv", ORDERS[:200].rsplit("\n", 1)[0] + "\n")
    command = [sys.executable, "-m", "pydp_cli.cli.app", "dp-stats", "--query", "revenue", "-q", "--workers", "1"]
    runs = [
        subprocess.Popen([*command, f"{number}/orders.csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(20)
    ]
    said = [run.communicate() for run in runs]
    codes = sorted(run.returncode for run in runs)
    assert codes == [0] * 10 + [4] * 10, said
    assert shop.path(".pydp").stat().st_mode & 0o777 == 0o700


def test_one_person_in_files_of_different_types_is_one_person(shop):
    pq.write_table(pa.table({"who": [7] * 5, "x": [1.0] * 5}), shop.path("a.parquet"))
    shop.write("b.csv", "who,x\n" + "7,1\n" * 5)
    ran = shop.pydp(
        *("dp-stats", "a.parquet", "b.csv", "--user", "who", "--epsilon", "1000", "--count", "--count-users"),
        *("--dry-run", "--json"),
    )
    (row,) = json.loads(ran.out)["rows"]
    assert (row["people"], row["count"]) == (1, 1)


def test_a_huge_value_is_clamped_without_a_word(shop):
    shop.write("x.csv", "who,x\n1,1e308\n2,-1e308\n")
    ran = shop.pydp("dp-stats", "x.csv", "--user", "who", "--epsilon", "1000", "--sum", "x:0:5:0.001", "-q", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert abs(json.loads(ran.out)["rows"][0]["sum_x"] - 5) < 1


def test_a_kill_between_debit_and_release_leaves_the_debit_and_no_release(shop):
    command = ["dp-stats", "-", "--query", "revenue", "--input-format", "csv", "--workers", "1"]
    run = shop.start(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    history = []
    while not history and run.poll() is None:
        history = json.loads(shop.pydp("budget", "history", "--json").out)
    run.kill()
    out, _ = run.communicate()
    assert out == b""
    (entry,) = json.loads(shop.pydp("budget", "history", "--json").out)
    assert (entry["state"], entry["epsilon"]) == ("reserved", "1")
    assert list(shop.path(".pydp").glob(".pydp-*")) == []


def test_totals_add_up_over_countries_and_ages(shop):
    text = POLICY.replace("      epsilon: 1.0\n    private", "      epsilon: 1.0\n      totals: true\n    private")
    shop.write("pydp.yml", text)
    rows = {
        row["country"]: row for row in json.loads(shop.pydp("dp-stats", "--query", "revenue", "--json").out)["rows"]
    }
    assert list(rows) == ["DE", "FR", "IT", "(all)"]
    for name in ("orders", "revenue", "ages_0_to_18", "ages_30_up"):
        assert abs(rows["(all)"][name] - sum(rows[place][name] for place in ("DE", "FR", "IT"))) < 1e-6
        assert rows["(all)"][f"{name}_low"] <= rows["(all)"][name] <= rows["(all)"][f"{name}_high"]
    assert rows["(all)"]["orders_low"] <= 3000 <= rows["(all)"]["orders_high"] + 1500  # contribution limits leave out
    for name in ("people", "basket", "typical_0.5"):  # a person may be in two countries, and means do not add up
        assert rows["(all)"][name] is None
        assert rows["DE"][name] is not None
    for target in ("out.csv", "out.parquet", "out.json"):
        assert shop.pydp("dp-stats", "--query", "revenue", "-o", target).code == 0
    assert shop.read("out.csv").splitlines()[-1].startswith("(all),")
    assert pq.read_table(shop.path("out.parquet"))["basket"].to_pylist()[-1] is None
    shown = shop.pydp("dp-stats", "--query", "revenue", "--html", "page.html")
    assert "(all)" in shown.out
    assert "None" not in shown.out
    assert "None" not in shop.read("page.html")
    assert "Totals add up" in shop.read("page.html")


def test_totals_without_groups_are_refused(shop):
    ran = adhoc(shop, "--count", "--totals")
    assert (ran.code, "there are none" in ran.err) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        b"me,A,\xff\xfe3\n",
        b"m\xff,A,3\n",
        b"me,A\nme,A,1,2,3\n",
        b'me,A,"3\n',
        b"me,A\x00,3\n",
        b"me,A," + b"9" * 400 + b"\n",
        b"me,A,inf\nme,A,nan\nme,A,-1e999\n",
        b"me," + b"A" * 3_000_000 + b",3\n",
        b"",
    ],
    ids=["bad text", "bad name", "ragged", "open quote", "NUL", "huge number", "no numbers", "giant cell", "nothing"],
)
def test_no_line_of_a_person_decides_whether_a_run_succeeds_or_what_it_says(shop, line):
    shop.write("x.csv", b"who,g,x\n" + b"".join(b"%d,A,%d\n" % (n, n % 10) for n in range(100)) + line)
    asked = ("--epsilon", "10", "--count", "--mean", "x:0:10", "--group-by", "g=A,B", "--json")
    ran = shop.pydp("dp-stats", "x.csv", "--user", "who", *asked)
    assert (ran.code, ran.err) == (0, "")
    released = json.loads(ran.out)
    assert [row["g"] for row in released["rows"]] == ["A", "B"]
    assert abs(released["rows"][0]["count"] - 100) < 30


def test_a_table_that_is_too_wide_has_a_line_for_each_number(shop, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    narrow = shop.pydp("dp-stats", "--query", "revenue", "-q").out.splitlines()
    assert narrow[0].split() == ["country", "statistic", "value", "from", "to"]
    assert max(map(len, narrow)) <= 80
    assert len(narrow) == 1 + 3 * 11
    monkeypatch.setenv("COLUMNS", "400")
    wide = shop.pydp("dp-stats", "--query", "revenue", "-q").out.splitlines()
    assert len(wide) == 1 + 3
    assert wide[0].split()[:3] == ["country", "orders", "people"]
