"""Export a person's data: resolve, take their rows, and write one bundle for each person."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pyarrow as pa

from pydp_cli.audit.signing import Signer
from pydp_cli.datasets.publish import Publication
from pydp_cli.datasets.staging_files import output_error
from pydp_cli.errors import MissingExtra, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.references import reference_key
from pydp_cli.policy.column_types import type_name
from pydp_cli.policy.model import Policy
from pydp_cli.subjects.bundle import Bundle, folder_bundle, zip_bundle
from pydp_cli.subjects.bundle_pages import SHOWN_ROWS, Section, index_page, readme
from pydp_cli.subjects.bundle_verify import verify_bundle
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.file_matches import FileMatches
from pydp_cli.subjects.processing import controller_of, processing_of
from pydp_cli.subjects.resolution import Person, Resolution
from pydp_cli.subjects.rows import Collected, Left, Piece, Redaction, joined, take_rows
from pydp_cli.subjects.search import in_order
from pydp_cli.subjects.values import csv_rows, json_lines, shown_rows

KEPT_BYTES = 16 << 20
FEW_ROWS_OF_A_FILE = 10_000
COLLECTED_ROWS = 100_000


@dataclass(frozen=True)
class ExportRequest:
    """What is asked for. `as_of` is the time that the bundle carries, and all that its bytes depend on besides data."""

    catalogue: Catalogue
    found: Resolution
    as_of: datetime
    version: str
    request: str | None = None
    keyring: Keyring | None = None
    signer: Signer | None = None
    recipients: Sequence[str] = ()
    force: bool = False
    consent: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    collected: Collected | None = None


@dataclass(frozen=True)
class Exported:
    """What was written for one person."""

    path: str
    reference: str | None
    rows: int
    datasets: int
    omissions: int
    manifest: str


def export_person(asked: ExportRequest, place: int, output: Path) -> Exported:
    """Write the bundle of the person at a place of the resolution; it appears whole or not at all.

    A name that ends with .zip (or .zip.age, where it is encrypted) is a file, any other a folder.
    """
    with _opened(asked, output) as bundle:
        return _write(asked, place, bundle, str(output))


def export_people(asked: ExportRequest, outputs: Sequence[Path]) -> Iterator[Exported]:
    """Write a bundle for everybody, in the order of the resolution.

    The files are read once for as many people as have `COLLECTED_ROWS` rows together, and not once for each person.
    """
    first = 0
    people = asked.found.people
    while first < len(people):
        after, rows = first + 1, people[first].rows
        while after < len(people) and rows + people[after].rows <= COLLECTED_ROWS:
            rows += people[after].rows
            after += 1
        places = range(first, after)
        yield from (
            export_person(one, place, outputs[place]) for one in [_collected(asked, places)] for place in places
        )
        first = after


def _collected(asked: ExportRequest, places: Sequence[int]) -> ExportRequest:
    if len(places) == 1:
        return asked
    collected = Collected()
    for matches in asked.found.files:
        if len(matches.rows):
            collected.add(asked.catalogue, matches, places, keyring=asked.keyring)
    return replace(asked, collected=collected)


@contextmanager
def _opened(asked: ExportRequest, output: Path) -> Iterator[Bundle]:
    if output.name == "-":
        raise UsageError("a bundle is a file or a folder, and cannot be stdout", hint="-o NAME.zip")
    if output.name.endswith(".age") and not asked.recipients:
        raise UsageError("nothing says whose key it is encrypted to", place=str(output), hint="add --encrypt-to AGE1…")
    keys = _recipients(asked.recipients)
    if not output.name.endswith((".zip", ".age")):
        if asked.recipients:
            raise UsageError("an encrypted bundle is one file", place=str(output), hint="name it NAME.zip.age")
        with folder_bundle(output) as bundle:
            yield bundle
        return
    with Publication(force=asked.force) as publication:
        if asked.recipients:
            staged = publication.stage(str(output))
            try:
                with TemporaryFile(dir=output.parent) as plain:  # has no name: nothing in clear stays after a crash
                    with zip_bundle(plain) as bundle:
                        yield bundle
                    plain.seek(0)
                    _encrypt(plain, staged.stream, keys)
            except OSError as error:
                raise output_error(error, str(output)) from error
        else:
            staged = publication.stage(str(output), verify=lambda path: _check(Path(path), asked))
            with zip_bundle(staged.stream) as bundle:
                yield bundle
        publication.commit()


def _check(path: Path, asked: ExportRequest) -> None:
    """Read the staged bundle back before it appears."""
    verify_bundle(path, public_keys=None if asked.signer is None else [asked.signer.public])


def _recipients(texts: Sequence[str]) -> list[Any]:
    """Read the keys of age recipients (X25519), before anything is read or written for them."""
    if not texts:
        return []
    try:
        import pyrage
    except ImportError:
        raise MissingExtra(
            "encrypting to a person's key needs the extra `age`", hint="pip install 'pydp-cli[age]'"
        ) from None
    try:
        return [pyrage.x25519.Recipient.from_str(text.strip()) for text in texts]
    except pyrage.RecipientError:
        raise UsageError("not an age recipient", place="--encrypt-to", hint="it begins with age1") from None


def _encrypt(plain: Any, out: Any, keys: Sequence[Any]) -> None:
    """Encrypt to age recipients, streaming."""
    import pyrage

    pyrage.encrypt_io(plain, out, keys)


def _write(asked: ExportRequest, place: int, bundle: Bundle, output: str) -> Exported:
    policy, person = asked.catalogue.policy, asked.found.people[place]
    left = {name: Left() for name in asked.catalogue.order}
    samples: dict[str, _Sample] = {}
    told: dict[str, dict[str, Any]] = {}
    for name in asked.catalogue.order:
        matched = asked.found.of_dataset(name)
        samples[name] = _write_data(asked, place, bundle, name, left[name])
        told[name] = {
            "files": len(matched),
            "searched": sum(matches.num_rows >= 0 for matches in matched),
            "rows": samples[name].rows,
        }
    omissions = list(_omissions(asked, left))
    reference = _reference(asked.keyring, person)
    facts = {
        "as_of": asked.as_of.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "request": asked.request or _request_id(reference, asked.as_of, policy.digest),
        "controller": controller_of(policy),
        "subject": reference,
        "tool": f"pydp {asked.version}",
        "policy": policy.digest,
        "datasets": told,
        "trail": [str(step) for step in asked.found.trail] if len(asked.found.people) == 1 else [],
    }
    events = asked.consent.get(place, [])
    bundle.add("consent/records.jsonl", (_line(event) for event in events), rows=len(events))
    bundle.add_json("processing.json", [processing_of(policy, name) for name in policy.datasets])
    bundle.add_json("omissions.json", omissions)
    bundle.add("README.txt", [readme(facts, signed=asked.signer is not None).encode()])
    sections = (_section(policy, name, told[name]["files"], samples[name]) for name in asked.catalogue.order)
    bundle.add("index.html", index_page(facts, sections, omissions, events))
    digest = bundle.finish(facts, asked.signer)
    rows = sum(sample.rows for sample in samples.values())
    return Exported(output, reference, rows, sum(bool(s.rows) for s in samples.values()), len(omissions), digest)


def _line(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n").encode()


@dataclass
class _Sample:
    """What was written of a dataset: how many rows, which columns, and the first rows for the page."""

    rows: int = 0
    fields: dict[str, pa.Field] = field(default_factory=dict)
    types: dict[str, dict[str, None]] = field(default_factory=dict)  # of each column: files may not agree
    first: list[tuple[str, ...]] = field(default_factory=list)


def _write_data(asked: ExportRequest, place: int, bundle: Bundle, name: str, left: Left) -> _Sample:
    """Write a dataset's rows twice, as JSON and as a table.

    They are read once while they are few; what is more is read again, so that memory does not grow.
    """
    sample = _Sample()
    kept: list[pa.RecordBatch] | None = []

    def lines() -> Iterator[bytes]:
        nonlocal kept
        size = 0
        for batch in _batches(asked, place, name, left):
            sample.rows += batch.num_rows
            for column in batch.schema:
                sample.fields.setdefault(column.name, column)
                sample.types.setdefault(column.name, {})[type_name(column.type)] = None
            wanted = SHOWN_ROWS - len(sample.first)
            sample.first += islice(shown_rows(_with_columns(batch, sample.fields).slice(0, wanted)), wanted)
            size += batch.nbytes
            kept = [*kept, batch] if kept is not None and size <= KEPT_BYTES else None
            yield from json_lines(batch)

    def table() -> Iterator[bytes]:
        heading = True
        for batch in _batches(asked, place, name, Left()) if kept is None else kept:
            yield csv_rows(_with_columns(batch, sample.fields), heading=heading)
            heading = False

    if not any(len(matches.of(place)) for matches in asked.found.of_dataset(name)):
        return sample
    bundle.add(f"data/{name}.jsonl", lines())
    bundle.files[f"data/{name}.jsonl"]["rows"] = sample.rows
    bundle.add(f"data/{name}.csv", table(), rows=sample.rows)
    bundle.add_json(f"data/{name}.schema.json", _schema(asked.catalogue.policy, name, sample.types))
    return sample


def _batches(asked: ExportRequest, place: int, name: str, left: Left) -> Iterator[pa.RecordBatch]:
    """Give the person's rows, with what is about other people redacted."""
    redaction = Redaction(asked.catalogue, name, asked.found.people[place], left)
    for batch, own in joined(_pieces(asked, place, name, left)):
        yield redaction.apply(batch, own)


def _pieces(asked: ExportRequest, place: int, name: str, left: Left) -> Iterator[Piece]:
    """Give the person's rows, file by file; files in which there are few are read at the same time."""

    def taken(matches: FileMatches, noted: Left) -> Iterator[Piece]:
        more: dict[str, Any] = {"keyring": asked.keyring, "collected": asked.collected}
        return take_rows(asked.catalogue, matches, place, left=noted, **more)

    def few(matches: FileMatches) -> Callable[[], tuple[list[Piece], Left]]:
        noted = Left()
        return lambda: (list(taken(matches, noted)), noted)

    def are_few(matches: FileMatches) -> bool:
        return asked.collected is None and _are_few(matches, len(matches.of(place)))

    with_rows = (matches for matches in asked.found.of_dataset(name) if len(matches.of(place)))
    for is_few, found in groupby(with_rows, are_few):
        if is_few:
            for _, (pieces, noted) in in_order(list(found), few):
                left.add(noted)
                yield from pieces
        else:
            for matches in found:
                noted = Left()
                yield from taken(matches, noted)
                left.add(noted)


def _are_few(matches: FileMatches, rows: int) -> bool:
    """Tell whether rows can be held in memory, as large as those of their file are on average."""
    if matches.fingerprint is None or not matches.num_rows:
        return False
    return rows <= FEW_ROWS_OF_A_FILE and rows * matches.fingerprint[1] / matches.num_rows <= KEPT_BYTES


def _with_columns(batch: pa.RecordBatch, fields: dict[str, pa.Field]) -> pa.RecordBatch:
    """Give a batch the columns of all files of its dataset; what a file does not have is null."""
    if list(fields) == batch.schema.names:
        return batch
    columns = [
        batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows, fields[name].type)
        for name in fields
    ]
    return pa.record_batch(columns, list(fields))


def _schema(policy: Policy, name: str, types: dict[str, dict[str, None]]) -> list[dict[str, Any]]:
    treated = policy.datasets[name].columns
    return [
        {
            "name": column,
            "type": " or ".join(told),
            "category": treated[column].category if column in treated else None,
        }
        for column, told in types.items()
    ]


def _omissions(asked: ExportRequest, left: dict[str, Left]) -> Iterator[dict[str, Any]]:
    for name, one in left.items():
        for column, cells in sorted(one.redacted.items()):
            yield {
                "dataset": name,
                "what": f"{cells:,} values of {column}",
                "why": "they are about other people",
                "cells": cells,
                "column": column,
            }
        for column in sorted(one.unreadable):
            yield {"dataset": name, "what": f"the column {column}", "why": "it is encrypted, and no key opens it here"}
        unsearched = [matches for matches in asked.found.of_dataset(name) if matches.num_rows < 0]
        if unsearched:
            what, why = f"{len(unsearched):,} files", "nothing is known of you by which they could be searched"
            yield {"dataset": name, "what": what, "why": why}
    for name, dataset in asked.catalogue.policy.datasets.items():
        if name not in left and dataset.path is not None:
            yield {"dataset": name, "what": "all of it", "why": "the policy names no way from a person to it"}


def _section(policy: Policy, name: str, files: int, sample: _Sample) -> Section:
    return Section(name, processing_of(policy, name), files, sample.rows, tuple(sample.fields), sample.first)


def _reference(keyring: Keyring | None, person: Person) -> str | None:
    """Refer to a person by the first of their identifiers; nothing is written down where there is no key."""
    if keyring is None:
        return None
    space, values = next(iter(sorted(person.identities.items())))
    return reference_key(keyring, space).reference(values[0])


def _request_id(reference: str | None, as_of: datetime, policy: str) -> str:
    return sha256(f"{reference} {as_of.isoformat()} {policy}".encode()).hexdigest()[:16]
