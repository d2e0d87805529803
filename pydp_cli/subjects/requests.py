"""Rights requests: what people asked for, when it is due, and what came of it, as events that are never changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydp_cli.audit.agreement import require_agreement
from pydp_cli.audit.log import Clock, append
from pydp_cli.audit.signing import Signer
from pydp_cli.audit.verify import entries
from pydp_cli.errors import UsageError
from pydp_cli.subjects.deadlines import Deadlines, deadlines_of

Outcome = Literal["done", "refused", "withdrawn"]
OUTCOMES = ("done", "refused", "withdrawn")


@dataclass(frozen=True)
class RightsRequest:
    """One request as it stands. `subject` is a reference, if there is one."""

    number: str
    kind: str
    regime: str
    received: date
    subject: str | None = None
    note: str | None = None
    extended: str | None = None
    outcome: str | None = None
    closed: date | None = None

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines by the law."""
        return deadlines_of(self.regime, self.kind, self.received)

    @property
    def due(self) -> date:
        """The day by which it is to be answered, with the extension where one was taken."""
        deadlines = self.deadlines
        return deadlines.latest if self.extended is not None and deadlines.latest is not None else deadlines.respond

    def days_left(self, today: date) -> int:
        """The days that are left; less than none where it is overdue."""
        return (self.due - today).days

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON types."""
        deadlines = self.deadlines
        told = {
            "due": self.due,
            "acknowledge": deadlines.acknowledge,
            "latest": deadlines.latest,
            "article": deadlines.article,
        }
        every = {**vars(self), **told}
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in every.items()}


def requests_folder(state_dir: Path) -> Path:
    """Give the folder in which the chained log of requests is."""
    return Path(state_dir) / "requests"


def open_request(
    state_dir: Path, request: RightsRequest, *, clock: Clock, signer: Signer | None = None
) -> RightsRequest:
    """Record a new request and give it its number; a law or a right that is not known is refused."""
    deadlines_of(request.regime, request.kind, request.received)
    folder = requests_folder(state_dir)
    details = {
        "kind": request.kind,
        "regime": request.regime,
        "received": request.received.isoformat(),
        "subject": request.subject,
        "note": request.note,
    }
    done = append(folder, "request.opened", details, clock=clock, signer=signer)
    return replace(request, number=_number(done.seq))


def extend_request(state_dir: Path, number: str, because: str, *, clock: Clock, signer: Signer | None = None) -> None:
    """Take the extension that the law allows, for a reason that the person is told."""
    found = _open_request(state_dir, number)
    if found.deadlines.latest is None:
        raise UsageError("the law allows no extension of this request", place=number)
    if found.extended is not None:
        raise UsageError("the request was extended already", place=number)
    details = {"request": number, "because": because}
    append(requests_folder(state_dir), "request.extended", details, clock=clock, signer=signer)


def close_request(
    state_dir: Path, number: str, outcome: str, because: str | None, *, clock: Clock, signer: Signer | None = None
) -> None:
    """Record what came of a request."""
    _open_request(state_dir, number)
    if outcome not in OUTCOMES:
        raise UsageError("--outcome is one of: " + ", ".join(OUTCOMES))
    if outcome == "refused" and not because:
        raise UsageError("a refusal needs a reason, which the person is told", hint="add --because TEXT")
    details = {"request": number, "outcome": outcome, "because": because}
    append(requests_folder(state_dir), "request.closed", details, clock=clock, signer=signer)


def all_requests(state_dir: Path) -> list[RightsRequest]:
    """Give every request as it stands, in the order in which they were opened; `Refused` where events were altered."""
    require_agreement(requests_folder(state_dir), "the requests", "`pydp requests verify` tells what is wrong")
    found: dict[str, RightsRequest] = {}
    for entry in entries(requests_folder(state_dir)):
        said = entry.details
        if entry.event == "request.opened":
            number = _number(entry.seq)
            received = date.fromisoformat(said["received"])
            found[number] = RightsRequest(number, said["kind"], said["regime"], received, said["subject"], said["note"])
        elif entry.event == "request.extended":
            found[said["request"]] = replace(found[said["request"]], extended=said["because"])
        elif entry.event == "request.closed":
            closed = date.fromisoformat(entry.time[:10])
            found[said["request"]] = replace(found[said["request"]], outcome=said["outcome"], closed=closed)
    return list(found.values())


def due_requests(state_dir: Path, today: date, within_days: int) -> Iterator[RightsRequest]:
    """Give the open requests that are due within some days or overdue, the most urgent first."""
    waiting = [one for one in all_requests(state_dir) if one.outcome is None]
    yield from (one for one in sorted(waiting, key=lambda one: one.due) if one.days_left(today) <= within_days)


def _open_request(state_dir: Path, number: str) -> RightsRequest:
    for one in all_requests(state_dir):
        if one.number == number:
            if one.outcome is not None:
                raise UsageError("the request is closed", place=number)
            return one
    raise UsageError("there is no such request", place=number, hint="`pydp requests list` shows them")


def _number(seq: int) -> str:
    return f"R{seq:04d}"
