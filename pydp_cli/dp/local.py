"""Local differential privacy in `anonymize`: what its columns cost each person, debited before a row is read.

    debits = LocalDebits(policy, open_ledger, today)
    transform_files(Request(…, before_rows=debits.reserve))
    debits.commit()

Noise is drawn afresh in every run, and two publications tell more than one, so that every run is debited.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from hashlib import sha256

from pydp_cli.dp.accounting import Loss, pure, total
from pydp_cli.dp.ask import allowance_of, budget_of, period_of
from pydp_cli.dp.ledger import Ledger, Query, Reservation
from pydp_cli.policy.model import DatasetPolicy, Policy


@dataclass(frozen=True)
class LocalLoss:
    """What one column costs each person."""

    column: str
    transform: str
    epsilon: Fraction


def local_losses(dataset: DatasetPolicy) -> list[LocalLoss]:
    """Give what the columns of a dataset cost that are differentially private by themselves."""
    return [
        LocalLoss(name, step.name, loss)
        for name, column in dataset.columns.items()
        for step in column.anonymize or ()
        if (loss := step.options.privacy_loss()) is not None
    ]


@dataclass
class LocalDebits:
    """The debits of one run of `anonymize`; `open_ledger` is called where there is something to debit."""

    policy: Policy
    open_ledger: Callable[[], Ledger]
    today: date
    made: dict[str, list[LocalLoss]] = field(default_factory=dict)
    _held: list[tuple[str, Reservation]] = field(default_factory=list)
    _ledger: Ledger | None = None

    def reserve(self, names: Collection[str]) -> None:
        """Debit what the datasets of a run cost; raises `LimitReached` where a budget does not allow it."""
        self.made = {name: losses for name in names if (losses := local_losses(self.policy.datasets[name]))}
        if not self.made:
            return
        self._ledger = self.open_ledger()
        run = secrets.token_hex(16)
        for name, losses in sorted(self.made.items()):
            said = self.policy.statistics.budget if self.policy.statistics is not None else None
            allowed = allowance_of(said, self._ledger, name)
            period = period_of(allowed.per if allowed else None, self.today)
            columns = ", ".join(one.column for one in losses)
            query = Query(name, period, f"anonymize: {columns}", _digest(losses), run, self.policy.digest)
            reservation = self._ledger.reserve(query, _composed(losses), budget_of(allowed))
            assert isinstance(reservation, Reservation)  # no two runs have the same data version
            self._held.append((name, reservation))

    def commit(self) -> dict[str, int | str]:
        """Note that what was debited is published; gives the ledger's id and generation, for the audit log."""
        if self._ledger is None:
            return {}
        for name, reservation in self._held:
            told = {one.column: float(one.epsilon) for one in self.made[name]}
            self._ledger.commit(reservation, {"columns": told})
        return self._ledger.identity()

    def close(self) -> None:
        """Close the ledger; what was debited and not published stays debited."""
        if self._ledger is not None:
            self._ledger.close()


def _composed(losses: list[LocalLoss]) -> Loss:
    return total(pure(one.epsilon) for one in losses)


def _digest(losses: list[LocalLoss]) -> str:
    said = [f"{one.column}|{one.transform}|{one.epsilon}" for one in losses]
    return sha256("\n".join(said).encode()).hexdigest()
