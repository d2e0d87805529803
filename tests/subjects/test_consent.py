from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import PolicyError, UsageError
from pydp_cli.pipeline.references import reference_key
from pydp_cli.pipeline.transform_files import Request, transform_files
from pydp_cli.policy.loader import load_policy
from pydp_cli.subjects import consent as module
from pydp_cli.subjects.consent import Event, check_consent, events_of, record_events, standing, utc_text
from pydp_cli.subjects.purpose import ForPurpose
from tests.subjects.test_resolve import treat

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=timezone.utc)


def at(hours):
    return NOON + timedelta(hours=hours)


def say(company, who, status, hours, *, until=None, identity="email", purpose="marketing"):
    reference = reference_key(company.keyring, identity).reference(who)
    end = None if until is None else utc_text(at(until))
    event = Event(reference, identity, purpose, status, utc_text(at(hours)), end)
    record_events(company.folder / ".pydp", [event], clock=lambda: NOON)


def answer(company, hours, purpose="marketing", **identities):
    people = {space: [value] for space, value in identities.items()}
    return check_consent(company.folder / ".pydp", company.keyring, people, purpose, at(hours))


def test_the_last_word_counts_at_every_time(company):
    say(company, "a@x.org", "given", 0)
    say(company, "a@x.org", "withdrawn", 2)
    say(company, "a@x.org", "given", 4)
    allowed = [answer(company, hours, email="a@x.org").allowed for hours in (-1, 0, 1, 2, 3, 4, 5)]
    assert allowed == [False, True, True, False, False, True, True]
    assert answer(company, 3, email="a@x.org").reason == "withdrawn"


def test_events_count_by_when_they_were_said_not_by_when_they_were_recorded(company):
    say(company, "a@x.org", "withdrawn", 5)
    say(company, "a@x.org", "given", 1)
    assert not answer(company, 6, email="a@x.org").allowed


def test_of_two_words_at_one_time_the_later_record_counts(company):
    say(company, "a@x.org", "given", 1)
    say(company, "a@x.org", "withdrawn", 1)
    assert not answer(company, 1, email="a@x.org").allowed


def test_consent_lapses_at_its_end(company):
    say(company, "a@x.org", "given", 0, until=2)
    assert [answer(company, hours, email="a@x.org").allowed for hours in (1, 2, 3)] == [True, False, False]
    assert answer(company, 2, email="a@x.org").reason == "lapsed"


def test_silence_is_no_consent_and_purposes_are_apart(company):
    say(company, "a@x.org", "given", 0)
    assert answer(company, 1, email="b@x.org").reason == "no consent is recorded"
    assert not answer(company, 1, "service", email="a@x.org").allowed


def test_one_no_outweighs_every_yes(company):
    say(company, "a@x.org", "given", 0)
    say(company, "1", "withdrawn", 0, identity="customer_id")
    assert answer(company, 1, email="a@x.org").allowed
    assert not answer(company, 1, email="a@x.org", customer_id="1").allowed


def test_the_store_names_nobody_and_gives_a_person_their_history(company):
    say(company, "anna@example.com", "given", 0)
    say(company, "anna@example.com", "withdrawn", 1)
    raw = b"".join(path.read_bytes() for path in (company.folder / ".pydp").rglob("*") if path.is_file())
    assert b"anna" not in raw
    asked = [{"email": ["bo@example.com"]}, {"email": ["anna@example.com"], "customer_id": ["1"]}]
    nobody, history = events_of(company.folder / ".pydp", company.keyring, asked)
    assert [event["status"] for event in history] == ["given", "withdrawn"]
    assert nobody == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(module.STATUSES), st.integers(0, 5), st.none() | st.integers(0, 5)
        ),
        max_size=12,
    ),
    st.integers(0, 5),
)
def test_standing_is_that_of_reading_event_by_event(events, now):
    rows = [
        {
            "subject": f"{1:08x}-{person:032x}",
            "identity": "i",
            "purpose": "p",
            "status": status,
            "at": utc_text(at(when)),
            "until": None if until is None else utc_text(at(until)),
            "seq": seq,
        }
        for seq, (person, status, when, until) in enumerate(events)
    ]
    last = {}
    for row in sorted(rows, key=lambda row: (row["at"], row["seq"])):
        if row["at"] <= utc_text(at(now)):
            last[row["subject"]] = row
    live = {
        s[9:] for s, row in last.items()
        if row["status"] == "given" and (row["until"] is None or row["until"] > utc_text(at(now)))
    }  # fmt: skip
    barred = {s[9:] for s, row in last.items() if row["status"] != "given"}
    found = standing(pa.Table.from_pylist(rows, schema=module._NO_EVENTS.schema), "p", at(now))
    assert {one.hex() for group in found.live.values() for one in group.to_pylist()} == live
    assert {one.hex() for group in found.barred.values() for one in group.to_pylist()} == barred


def run(company, dataset, purpose, hours=1, **changes):
    policy = load_policy(company.folder / "pydp.yml")
    request = Request(
        command="anonymize",
        policy=policy,
        dataset=dataset,
        inputs=changes.get("inputs", ()),
        output=str(company.folder / "out.parquet"),
        refine=ForPurpose(policy, purpose, at(hours)),
        force=True,
    )
    report = transform_files(request, lambda: company.keyring)
    return pq.read_table(company.folder / "out.parquet"), report


def customers(company):
    return (str(company.folder / "data/customers/a.parquet"),)


def test_rows_without_live_consent_are_left_out_and_counted(company):
    say(company, "anna@example.com", "given", 0)
    say(company, "2", "given", 0, identity="customer_id")
    say(company, "bo@example.com", "withdrawn", 0)
    table, report = run(company, "customers", "marketing", inputs=customers(company))
    assert table.num_rows == 1
    assert report.files[0].counts.dropped == {"no live consent": 2}
    assert report.as_json()["files"][0]["rows_dropped"] == {"no live consent": 2}
    assert run(company, "customers", "marketing", -1, inputs=customers(company))[0].num_rows == 0


def test_a_purpose_that_the_dataset_is_not_for_fails_before_a_row_is_read(company):
    with pytest.raises(PolicyError, match='dataset "orders" may not be used for "marketing"'):
        run(company, "orders", "marketing")
    with pytest.raises(UsageError, match="no purpose"):
        run(company, "orders", "fun")
    assert not (company.folder / "out.parquet").exists()


def test_columns_for_other_purposes_are_left_out(company):
    company.change_policy("category: pd:Name}", "category: pd:Name, purposes: [service]}")
    say(company, "anna@example.com", "given", 0)
    table, report = run(company, "customers", "marketing", inputs=customers(company))
    assert table.column_names == ["id", "email"]
    assert report.as_json()["files"][0]["columns_dropped"] == ["name"]
    assert run(company, "customers", "service", inputs=customers(company))[0].column_names == ["id", "email", "name"]


def test_other_legal_bases_need_no_consent(company):
    table, report = run(company, "customers", "service", inputs=customers(company))
    assert table.num_rows == 3
    assert report.files[0].counts.dropped.total() == 0


def test_lists_of_people_who_opted_out_bar_any_purpose(company):
    say(company, "bo@example.com", "opted-out", 0, purpose="service")
    table, report = run(company, "customers", "service", inputs=customers(company))
    assert table.num_rows == 2
    assert report.files[0].counts.dropped == {"opted out": 1}


@pytest.mark.parametrize(
    "signal",
    [
        pa.array([True, None, False]),
        pa.array([1, 0, None], pa.int8()),
        pa.array([0.5, 0.0, None]),
        pa.array([" YES", "no", None]),
        pa.array(["1", "", "0"]).dictionary_encode(),
        pa.array(["do-not-sell", "False ", None]),
        pa.array(["X", "", None]),
        pa.array(["-1", "opt-in", "0"]),
        pa.array([date(2026, 1, 1), None, None]),
        pa.array([Decimal("1.0"), Decimal("0.0"), None]),
    ],
)
def test_columns_that_are_signals_bar_their_purposes(company, signal):
    company.write(
        "data/customers/a.parquet",
        pa.table({"id": [1, 2, 3], "email": ["a", "b", "c"], "name": ["x"] * 3, "gpc": signal}),
    )
    company.change_policy(
        "purposes: [service, marketing]\n", "purposes: [service, marketing]\n    opt_out: {gpc: service}\n"
    )
    company.change_policy("    columns:\n      id:", "    columns:\n      gpc: keep\n      id:")
    table, report = run(company, "customers", "service", inputs=customers(company))
    assert table.num_rows == 2
    assert report.files[0].counts.dropped == {"opted out": 1}


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_people_who_opted_out_do_not_pass_in_cells(company, form):
    """The list cannot be looked up by cells, and everybody would pass."""
    company.change_policy(
        "{anonymize: {pseudonym: {domain: email}}, category: pd:EmailAddress}", "{anonymize: keep, encrypt: true}"
    )
    treat(company, "encrypt", "customers", "data/customers/a.parquet", f"data/sealed.{form}")
    say(company, "bo@example.com", "opted-out", 0, purpose="service")
    with pytest.raises(UsageError, match="the column is encrypted"):
        run(company, "customers", "service", inputs=(str(company.folder / f"data/sealed.{form}"),))
