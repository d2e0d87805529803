"""Which person's key a row is under: the store of people's keys knows them by keyed hashes of their identifiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from secrets import token_bytes

import numpy as np
import pyarrow as pa

from pydp_cli.errors import KeyringError, UsageError, WrongKey
from pydp_cli.keys.keyring import Keyring
from pydp_cli.keys.subject_keys import PersonKey, SubjectKeys, create_subject_keys, open_subject_keys
from pydp_cli.keys.subject_store import HANDLE_BYTES, ID_BYTES, SECRET_BYTES
from pydp_cli.pipeline.compilation import Compilation
from pydp_cli.pipeline.references import ReferenceKey, reference_key
from pydp_cli.policy.identity_text import identity_text
from pydp_cli.policy.model import Identity
from pydp_cli.transforms.encrypt_for_people import KeysOfRows, RowKeys

MOST_REMEMBERED = 200_000


@dataclass(frozen=True)
class PeopleKeys:
    """Gives rows the keys of their people; it travels to workers, each of which remembers the keys it has met.

    `references` are the keys that people of the space may be hashed under, the newest first.
    """

    keys: SubjectKeys
    references: tuple[ReferenceKey, ...]
    identity: Identity | None
    _met: dict[bytes, PersonKey] = field(default_factory=dict, repr=False, compare=False)
    _last: list[tuple[pa.Array, RowKeys]] = field(default_factory=list, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[PeopleKeys], tuple[SubjectKeys, tuple[ReferenceKey, ...], Identity | None]]:
        """Leave what was remembered behind."""
        return PeopleKeys, (self.keys, self.references, self.identity)

    def of_rows(self, people: pa.Array) -> RowKeys:
        """Give the key of each row's person; a person who has none gets one. Rows that are nobody's have -1."""
        if self._last and self._last[0][0] is people:  # another column of the same rows
            return self._last[0][1]
        distinct = identity_text(people, self.identity).dictionary_encode()
        found = self._of(distinct.dictionary)
        of_row = distinct.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        keys = RowKeys(self.keys.store, [one.handle for one in found], [one.key for one in found], of_row)
        self._last[:] = [(people, keys)]
        return keys

    def _of(self, values: pa.StringArray) -> list[PersonKey]:
        newest, *older = self.references
        people = _digests(newest, values)
        if len(self._met) > MOST_REMEMBERED:
            self._met.clear()
        missing = [at for at, person in enumerate(people) if person not in self._met]
        for reference in older if missing else ():
            digests = _digests(reference, values.take(pa.array(missing)))
            known = self.keys.find(digests)
            self._met.update(
                (people[at], known[digest]) for at, digest in zip(missing, digests, strict=True) if digest in known
            )
            missing = [at for at in missing if people[at] not in self._met]
        if missing:
            self._met.update(self.keys.ensure([people[at] for at in missing]))
        return [self._met[person] for person in people]


@dataclass(frozen=True)
class RehearsedKeys:
    """Gives each row a key that nobody keeps, for showing what a run would do."""

    def of_rows(self, people: pa.Array) -> RowKeys:
        """Give the same key to all."""
        nobody = identity_text(people).is_null().to_numpy(zero_copy_only=False)
        key, handle, store = token_bytes(SECRET_BYTES), token_bytes(HANDLE_BYTES), token_bytes(ID_BYTES)
        return RowKeys(store, [handle], [key], np.where(nobody, -1, 0))


def keys_for(compilation: Compilation, person: str) -> KeysOfRows:
    """Give what finds the keys of the people whom a column names; makes the store where there is none."""
    policy, ring, met = compilation.policy, compilation.keyring, compilation.people
    if person in met:
        return met[person]
    if compilation.rehearse:
        return RehearsedKeys()
    if not isinstance(ring, Keyring):
        raise KeyringError("people's own keys need an unlocked keyring")
    space = policy.identity_of(compilation.name, person)
    assert space is not None  # see `Policy.person_column`
    path = policy.subject_keys_path
    if path.exists():
        keys = open_subject_keys(path, ring)
    else:
        ring, keys = create_subject_keys(path, ring)
    met[person] = PeopleKeys(keys, tuple(_references(keys, ring, space)), policy.identities.get(space))
    return met[person]


def digests_of(keys: SubjectKeys, ring: Keyring, people: Iterable[Mapping[str, Iterable[str]]]) -> list[bytes]:
    """Give all that a store may know people by, each given by the values of each kind of identifier."""
    by_space: dict[str, dict[str, None]] = {}
    for identities in people:
        for space, values in identities.items():
            by_space.setdefault(space, {}).update(dict.fromkeys(values))
    return [
        digest
        for space, values in by_space.items()
        for reference in _references(keys, ring, space)
        for digest in _digests(reference, pa.array(list(values), pa.string()))
    ]


def _references(keys: SubjectKeys, ring: Keyring, space: str) -> list[ReferenceKey]:
    """Give the keys that people of a space may be hashed under: the newest, and those that the store names."""
    found = [reference_key(ring, space)]
    for key_id in keys.reference_ids():
        if key_id != found[0].key_id:
            try:
                found.append(reference_key(ring, space, key_id=key_id))
            except WrongKey as error:
                raise UsageError(
                    "people in the store of their keys are known by a key that cannot be used", hint=error.message
                ) from None
    return found


def _digests(reference: ReferenceKey, values: pa.StringArray) -> list[bytes]:
    return [reference.key_id + digest for digest in reference.hashes(values).to_pylist()]
