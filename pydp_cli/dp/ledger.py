"""The privacy-loss ledger: what was spent, by whom, for which query, and what is left.

A SQLite file. A release goes through reserve → compute → commit: the loss is debited before anything is computed, and
the released numbers are stored in the transaction that commits it. It is a filter, not an odometer: a reservation that
would overspend the budget is refused. A crash leaves the debit; running the same query again takes the reservation
over. The same query over the same data is answered from the ledger, at no cost.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from pydp_cli.dp.accounting import Loss, epsilon_at, total
from pydp_cli.errors import InputError, LimitReached, Locked, Refused

BUSY_SECONDS = 60
SCHEMA = """
CREATE TABLE meta (id TEXT NOT NULL, format INTEGER NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE entry (
  id INTEGER PRIMARY KEY,
  dataset TEXT NOT NULL,
  period TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('reserved', 'committed')),
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  query TEXT NOT NULL,
  query_digest TEXT NOT NULL,
  data_version TEXT NOT NULL,
  policy_digest TEXT NOT NULL,
  rho TEXT NOT NULL,
  epsilon TEXT,
  delta TEXT NOT NULL,
  release TEXT
);
CREATE UNIQUE INDEX entry_of_query ON entry (dataset, query_digest, data_version);
CREATE TABLE allowance (dataset TEXT PRIMARY KEY, said TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE closed (dataset TEXT NOT NULL, period TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (dataset, period));
"""


@dataclass(frozen=True)
class Budget:
    """How much may be spent on a dataset in one period: (epsilon, delta), or rho of zCDP."""

    epsilon: Fraction | None = None
    delta: Fraction = Fraction(0)
    rho: Fraction | None = None

    def allows(self, spent: Loss) -> bool:
        """Tell whether a total loss stays within the budget."""
        if self.rho is not None and (spent.rho > self.rho or spent.delta > self.delta):
            return False
        return self.epsilon is None or epsilon_at(spent, float(self.delta)) <= float(self.epsilon)


@dataclass(frozen=True)
class Query:
    """What is asked: of which dataset and period, its name and digest, over which version of the data."""

    dataset: str
    period: str
    name: str
    digest: str
    data_version: str
    policy_digest: str


@dataclass(frozen=True)
class Reservation:
    """A debit whose release has not been stored yet."""

    entry: int
    taken_over: bool = False


@dataclass(frozen=True)
class Stored:
    """A release that the ledger already holds."""

    release: dict[str, Any]
    at: str


@dataclass(frozen=True)
class Entry:
    """One line of the history."""

    dataset: str
    period: str
    state: str
    at: str
    actor: str
    query: str
    query_digest: str
    policy_digest: str
    loss: Loss


class Witness(Protocol):
    """Remembers the highest generation of a ledger outside of it, so that an older copy is noticed."""

    def seen(self, ledger_id: str) -> int:
        """Give the highest generation that was seen, 0 for none."""
        ...

    def saw(self, ledger_id: str, generation: int) -> None:
        """Remember a generation."""
        ...


class Ledger:
    """An open ledger file. Safe for many processes at once; nothing is kept in memory between calls."""

    def __init__(self, path: Path, witness: Witness, clock: Callable[[], datetime], actor: str) -> None:
        """Open or make the ledger; refuses a file that is older than what the witness has seen."""
        self._clock, self._actor, self._witness = clock, actor, witness
        new = not path.exists()
        if new:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._path = path
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self._connection.execute("PRAGMA synchronous = EXTRA")
            with self._transaction(writes=False):
                if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                    self._create()
            self._check_generation()
        except sqlite3.DatabaseError as error:
            raise InputError("the ledger is damaged", place=str(path), hint="restore it from a backup") from error

    def reserve(self, query: Query, loss: Loss, budget: Budget) -> Reservation | Stored:
        """Debit a query's loss, or give the release that is stored for the same query and data.

        Raises `LimitReached` where the budget does not allow it, and `Locked` while another process computes the same.
        """
        with self._transaction(writes=True):
            found = self._connection.execute(
                "SELECT id, state, host, pid, release, at FROM entry"
                " WHERE dataset = ? AND query_digest = ? AND data_version = ?",
                (query.dataset, query.digest, query.data_version),
            ).fetchone()
            if found is not None:
                return self._existing(found)
            if self._is_closed(query.dataset, query.period):
                raise LimitReached(f'the budget of "{query.dataset}" is closed for the period {query.period}')
            spent = self._spent(query.dataset, query.period)
            if not budget.allows(spent + loss):
                raise LimitReached(
                    f'the budget of "{query.dataset}" for the period {query.period} does not allow this query',
                    hint="`pydp budget show` tells what is left; `pydp dp-stats --plan` what a smaller loss buys",
                )
            cursor = self._connection.execute(
                "INSERT INTO entry (dataset, period, state, at, actor, host, pid, query, query_digest, data_version,"
                " policy_digest, rho, epsilon, delta) VALUES (?, ?, 'reserved', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(query.dataset, query.period, self._now(), self._actor, socket.gethostname(), os.getpid()),
                    *(query.name, query.digest, query.data_version, query.policy_digest),
                    *(str(loss.rho), None if loss.epsilon is None else str(loss.epsilon), str(loss.delta)),
                ),
            )
            assert cursor.lastrowid is not None
            return Reservation(cursor.lastrowid)

    def commit(self, reservation: Reservation, release: dict[str, Any]) -> None:
        """Store the released numbers; only after this may they be shown."""
        with self._transaction(writes=True):
            changed = self._connection.execute(
                "UPDATE entry SET state = 'committed', release = ? WHERE id = ? AND state = 'reserved' AND pid = ?",
                (json.dumps(release, sort_keys=True), reservation.entry, os.getpid()),
            )
            if changed.rowcount != 1:
                raise Refused("the reservation is not held any more", place=str(self._path))

    def identity(self) -> dict[str, int | str]:
        """Give the ledger's id and generation, by which an older copy of it is noticed."""
        ledger_id, generation = self._meta()
        return {"ledger": ledger_id, "generation": generation}

    def spent(self, dataset: str, period: str) -> Loss:
        """Give what was debited from a dataset in a period, reserved or committed."""
        with self._transaction(writes=False):
            return self._spent(dataset, period)

    def history(self, dataset: str | None = None) -> list[Entry]:
        """Give all debits in the order in which they were made."""
        rows: list[Any] = self._connection.execute(
            "SELECT dataset, period, state, at, actor, query, query_digest, policy_digest, rho, epsilon, delta"
            " FROM entry WHERE ? IS NULL OR dataset = ? ORDER BY id",
            (dataset, dataset),
        ).fetchall()
        names = ["dataset", "period", "state", "at", "actor", "query", "query_digest", "policy_digest"]
        return [Entry(**dict(zip(names, row[:8], strict=True)), loss=_loss(*row[8:])) for row in rows]

    def set_allowance(self, dataset: str, said: str) -> None:
        """Note the budget of a dataset that no policy gives one; `said` is the text of it."""
        with self._transaction(writes=True):
            self._connection.execute("INSERT OR REPLACE INTO allowance VALUES (?, ?, ?)", (dataset, said, self._now()))

    def allowance(self, dataset: str) -> str | None:
        """Give the budget that was noted for a dataset."""
        found = self._connection.execute("SELECT said FROM allowance WHERE dataset = ?", (dataset,)).fetchone()
        return None if found is None else str(found[0])

    def is_closed(self, dataset: str, period: str) -> bool:
        """Tell whether a budget is closed."""
        return self._is_closed(dataset, period)

    def close_budget(self, dataset: str, period: str) -> None:
        """Allow no more releases from a dataset in a period; stored ones are still given."""
        with self._transaction(writes=True):
            self._connection.execute("INSERT OR IGNORE INTO closed VALUES (?, ?, ?)", (dataset, period, self._now()))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _existing(self, found: tuple[int, str, str, int, str | None, str]) -> Reservation | Stored:
        entry, state, host, pid, release, at = found
        if state == "committed":
            assert release is not None
            return Stored(json.loads(release), at)
        if host != socket.gethostname() or (pid != os.getpid() and _alive(pid)):
            raise Locked("the same query is being computed by another process", place=str(self._path))
        self._connection.execute("UPDATE entry SET pid = ? WHERE id = ?", (os.getpid(), entry))
        return Reservation(entry, taken_over=True)

    def _spent(self, dataset: str, period: str) -> Loss:
        rows = self._connection.execute(
            "SELECT rho, epsilon, delta FROM entry WHERE dataset = ? AND period = ?", (dataset, period)
        ).fetchall()
        return total(_loss(*row) for row in rows)

    def _is_closed(self, dataset: str, period: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM closed WHERE dataset = ? AND period = ?", (dataset, period))
        return found.fetchone() is not None

    def _create(self) -> None:
        for statement in SCHEMA.split(";\n"):
            if statement.strip():
                self._connection.execute(statement)
        self._connection.execute("INSERT INTO meta VALUES (?, 1, 0)", (secrets.token_hex(16),))

    def _check_generation(self) -> None:
        seen = self._witness.seen(self._meta()[0])
        if seen > self._meta()[1]:  # read last: another process may be spending, and what was seen was there before
            raise Refused(
                "the ledger is older than one that was used before: spent budget would come back",
                place=str(self._path),
                hint="put the newest ledger back; do not restore it from a backup after a release",
            )

    def _meta(self) -> tuple[str, int]:
        found = self._connection.execute("SELECT id, generation FROM meta").fetchone()
        return str(found[0]), int(found[1])

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[None]:
        """Hold the ledger's write lock; what writes makes a new generation, which the witness sees after the commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            if writes:
                self._connection.execute("UPDATE meta SET generation = generation + 1")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        if writes:
            self._witness.saw(*self._meta())

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")


def _loss(rho: str, epsilon: str | None, delta: str) -> Loss:
    return Loss(Fraction(rho), None if epsilon is None else Fraction(epsilon), Fraction(delta))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
