"""People's keys: found, made and destroyed, each in the store and under the keyring's key of the present epoch.

    ring, keys = create_subject_keys(path, ring)       # or: open_subject_keys(path, ring)
    keys.ensure(people)                                # for each person a handle and a key
    ring, done = shred(path, ring, people)             # destroys their keys, and begins a new epoch

Destroying a key in the store does not reach the store's backups. A new epoch does: every key that lives is wrapped
under a new key of the keyring and the old one is destroyed, so that no older copy of the store opens any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes

from pydp_cli.errors import TemporaryFailure, WrongKey
from pydp_cli.keys import subject_store as store
from pydp_cli.keys.changes import change, newest, with_new_version, with_state
from pydp_cli.keys.key_version import stamp
from pydp_cli.keys.keyring import Clock, Keyring, utc_now
from pydp_cli.keys.secret import Secret
from pydp_cli.keys.subject_store import Connection, Row

WRAPPING_BYTES = 64
MOST_REMEMBERED = 200_000


@dataclass(frozen=True)
class PersonKey:
    """A person's key, and the handle that their cells name it by."""

    handle: bytes
    key: Secret = field(repr=False)


@dataclass(frozen=True)
class Opened:
    """The keys of handles that live, and the day on which others were destroyed. Those in neither are not known."""

    keys: Mapping[bytes, Secret] = field(repr=False)
    gone: Mapping[bytes, str]


@dataclass(frozen=True)
class SubjectKeys:
    """A store and the key of its epoch. It travels to workers; each call opens the file anew.

    Keys that cells named are remembered for the columns and rows that follow, as long as they are not too many.
    """

    path: Path
    store: bytes
    epoch: bytes
    wrapping: Secret = field(repr=False)
    _named: dict[bytes, Secret] = field(default_factory=dict, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[SubjectKeys], tuple[Path, bytes, bytes, Secret]]:
        """Leave what was remembered behind."""
        return SubjectKeys, (self.path, self.store, self.epoch, self.wrapping)

    def find(self, people: Iterable[bytes]) -> dict[bytes, PersonKey]:
        """Give the keys of those people who have one."""
        with store.open_store(self.path) as connection:
            self._check(connection)
            rows = list(store.of_people(connection, people))
        return self._by_person(store.unwrap(rows, self.wrapping, self.store, self.path))

    def ensure(self, people: Sequence[bytes]) -> dict[bytes, PersonKey]:
        """Give the key of each person; those who have none get one, which is durable before it is given."""
        with store.open_store(self.path) as connection, store.writing(connection):
            self._check(connection)
            rows = store.unwrap(list(store.of_people(connection, people)), self.wrapping, self.store, self.path)
            known = {person for person, _, _ in rows}
            new = [person for person in dict.fromkeys(people) if person not in known]
            rows += store.add_people(connection, new, self.wrapping)
        return self._by_person(rows)

    def open(self, handles: Iterable[bytes]) -> Opened:
        """Give the keys that cells name."""
        asked = dict.fromkeys(handles)
        keys = {handle: key for handle in asked if (key := self._named.get(handle)) is not None}
        wanted = [handle for handle in asked if handle not in keys]
        gone: dict[bytes, str] = {}
        if wanted:
            with store.open_store(self.path) as connection:
                self._check(connection)
                rows = store.unwrap(list(store.of_handles(connection, wanted)), self.wrapping, self.store, self.path)
                new = {handle: Secret(key) for _, handle, key in rows}
                gone = store.gone_of(connection, (handle for handle in wanted if handle not in new))
            if len(self._named) > MOST_REMEMBERED:
                self._named.clear()
            self._named.update(new)
            keys |= new
        return Opened(keys, gone)

    def reference_ids(self) -> list[bytes]:
        """Give the ids of the keys that people in the store were hashed under."""
        with store.open_store(self.path) as connection:
            return store.reference_ids(connection)

    def _check(self, connection: Connection) -> None:
        if store.identity_of(connection) != (self.store, self.epoch):
            raise TemporaryFailure(
                "people were erased meanwhile, and their keys destroyed", place=str(self.path), hint="run it again"
            )

    @staticmethod
    def _by_person(rows: Iterable[Row]) -> dict[bytes, PersonKey]:
        return {person: PersonKey(handle, Secret(key)) for person, handle, key in rows}


@dataclass(frozen=True)
class Shredded:
    """What was destroyed: keys of people, and the epoch's key with which no backup of the store opens any more."""

    keys: int
    kept: int
    epochs_destroyed: int


def key_name(store_id: bytes) -> str:
    """Name the key of the keyring whose versions are the epochs of a store."""
    return f"epoch/{store_id.hex()}"


def create_subject_keys(path: Path, ring: Keyring, *, clock: Clock = utc_now) -> tuple[Keyring, SubjectKeys]:
    """Make a store, and the key of its first epoch."""
    taken = {version.key_id for version in ring.versions()}
    store_id = token_bytes(store.ID_BYTES)
    while store_id in taken:
        store_id = token_bytes(store.ID_BYTES)
    ring = _new_epoch(ring, store_id, clock)
    store.create_store(path, store_id, ring.primary(key_name(store_id)).key_id)
    return ring, open_subject_keys(path, ring)


def open_subject_keys(path: Path, ring: Keyring) -> SubjectKeys:
    """Open a store. Raises `WrongKey` where its epoch's key is gone: then it is a copy from before an erasure."""
    with store.open_store(path) as connection:
        store_id, epoch = store.identity_of(connection)
    return SubjectKeys(path, store_id, epoch, _wrapping(ring, store_id, epoch, path))


def _wrapping(ring: Keyring, store_id: bytes, epoch: bytes, path: Path) -> Secret:
    if not _has(ring, epoch):
        ring = newest(ring)  # another run may have begun the epoch since this one was opened
    version = ring.find(epoch) if _has(ring, epoch) else None
    if version is None or version.name != key_name(store_id):
        raise WrongKey(
            "the store of people's keys belongs to another keyring",
            place=str(path),
            hint="use the store and the keyring that the data was encrypted with",
        )
    if version.state == "destroyed":
        raise WrongKey(
            f"the store of people's keys is a copy from before {version.changed[:10]}, when people were erased: "
            "nothing opens it any more",
            place=str(path),
            hint="restore a copy that was made after that day's erasure",
        )
    return ring.column_key("epoch", store_id.hex(), version=epoch, length=WRAPPING_BYTES).key


def _has(ring: Keyring, key_id: bytes) -> bool:
    return any(version.key_id == key_id for version in ring.versions())


def _new_epoch(ring: Keyring, store_id: bytes, clock: Clock) -> Keyring:
    name = key_name(store_id)

    def step(current: Keyring) -> Keyring:
        added = with_new_version(current, name, clock=clock)
        return with_state(added, added.keys[name][-1].key_id, "primary", clock=clock)

    return change(ring, step)


def shred(path: Path, ring: Keyring, people: Iterable[bytes], *, clock: Clock = utc_now) -> tuple[Keyring, Shredded]:
    """Destroy the keys of people, begin a new epoch, and destroy the old one's key.

    Whoever calls has asked the holds. The store changes all at once; a run that was killed before or after that is
    finished by the next one, also for nobody. Where none of the people has a key, no epoch begins.
    """
    return _shred(path, ring, people, clock, always=False)


def begin_epoch(path: Path, ring: Keyring, *, clock: Clock = utc_now) -> tuple[Keyring, Shredded]:
    """Begin a new epoch without destroying a person's key: no copy of the store from before opens any more."""
    return _shred(path, ring, (), clock, always=True)


def check_store(path: Path, ring: Keyring) -> store.StoreInfo:
    """Unwrap every key of a store, and say what it holds; raises `Tampered` where one does not open."""
    keys = open_subject_keys(path, ring)
    with store.open_store(path) as connection:
        store.check_all(connection, keys.wrapping, path)
        return store.info_of(connection)


def _shred(
    path: Path, ring: Keyring, people: Iterable[bytes], clock: Clock, *, always: bool
) -> tuple[Keyring, Shredded]:
    with store.open_store(path) as connection:
        with store.writing(connection):
            store_id, epoch = store.identity_of(connection)
            old = _wrapping(ring, store_id, epoch, path)
            deleted = store.delete_people(connection, people, stamp(clock())[:10])
            if deleted or always:
                ring = _next_epoch(ring, store_id, epoch, clock)
                new_id = ring.primary(key_name(store_id)).key_id
                new = _wrapping(ring, store_id, new_id, path)
                store.rewrap_all(connection, old, new, new_id, path)
        store_id, epoch = store.identity_of(connection)
        kept = store.check_all(connection, _wrapping(ring, store_id, epoch, path), path)
    ring, destroyed = _destroy_before(ring, store_id, epoch, clock)
    return ring, Shredded(deleted, kept, destroyed)


def _next_epoch(ring: Keyring, store_id: bytes, epoch: bytes, clock: Clock) -> Keyring:
    """Give a ring whose primary version is not the store's: one that a killed run made will do."""
    if ring.primary(key_name(store_id)).key_id != epoch:
        return ring
    return _new_epoch(ring, store_id, clock)


def _destroy_before(ring: Keyring, store_id: bytes, epoch: bytes, clock: Clock) -> tuple[Keyring, int]:
    """Destroy the keys of earlier epochs."""
    number = ring.find(epoch).version

    def older(current: Keyring) -> list[bytes]:
        versions = current.keys[key_name(store_id)]
        return [one.key_id for one in versions if one.version < number and one.state != "destroyed"]

    def step(current: Keyring) -> Keyring:
        for key_id in older(current):
            if current.find(key_id).state == "enabled":
                current = with_state(current, key_id, "disabled", clock=clock)
            current = with_state(current, key_id, "destroyed", clock=clock)
        return current

    count = len(older(ring))
    return (change(ring, step, keep_previous=False), count) if count else (ring, 0)
