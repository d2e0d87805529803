"""The ledger: never overspent, never forgetful, never fooled by an older copy of itself."""

import multiprocessing
import os
import shutil
import signal
from datetime import datetime, timezone
from fractions import Fraction

import pytest

from pydp_cli.dp.accounting import concentrated, pure
from pydp_cli.dp.ledger import Budget, Ledger, Query, Reservation, Stored
from pydp_cli.errors import InputError, LimitReached, Locked, Refused


class MemoryWitness:
    def __init__(self):
        self.generations = {}

    def seen(self, ledger_id):
        return self.generations.get(ledger_id, 0)

    def saw(self, ledger_id, generation):
        self.generations[ledger_id] = max(self.seen(ledger_id), generation)


def clock():
    return datetime(2026, 1, 2, tzinfo=timezone.utc)


def open_ledger(path, witness=None):
    return Ledger(path, witness or MemoryWitness(), clock, "someone")


def query(name="q", data="v1", period="2026"):
    return Query("orders", period, name, f"digest of {name}", data, "policy")


TEN = Budget(epsilon=Fraction(10))
ONE = pure(Fraction(1))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.sqlite"


def test_a_release_is_debited_before_it_is_stored_and_then_given_for_free(path):
    ledger = open_ledger(path)
    reservation = ledger.reserve(query(), ONE, TEN)
    assert ledger.spent("orders", "2026").epsilon == 1
    ledger.commit(reservation, {"rows": [1, 2]})
    again = ledger.reserve(query(), ONE, TEN)
    assert again == Stored({"rows": [1, 2]}, clock().isoformat())
    assert ledger.spent("orders", "2026").epsilon == 1


def test_new_data_is_a_new_debit(path):
    ledger = open_ledger(path)
    ledger.commit(ledger.reserve(query(), ONE, TEN), {})
    assert isinstance(ledger.reserve(query(data="v2"), ONE, TEN), Reservation)
    assert ledger.spent("orders", "2026").epsilon == 2


def test_a_query_past_the_budget_is_refused_and_costs_nothing(path):
    ledger = open_ledger(path)
    for i in range(10):
        ledger.commit(ledger.reserve(query(str(i)), ONE, TEN), {})
    with pytest.raises(LimitReached, match="does not allow"):
        ledger.reserve(query("more"), ONE, TEN)
    assert ledger.spent("orders", "2026").epsilon == 10
    assert isinstance(ledger.reserve(query("next year", period="2027"), ONE, TEN), Reservation)


def test_a_budget_in_rho_counts_rho(path):
    ledger = open_ledger(path)
    budget = Budget(rho=Fraction(1))
    ledger.reserve(query("a"), concentrated(Fraction(3, 4)), budget)
    with pytest.raises(LimitReached):
        ledger.reserve(query("b"), concentrated(Fraction(1, 2)), budget)
    ledger.reserve(query("c"), concentrated(Fraction(1, 4)), budget)


def test_a_closed_budget_gives_stored_releases_only(path):
    ledger = open_ledger(path)
    ledger.commit(ledger.reserve(query("a"), ONE, TEN), {"n": 1})
    ledger.close_budget("orders", "2026")
    assert isinstance(ledger.reserve(query("a"), ONE, TEN), Stored)
    with pytest.raises(LimitReached, match="closed"):
        ledger.reserve(query("b"), ONE, TEN)


def _reserve_and_commit(path, name, results):
    ledger = open_ledger(path)
    try:
        ledger.commit(ledger.reserve(query(name), ONE, TEN), {})
    except LimitReached:
        results.put("refused")
    else:
        results.put("released")


def test_twenty_runs_at_once_spend_a_budget_for_ten_exactly(path):
    open_ledger(path).close()
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    runs = [context.Process(target=_reserve_and_commit, args=(path, str(i), results)) for i in range(20)]
    for run in runs:
        run.start()
    outcomes = sorted(results.get() for _ in runs)
    for run in runs:
        run.join()
    assert outcomes == ["refused"] * 10 + ["released"] * 10


def _reserve_and_die(path):
    open_ledger(path).reserve(query(), ONE, TEN)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_run_killed_after_the_debit_leaves_it_and_the_next_takes_it_over(path):
    victim = multiprocessing.get_context("spawn").Process(target=_reserve_and_die, args=(path,))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    ledger = open_ledger(path)
    assert ledger.spent("orders", "2026").epsilon == 1
    reservation = ledger.reserve(query(), ONE, TEN)
    assert reservation.taken_over
    assert ledger.spent("orders", "2026").epsilon == 1
    ledger.commit(reservation, {"n": 7})
    assert ledger.reserve(query(), ONE, TEN) == Stored({"n": 7}, clock().isoformat())


def _reserve_and_wait(path, ready, done):
    open_ledger(path).reserve(query(), ONE, TEN)
    ready.set()
    done.wait()


def test_two_runs_of_one_query_do_not_compute_it_twice(path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_reserve_and_wait, args=(path, ready, done))
    other.start()
    ready.wait()
    try:
        with pytest.raises(Locked):
            open_ledger(path).reserve(query(), ONE, TEN)
    finally:
        done.set()
        other.join()


def test_an_older_copy_of_the_ledger_is_refused(path, tmp_path):
    witness = MemoryWitness()
    ledger = open_ledger(path, witness)
    ledger.commit(ledger.reserve(query("a"), ONE, TEN), {})
    ledger.close()
    shutil.copy(path, tmp_path / "backup")
    ledger = open_ledger(path, witness)
    ledger.commit(ledger.reserve(query("b"), ONE, TEN), {})
    ledger.close()
    shutil.copy(tmp_path / "backup", path)
    with pytest.raises(Refused, match="older"):
        open_ledger(path, witness)


def test_a_damaged_ledger_is_said_to_be_damaged(path):
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(InputError, match="damaged"):
        open_ledger(path)


def test_the_ledger_is_readable_by_its_owner_only(path):
    open_ledger(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_history_tells_who_spent_what(path):
    ledger = open_ledger(path)
    ledger.reserve(query("a"), ONE, TEN)
    (entry,) = ledger.history("orders")
    assert (entry.actor, entry.query, entry.state, entry.loss.epsilon) == ("someone", "a", "reserved", 1)
    assert ledger.history("customers") == []


def test_a_change_by_another_process_while_the_ledger_is_opened_makes_it_no_older_copy(path):
    remembered = MemoryWitness()
    other = open_ledger(path, remembered)

    class ReadingWhileOthersWrite(MemoryWitness):
        def seen(self, ledger_id):
            other.set_allowance("d", "x")
            return remembered.seen(ledger_id)

    open_ledger(path, ReadingWhileOthersWrite()).close()
    other.close()
