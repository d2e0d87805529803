"""Consent: who said yes or no to which purpose, and when, as events that are never changed.

Events are lines of a chained log of their own (`consent/audit` in the state folder, as `pydp_cli.audit` writes it),
under references to people, never identifiers. Withdrawing is an event like giving. Erasing a person leaves the events:
they prove that the use was lawful, and name nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from pydp_cli.audit.agreement import require_agreement
from pydp_cli.audit.log import Clock, append_all
from pydp_cli.audit.segments import folder_of
from pydp_cli.audit.signing import Signer
from pydp_cli.errors import InputError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.references import reference_keys

Status = Literal["given", "refused", "withdrawn", "opted-out"]
STATUSES: tuple[Status, ...] = ("given", "refused", "withdrawn", "opted-out")

_FIELDS = ("subject", "identity", "purpose", "status", "at", "until", "notice", "method")
_SCHEMA = pa.schema([("seq", pa.int64()), ("details", pa.struct([(name, pa.string()) for name in _FIELDS]))])


@dataclass(frozen=True)
class Event:
    """One thing that a person said. `subject` is a reference; times are ISO 8601 in UTC."""

    subject: str
    identity: str
    purpose: str
    status: Status
    at: str
    until: str | None = None
    notice: str | None = None
    method: str | None = None


def consent_folder(state_dir: Path) -> Path:
    """Give the folder in which the chained log of events is."""
    return Path(state_dir) / "consent"


def utc_text(moment: datetime) -> str:
    """Write a time so that times compare as texts."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def record_events(state_dir: Path, events: Sequence[Event], *, clock: Clock, signer: Signer | None = None) -> list[int]:
    """Append events; give their numbers."""
    lines = [
        (f"consent.{event.status}", {name: value for name, value in vars(event).items() if value is not None})
        for event in events
    ]
    return [done.seq for done in append_all(consent_folder(state_dir), lines, clock=clock, signer=signer)]


def read_events(state_dir: Path) -> pa.Table:
    """Read all events as a table, in the order in which they were recorded; `Refused` where they were altered."""
    require_agreement(consent_folder(state_dir), "the consent events", "`pydp consent verify` tells what is wrong")
    folder = folder_of(consent_folder(state_dir))
    options = pj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore")
    parts = [_NO_EVENTS]
    for number in folder.numbers("jsonl"):
        path = folder.segment(number)
        try:
            raw = path.read_bytes()
            whole = raw[: raw.rfind(b"\n") + 1]  # what follows was being written when its writer died
            if not whole:
                continue
            table = pj.read_json(pa.BufferReader(whole), parse_options=options)
        except (pa.ArrowInvalid, OSError):
            raise InputError(
                "the consent events cannot be read", place=str(path), hint="`pydp consent verify` tells what is wrong"
            ) from None
        details = table.column("details").combine_chunks()
        columns = [pc.struct_field(details, name) for name in _FIELDS]
        events = pa.table([*columns, table.column("seq")], names=[*_FIELDS, "seq"])
        parts.append(events.filter(events.column("status").is_valid()))
    return pa.concat_tables(parts)


_NO_EVENTS = pa.table({**{name: pa.array([], pa.string()) for name in _FIELDS}, "seq": pa.array([], pa.int64())})


@dataclass(frozen=True)
class Standing:
    """Who stands how to a purpose at a time: for each identity and key, the hashes of those who said yes and no."""

    live: Mapping[tuple[str, str], pa.Array]
    barred: Mapping[tuple[str, str], pa.Array]

    def identities(self) -> set[str]:
        """Name the identities that anything is known under."""
        return {identity for identity, _ in {*self.live, *self.barred}}


def standing(events: pa.Table, purpose: str, as_of: datetime) -> Standing:
    """Give how everybody stands to a purpose: what they said last, at that time or before; lapsed consent is none."""
    now = utc_text(as_of)
    chosen = pc.and_(pc.equal(events.column("purpose"), purpose), pc.less_equal(events.column("at"), now))
    table = _latest(events.filter(chosen))
    lapsed = pc.less_equal(table.column("until"), now).fill_null(False)
    given = pc.and_(pc.equal(table.column("status"), "given"), pc.invert(lapsed))
    no = pc.invert(pc.equal(table.column("status"), "given"))
    return Standing(_by_key(table.filter(given)), _by_key(table.filter(no)))


def _latest(table: pa.Table) -> pa.Table:
    """Keep the last event of each person: by its time, and of equal times by when it was recorded."""
    if not table.num_rows:
        return table
    table = table.append_column("who", pc.binary_join_element_wise(table["identity"], table["subject"], " "))
    order = pc.sort_indices(table, sort_keys=[("who", "ascending"), ("at", "ascending"), ("seq", "ascending")])
    table = table.take(order)
    who = table.column("who").combine_chunks()
    last = np.ones(len(who), bool)
    last[:-1] = pc.not_equal(who[:-1], who[1:]).to_numpy(zero_copy_only=False)
    return table.filter(pa.array(last))


def _by_key(table: pa.Table) -> dict[tuple[str, str], pa.Array]:
    """Group hashes by identity and key id."""
    if not table.num_rows:
        return {}
    subjects = table.column("subject").combine_chunks()
    key_ids = pc.utf8_slice_codeunits(subjects, 0, 8)
    digests = pc.utf8_slice_codeunits(subjects, 9, 41)
    grouped: dict[tuple[str, str], pa.Array] = {}
    labels = pc.binary_join_element_wise(table.column("identity").combine_chunks(), key_ids, " ")
    for label in pc.unique(labels).to_pylist():
        identity, _, key_id = label.rpartition(" ")
        texts = digests.filter(pc.equal(labels, label))
        raw = bytes.fromhex("".join(texts.to_pylist()))
        grouped[identity, key_id] = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(texts), [None, pa.py_buffer(raw)]
        )
    return grouped


@dataclass(frozen=True)
class Answer:
    """Whether a person agrees to a purpose at a time, and why."""

    allowed: bool
    reason: str
    since: str | None = None


def check_consent(
    state_dir: Path, keyring: Keyring, identities: Mapping[str, Iterable[str]], purpose: str, as_of: datetime
) -> Answer:
    """Tell whether a person, known by any of their identifiers, agrees; one no outweighs every yes."""
    events = read_events(state_dir)
    mine = _of_person(events, keyring, identities)
    now = utc_text(as_of)
    chosen = pc.and_(pc.equal(mine.column("purpose"), purpose), pc.less_equal(mine.column("at"), now))
    latest = _latest(mine.filter(chosen)).to_pylist()
    for event in latest:
        if event["status"] != "given":
            return Answer(allowed=False, reason=event["status"], since=event["at"])
    live = [event for event in latest if event["until"] is None or event["until"] > now]
    if live:
        return Answer(allowed=True, reason="given", since=live[0]["at"])
    return Answer(allowed=False, reason="lapsed" if latest else "no consent is recorded")


def events_of(
    state_dir: Path, keyring: Keyring, people: Sequence[Mapping[str, Sequence[str]]]
) -> list[list[dict[str, Any]]]:
    """Give what each of some people said, in order, for the copy that they get; the events are read once."""
    events = read_events(state_dir)
    owner: dict[str, int] = {}
    for space in {space for identities in people for space in identities}:
        known = events.filter(pc.equal(events.column("identity"), space)).column("subject")
        pairs = [(value, place) for place, one in enumerate(people) for value in one.get(space, ())]
        values = pa.array([value for value, _ in pairs], pa.string())
        for key in reference_keys(keyring, space, pc.unique(pc.utf8_slice_codeunits(known, 0, 9)).to_pylist()):
            hashes = key.hashes(values).to_pylist()
            owner |= {key.written(digest): place for digest, (_, place) in zip(hashes, pairs, strict=True)}
    found: list[list[dict[str, Any]]] = [[] for _ in people]
    theirs = events.filter(pc.is_in(events.column("subject"), value_set=pa.array(list(owner), pa.string())))
    for event in theirs.to_pylist():
        said = {name: event[name] for name in _FIELDS if event[name] is not None}
        found[owner[event["subject"]]].append(said)
    return found


def _of_person(events: pa.Table, keyring: Keyring, identities: Mapping[str, Iterable[str]]) -> pa.Table:
    wanted = []
    for space, values in identities.items():
        known = events.filter(pc.equal(events.column("identity"), space)).column("subject")
        for key in reference_keys(keyring, space, pc.unique(pc.utf8_slice_codeunits(known, 0, 9)).to_pylist()):
            wanted += [key.reference(value) for value in values]
    return events.filter(pc.is_in(events.column("subject"), value_set=pa.array(wanted, pa.string())))


def statistics(state_dir: Path, as_of: datetime) -> Iterator[dict[str, Any]]:
    """Give for each purpose how many identifiers stand how at a time; a person may be known by several."""
    events = read_events(state_dir)
    events = events.filter(pc.less_equal(events.column("at"), utc_text(as_of)))
    for purpose in sorted(pc.unique(events.column("purpose")).to_pylist()):
        now = standing(events, purpose, as_of)
        of_purpose = events.filter(pc.equal(events.column("purpose"), purpose))
        said = {status: pc.sum(pc.equal(of_purpose["status"], status)).as_py() or 0 for status in STATUSES}
        yield {
            "purpose": purpose,
            "identifiers": len(pc.unique(of_purpose.column("subject"))),
            "agree now": sum(map(len, now.live.values())),
            "said no": sum(map(len, now.barred.values())),
            "events": sum(said.values()),
        }
