"""What is held stays: by person, by dataset, in the policy and recorded, as long as the hold is live."""

from datetime import date, datetime, timezone

import numpy as np
import pytest

from pydp_cli.errors import HoldBlocks, PolicyError, Tampered, UsageError
from pydp_cli.policy.checks import check_policy
from pydp_cli.policy.loader import load_policy
from pydp_cli.subjects.holds import (
    LegalHold,
    add_hold,
    all_holds,
    held_rows,
    holds_folder,
    holds_on,
    lift_hold,
    recorded_holds,
    refuse_destruction,
)
from pydp_cli.subjects.subject import parse_subjects

TODAY = date(2026, 11, 23)


def now():
    return datetime(2026, 11, 23, 12, tzinfo=timezone.utc)


def hold(company, *subject, **more):
    catalogue = company.catalogue()
    whom = parse_subjects(subject, catalogue) if subject else None
    asked = LegalHold("", "Doe v. Acme", **more)
    return add_hold(catalogue.policy, asked, whom, keyring=company.keyring, clock=now)


def held(company, blocks="erase", today=TODAY, **more):
    return held_rows(company.catalogue(), blocks, keyring=more.get("keyring", company.keyring), today=today)


def rows(company, found):
    """Give the rows that are held as dataset, file and position."""
    catalogue = company.catalogue()
    files = [(name, file.path) for name in catalogue.order for file in catalogue.files(name)]
    return sorted(
        (name, path.rsplit("/", 1)[-1], row) for name, path in files for row in found.of(name, path, 6).tolist()
    )


BO = [
    ("customers", "a.parquet", 1),
    ("items", "items.parquet", 2),
    ("messages", "messages.csv", 0),  # which mentions Bo, and is Anna's
    ("messages", "messages.csv", 1),
    ("orders", "all.csv", 1),
]


def test_nothing_is_held_at_first(company):
    assert rows(company, held(company)) == []


@pytest.mark.parametrize("subject", ["customer_id=2", "email=BO@example.com"])
def test_a_persons_rows_are_held_over_all_links_and_where_they_are_mentioned(company, subject):
    hold(company, subject)
    assert rows(company, held(company)) == BO


def test_a_hold_may_be_about_some_datasets_only(company):
    hold(company, "customer_id=2", datasets=("orders",))
    assert rows(company, held(company)) == [("orders", "all.csv", 1)]
    hold(company, datasets=("items",))
    assert len(held(company).of("items", "any", 5)) == 5


def test_a_hold_in_the_policy_holds_from_its_first_day_to_its_last(company):
    company.change_policy(
        "datasets:\n",
        "holds:\n  - {id: LH-1, matter: Doe, match: {identity: {customer_id: [2]}}, from: 2026-03-01, "
        "until: 2026-12-31, blocks: [erase]}\ndatasets:\n",
    )
    for day, holds in [((2026, 2, 28), []), ((2026, 3, 1), BO), ((2026, 12, 31), BO), ((2027, 1, 1), [])]:
        assert rows(company, held(company, today=date(*day))) == holds
    assert rows(company, held(company, "retention")) == []


def test_a_lifted_hold_holds_nothing_and_forgets_the_person(company):
    added = hold(company, "customer_id=2")
    assert len(list(holds_folder(company.catalogue().policy.state_dir).glob("people-*"))) == 1
    policy = company.catalogue().policy
    lift_hold(policy, added.id, "settled", clock=now)
    assert rows(company, held(company)) == []
    assert not list(holds_folder(policy.state_dir).glob("people-*"))
    [kept] = recorded_holds(policy.state_dir)
    assert (kept.matter, kept.lifted) == ("Doe v. Acme", TODAY)
    with pytest.raises(UsageError, match="lifted already"):
        lift_hold(policy, added.id, "again", clock=now)
    with pytest.raises(UsageError, match="no such hold"):
        lift_hold(policy, "H0999", "what", clock=now)


def test_nothing_on_the_disk_shows_whom_a_hold_is_about(company):
    hold(company, "email=bo@example.com", "customer_id=2")
    folder = holds_folder(company.catalogue().policy.state_dir)
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"bo@example.com" not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0


def test_what_cannot_be_told_is_an_error_and_never_no_hold(company):
    hold(company, "customer_id=2")
    policy = company.catalogue().policy
    with pytest.raises(UsageError, match="only the keyring can tell"):
        held(company, keyring=None)
    [people] = holds_folder(policy.state_dir).glob("people-*")
    sound = people.read_bytes()
    people.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(Tampered, match="altered"):
        held(company)
    people.unlink()
    with pytest.raises(Tampered, match="missing"):
        held(company)
    people.write_bytes(sound)
    assert rows(company, held(company)) == BO
    [log] = (holds_folder(policy.state_dir) / "audit").glob("*.jsonl")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(Tampered, match="log of holds"):
        held(company)


def test_held_rows_are_taken_out_and_counted(company):
    first = hold(company, "customer_id=2").id
    second = hold(company, datasets=("orders",)).id
    found = company.find("customer_id=1")
    kept = holds_on(held(company), found.files, found.person_of[0])
    assert kept == {first: {"messages": 1}, second: {"orders": 3}}
    held_now = held(company)
    path = found.of_dataset("messages")[0].file.path
    left, counts = held_now.subtract("messages", path, 3, np.array([0, 2]))
    assert (left.tolist(), counts) == ([2], {first: 1})


def test_keys_are_not_destroyed_while_anything_is_held(company):
    policy = company.catalogue().policy
    refuse_destruction(policy, TODAY, "destroying the key")
    hold(company, datasets=("orders",))
    with pytest.raises(HoldBlocks, match="H0001"):
        refuse_destruction(policy, TODAY, "destroying the key")


def test_a_hold_that_names_what_is_not_there_is_found(company):
    company.change_policy(
        "datasets:\n",
        "holds:\n  - {id: LH-1, matter: Doe, match: {identity: {custommer_id: 2}, datasets: [order]}}\ndatasets:\n",
    )
    found = [problem.message for problem in check_policy(load_policy(company.folder / "pydp.yml"))]
    assert any('names identity "custommer_id"' in message for message in found)
    assert any('names dataset "order"' in message for message in found)
    with pytest.raises(UsageError, match='no dataset "order"'):
        hold(company, "customer_id=2", datasets=("order",))
    with pytest.raises(UsageError, match="about a person or about a dataset"):
        hold(company)
    company.change_policy(", match: {identity: {custommer_id: 2}, datasets: [order]}", ", match: {}")
    with pytest.raises(PolicyError, match="neither whose rows nor which datasets"):
        load_policy(company.folder / "pydp.yml")


def test_numbers_and_order(company):
    first, second = hold(company, datasets=("orders",)), hold(company, "customer_id=1", until=TODAY)
    assert [one.id for one in all_holds(company.catalogue().policy)] == [first.id, second.id] == ["H0001", "H0002"]
    assert rows(company, held(company, today=date(2026, 11, 24)))[0][0] == "orders"
