"""Suppression: who was erased, as keyed hashes, so that people who come back by a restore or a new import are found.

The list is a chained log of its own (`suppression/audit` in the state folder). It names nobody: a reference is the
keyed hash of an identifier, and only the keyring makes the same one again. Who becomes a customer again is taken off it
by an entry of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pydp_cli.audit.log import Clock, append_all
from pydp_cli.audit.signing import Signer
from pydp_cli.audit.verify import entries, verify
from pydp_cli.errors import Tampered
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.references import ReferenceKey, digest_in, reference_key
from pydp_cli.pipeline.spellings import pseudonyms_of
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.policy.model import Identity
from pydp_cli.subjects.catalogue import Catalogue
from pydp_cli.subjects.hash_set import HashSet
from pydp_cli.subjects.scan import scan_keys
from pydp_cli.subjects.subject import Subject
from pydp_cli.subjects.treated import Treated

PEOPLE_A_LINE = 500


def suppression_folder(state_dir: Path) -> Path:
    """Give the folder in which the chained log of erased people is."""
    return Path(state_dir) / "suppression"


def suppress(
    state_dir: Path,
    keyring: Keyring,
    people: Iterable[Mapping[str, Iterable[str]]],
    *,
    clock: Clock,
    signer: Signer | None = None,
) -> int:
    """Note the identifiers of erased people that are not noted yet; gives how many are new."""
    known = set(_references(state_dir))
    by_space: dict[str, list[str]] = {}
    for identities in people:
        for space, values in identities.items():
            by_space.setdefault(space, []).extend(values)
    new: dict[tuple[str, str], None] = {}
    for space, of_space in by_space.items():
        for reference in reference_key(keyring, space).references(of_space):
            if (space, reference) not in known:
                new[space, reference] = None
    return _append(state_dir, "suppression.added", list(new), clock=clock, signer=signer)


def every_spelling(
    catalogue: Catalogue, keyring: Keyring, people: Iterable[Mapping[str, Iterable[str]]]
) -> dict[str, list[str]]:
    """Give the identifiers of people, and the pseudonyms that stand for them in datasets that hold pseudonyms.

    A reference is a one-way hash: of somebody on the list no pseudonym can be made later.
    """
    found: dict[str, dict[str, None]] = {}
    for identities in people:
        for space, values in identities.items():
            found.setdefault(space, {}).update(dict.fromkeys(values))
    for space, values in found.items():
        texts, identity = pa.array(list(values), pa.string()), catalogue.identity(space)
        for key in catalogue.keys_in(space):
            for spelled in pseudonyms_of(catalogue.policy, key.dataset, key.column, texts, keyring):
                values.update(dict.fromkeys(identity_text(spelled, identity).drop_null().to_pylist()))
    return {space: list(values) for space, values in found.items()}


def readmit(
    state_dir: Path,
    keyring: Keyring,
    people: Iterable[Mapping[str, Iterable[str]]],
    *,
    clock: Clock,
    signer: Signer | None = None,
) -> int:
    """Take identifiers off the list, for people who are customers again; gives how many were on it."""
    listed = set(_references(state_dir))
    by_space: dict[str, set[bytes]] = {}
    for space, reference in listed:
        by_space.setdefault(space, set()).add(bytes.fromhex(reference.partition("-")[0]))
    lifted: dict[tuple[str, str], None] = {}
    for identities in people:
        for space, values in identities.items():
            texts = pa.array(list(values), pa.string())
            for key_id in sorted(by_space.get(space, ())):
                key = reference_key(keyring, space, key_id=key_id)
                pairs = ((space, key.written(digest)) for digest in key.hashes(texts).to_pylist())
                lifted |= {pair: None for pair in pairs if pair in listed}
    return _append(state_dir, "suppression.lifted", list(lifted), clock=clock, signer=signer)


def _append(state_dir: Path, event: str, pairs: list[tuple[str, str]], *, clock: Clock, signer: Signer | None) -> int:
    lines = [
        (event, {"people": [list(pair) for pair in pairs[at : at + PEOPLE_A_LINE]]})
        for at in range(0, len(pairs), PEOPLE_A_LINE)
    ]
    if lines:
        append_all(suppression_folder(state_dir), lines, clock=clock, signer=signer)
    return len(pairs)


@dataclass(frozen=True)
class Suppressed:
    """Erased people of one identity, ready for looking whole columns up; picklable."""

    keys: tuple[tuple[ReferenceKey, HashSet], ...]

    def among(self, column: pa.Array, identity: Identity | None) -> npt.NDArray[np.bool_]:
        """Tell for each row whether its identifier is an erased person's."""
        text = identity_text(column, identity)
        found = np.zeros(len(column), bool)
        for key, hashes in self.keys:
            found |= hashes.contains(key.hashes(text))
        return found


def identities_on_list(state_dir: Path) -> set[str]:
    """Name the identities of which somebody is on the list; needs no key."""
    return {space for space, _ in _references(state_dir)}


def suppressed(state_dir: Path, keyring: Keyring) -> dict[str, Suppressed]:
    """Give for each identity the people who were erased; raises `Tampered` where the list was changed."""
    by_key: dict[tuple[str, bytes], list[bytes]] = {}
    for space, reference in _references(state_dir):
        by_key.setdefault((space, bytes.fromhex(reference.partition("-")[0])), []).append(digest_in(reference))
    found: dict[str, list[tuple[ReferenceKey, HashSet]]] = {}
    for (space, key_id), digests in by_key.items():
        hashes = HashSet.of(pa.array(digests, pa.binary(16)))
        found.setdefault(space, []).append((reference_key(keyring, space, key_id=key_id), hashes))
    return {space: Suppressed(tuple(keys)) for space, keys in found.items()}


def returned(catalogue: Catalogue, keyring: Keyring) -> list[Subject]:
    """Find erased people who are in the data again, each identifier as a person of its own."""
    lists = suppressed(catalogue.policy.state_dir, keyring)
    treated = Treated(catalogue, keyring)
    found: dict[tuple[str, str], None] = {}
    for name in catalogue.order:
        keys = [key for key in catalogue.keys_of(name) if key.space in lists]
        for file in catalogue.files(name) if keys else ():
            batches = scan_keys(
                file,
                [key.column for key in keys],
                csv=catalogue.policy.datasets[name].csv,
                decode=lambda schema, sample, columns, name=name: treated.decoder(name, schema, sample, columns),  # type: ignore[misc]
            )
            for batch in batches:
                for key in keys:
                    column, identity = batch.columns[key.column], catalogue.identity(key.space)
                    rows = pa.array(np.flatnonzero(lists[key.space].among(column, identity)))
                    for value in identity_text(column.take(rows), identity).unique().to_pylist():
                        found[key.space, value] = None
    return [Subject((pair,)) for pair in found]


def _references(state_dir: Path) -> list[tuple[str, str]]:
    """Give pairs of an identity and a reference, of those who are on the list now."""
    folder = suppression_folder(state_dir)
    findings = verify(folder).findings
    if findings:
        hint = "restore the state folder: without it, people who were erased are not recognised"
        raise Tampered(f"the list of erased people: {findings[0].message}", place=findings[0].place, hint=hint)
    listed: dict[tuple[str, str], None] = {}
    for entry in entries(folder):
        pairs = ((space, reference) for space, reference in entry.details.get("people", ()))
        if entry.event == "suppression.added":
            listed |= dict.fromkeys(pairs)
        elif entry.event == "suppression.lifted":
            for pair in pairs:
                listed.pop(pair, None)
    return list(listed)
