from datetime import date, datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.audit.verify import verify
from pydp_cli.errors import Refused, UsageError
from pydp_cli.subjects.deadlines import after, after_business_days, deadlines_of, regimes
from pydp_cli.subjects.requests import (
    RightsRequest,
    all_requests,
    close_request,
    due_requests,
    extend_request,
    open_request,
    requests_folder,
)


def clock():
    return datetime(2026, 11, 20, tzinfo=timezone.utc)


def opened(folder, kind="erasure", regime="eu-gdpr", received=date(2026, 11, 2)):
    return open_request(folder, RightsRequest("", kind, regime, received), clock=clock)


@pytest.mark.parametrize(
    ("received", "respond", "latest"),
    [
        (date(2026, 11, 2), date(2026, 12, 2), date(2027, 2, 2)),
        (date(2026, 1, 31), date(2026, 3, 2), date(2026, 4, 30)),  # 28 February is a Saturday
        (date(2024, 1, 31), date(2024, 2, 29), date(2024, 4, 30)),
        (date(2026, 12, 31), date(2027, 2, 1), date(2027, 3, 31)),  # 31 January is a Sunday
    ],
)
def test_a_month_is_counted_as_european_law_counts(received, respond, latest):
    found = deadlines_of("eu-gdpr", "access", received)
    assert (found.respond, found.latest, found.acknowledge) == (respond, latest, None)


def test_californian_days_are_calendar_days_and_business_days():
    found = deadlines_of("us-ca-ccpa", "erasure", date(2026, 11, 2))
    assert found.acknowledge == date(2026, 11, 16)
    assert found.respond == date(2026, 12, 17)
    assert found.latest == date(2027, 1, 31)
    assert deadlines_of("us-ca-ccpa", "opt-out", date(2026, 11, 2)).respond == date(2026, 11, 23)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 24), st.integers(0, 60))
def test_a_period_ends_in_its_month_and_never_on_a_weekend_where_that_counts(start, months, days):
    end = after(start, f"P{months}M", moves=False)
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == months
    assert end.day <= start.day
    assert after(start, f"P{months}M", f"P{days}D", moves=True).weekday() < 5
    assert after_business_days(start, days) >= start


def test_every_right_that_is_listed_has_a_deadline():
    for regime, law in regimes().items():
        for kind in law["kinds"]:
            assert deadlines_of(regime, kind, date(2026, 1, 5)).respond > date(2026, 1, 5)


def test_requests_are_opened_extended_and_closed(tmp_path):
    first, second = opened(tmp_path), opened(tmp_path, "access")
    assert [one.number for one in all_requests(tmp_path)] == [first.number, second.number]
    extend_request(tmp_path, first.number, "three archives", clock=clock)
    close_request(tmp_path, second.number, "done", None, clock=clock)
    found = all_requests(tmp_path)
    assert (found[0].due, found[0].outcome) == (date(2027, 2, 2), None)
    assert (found[1].outcome, found[1].closed) == ("done", date(2026, 11, 20))
    assert verify(requests_folder(tmp_path)).sound


def test_what_is_due_comes_first_and_what_is_closed_not_at_all(tmp_path):
    late, later, done = (opened(tmp_path, received=date(2026, 11, day)) for day in (2, 9, 3))
    close_request(tmp_path, done.number, "done", None, clock=clock)
    assert list(due_requests(tmp_path, date(2026, 11, 20), 7)) == []
    found = due_requests(tmp_path, date(2026, 12, 4), 7)
    assert [(one.number, one.days_left(date(2026, 12, 4))) for one in found] == [(late.number, -2), (later.number, 5)]


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not known"):
        opened(tmp_path, regime="moon")
    with pytest.raises(UsageError, match="no right"):
        opened(tmp_path, kind="opt-out")
    number = opened(tmp_path, "limit", "us-ca-ccpa").number
    with pytest.raises(UsageError, match="no extension"):
        extend_request(tmp_path, number, "x", clock=clock)
    with pytest.raises(UsageError, match="reason"):
        close_request(tmp_path, number, "refused", None, clock=clock)
    close_request(tmp_path, number, "refused", "not theirs", clock=clock)
    with pytest.raises(UsageError, match="is closed"):
        close_request(tmp_path, number, "done", None, clock=clock)
    with pytest.raises(UsageError, match="no such request"):
        close_request(tmp_path, "R9999", "done", None, clock=clock)


def test_altered_requests_are_not_believed(tmp_path):
    opened(tmp_path)
    opened(tmp_path, received=date(2026, 11, 3))
    log = requests_folder(tmp_path) / "audit"
    path = log / "000000.jsonl"
    sound = path.read_bytes()
    head = (log / "head").read_bytes()
    cut = sound[: sound[:-1].rfind(b"\n") + 1]
    for altered in [sound.replace(b"2026-11-02", b"2027-11-02"), cut, b""]:
        path.write_bytes(altered)
        with pytest.raises(Refused, match="the requests were tampered with"):
            all_requests(tmp_path)
    path.write_bytes(sound + b'{"details":{"ki')  # its writer died; that is no alteration
    assert len(all_requests(tmp_path)) == 2
    path.write_bytes(sound)
    for altered in [b"", head.replace(b"\n3\n", b"\n2\n"), b"\xff"]:
        (log / "head").write_bytes(altered)
        with pytest.raises(Refused, match="the requests were tampered with"):
            all_requests(tmp_path)
    (log / "head").unlink()
    with pytest.raises(Refused, match="the requests were tampered with"):
        all_requests(tmp_path)


def test_an_alteration_stays_known_when_more_is_recorded(tmp_path):
    opened(tmp_path)
    path = requests_folder(tmp_path) / "audit/000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"2026-11-02", b"2027-11-02"))
    opened(tmp_path)
    with pytest.raises(Refused, match="the requests were tampered with"):
        all_requests(tmp_path)
