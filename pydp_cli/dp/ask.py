"""Ask a question: reserve its cost, compute, commit the release; or give the one that was made before, at no cost."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydp_cli.datasets.locations import InputFile
from pydp_cli.dp.accounting import epsilon_at
from pydp_cli.dp.calibration import Calibration, MakeMechanism, calibrate
from pydp_cli.dp.engine import Seams, check_files, exact_totals
from pydp_cli.dp.ledger import Budget, Ledger, Query, Stored
from pydp_cli.dp.queries import Question
from pydp_cli.dp.release import Select, release
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.policy.statistics import Budget as BudgetSpec

_PERIOD = re.compile(r"P(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?")
EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Asking:
    """Everything that one run of the command needs besides the question."""

    files: list[InputFile]
    dataset: DatasetPolicy
    scratch: Path
    workers: int = 1
    make: MakeMechanism | None = None
    seams: Seams | None = None
    select: Select | None = None


@dataclass(frozen=True)
class Answer:
    """A release, and when it was made if that was before this run."""

    release: dict[str, Any]
    stored_at: str | None


def ask(
    question: Question, asking: Asking, *, ledger: Ledger, budget: Budget, period: str, policy_digest: str
) -> Answer:
    """Answer a question within the budget; raises `LimitReached` before anything is computed."""
    calibration = calibrate(question, asking.make)
    check_files(question, asking.files, asking.dataset)
    query = Query(question.dataset, period, question.name, question.digest, data_version(asking.files), policy_digest)
    reservation = ledger.reserve(query, calibration.loss, budget)
    if isinstance(reservation, Stored):
        return Answer(reservation.release, reservation.at)
    released = compute(question, asking, calibration)
    ledger.commit(reservation, released)
    return Answer(released, None)


def compute(question: Question, asking: Asking, calibration: Calibration) -> dict[str, Any]:
    """Compute a release, without a ledger."""
    keys, totals = exact_totals(
        question, asking.files, asking.dataset, asking.scratch, workers=asking.workers, seams=asking.seams
    )
    return {**release(question, totals, keys, calibration, asking.select), **stated(question, calibration)}


def stated(question: Question, calibration: Calibration) -> dict[str, Any]:
    """State the guarantee that a release comes with."""
    loss = calibration.loss
    delta = float(loss.delta) if loss.epsilon is not None else max(float(loss.delta), float(question.delta), 1e-9)
    return {
        "query": question.name,
        "dataset": question.dataset,
        "epsilon": float(loss.epsilon) if loss.epsilon is not None else epsilon_at(loss, delta),
        "delta": delta,
        "rho": float(loss.rho),
        "unit": question.unit,
        "neighbours": "two data sets of which one has all rows of one unit more than the other (add or remove)",
        "groups_per_unit": question.groups,
        "rows_per_group": question.rows_per_group,
        "selected_groups": question.selects,
        "where": question.where,
        "randomized": _randomized(question),
        "totals": question.totals,
        "bounds": {
            label: list(measure.bounds or measure.edges)
            for label, measure in question.measures
            if measure.bounds or measure.edges
        },
    }


def _randomized(question: Question) -> dict[str, Any] | None:
    column = question.randomized
    if column is None or column.randomized is None:
        return None
    return {"column": column.name, "epsilon": column.randomized.epsilon}


def data_version(files: list[InputFile]) -> str:
    """Name the version of the data by its files' paths, sizes and times; what has none is new each time."""
    said = []
    for file in files:
        if file.filesystem is not None or not Path(file.path).is_file():
            said.append(secrets.token_hex(16))
            continue
        found = Path(file.path).stat()
        said.append(f"{Path(file.path).resolve()}|{found.st_size}|{found.st_mtime_ns}")
    return sha256("\n".join(said).encode("utf-8", "surrogateescape")).hexdigest()


def budget_of(said: BudgetSpec | None) -> Budget:
    """Give the policy's budget in the ledger's terms; without one everything is allowed, and noted."""
    if said is None:
        return Budget()
    epsilon = None if said.epsilon is None else Fraction(str(said.epsilon))
    rho = None if said.rho is None else Fraction(str(said.rho))
    return Budget(epsilon, Fraction(str(said.delta or 0)), rho)


def allowance_of(said: BudgetSpec | None, ledger: Ledger, dataset: str) -> BudgetSpec | None:
    """Give the budget of a dataset: the policy's, else what `pydp budget set` has noted."""
    if said is not None:
        return said
    noted = ledger.allowance(dataset)
    return None if noted is None else BudgetSpec.model_validate_json(noted)


def period_of(per: str | None, today: date) -> str:
    """Name the period that a day is in: calendar years and months, else equal stretches since 1970."""
    found = _PERIOD.fullmatch(per) if per else None
    if found is None:
        return "all time"
    years, months, weeks, days = (int(part or 0) for part in found.groups())
    if weeks or days:
        length = 365 * years + 30 * months + 7 * weeks + days
        start = date.fromordinal(EPOCH + (today.toordinal() - EPOCH) // length * length)
        return f"from {start.isoformat()}"
    length = 12 * years + months
    start_month = (today.year * 12 + today.month - 1) // length * length
    return f"{start_month // 12}" if length == 12 else f"from {start_month // 12}-{start_month % 12 + 1:02d}"
