"""The store of people's keys: a random key for each person, wrapped under the key of the present epoch.

It is one SQLite file. A person is known in it by a keyed hash, a key by a random handle, which the person's cells name.
Keys are wrapped with AES-SIV (RFC 5297), the store's id, the person and the handle authenticated with them, so that
rows cannot be exchanged. A handle whose key was destroyed is never used again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pyarrow as pa

from pydp_cli.crypto import siv
from pydp_cli.errors import KeyringError, Locked, OutputError, Tampered
from pydp_cli.keys.unlock import sync_folder

FORMAT = 1
SECRET_BYTES, HANDLE_BYTES, PERSON_BYTES, ID_BYTES = 32, 8, 20, 4
_CONTEXT = b"pydp subject key 1"
_WAIT_SECONDS = 60
_AT_ONCE = 10_000
_RESTORE = "restore it from a backup that is newer than the last erasure"
_PRAGMAS = (
    "trusted_schema = OFF",
    "secure_delete = ON",
    "synchronous = EXTRA",
    "cell_size_check = ON",
    "cache_size = -65536",  # KiB: with the default of 2 MiB, a new epoch writes pages again and again
)
_SCHEMA = (
    "CREATE TABLE store (format INTEGER NOT NULL, id BLOB NOT NULL, epoch BLOB NOT NULL)",
    "CREATE TABLE people (person BLOB PRIMARY KEY, handle BLOB NOT NULL UNIQUE, wrapped BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE gone (handle BLOB PRIMARY KEY, day TEXT NOT NULL) WITHOUT ROWID",
)

Connection = sqlite3.Connection

Row = tuple[bytes, bytes, bytes]
"""A person, a handle and a key, wrapped or not."""


@dataclass(frozen=True)
class StoreInfo:
    """What a store shows without a key: its id, the id of its epoch's key, and how many keys live and are gone."""

    id: bytes
    epoch: bytes
    people: int
    gone: int


def create_store(path: Path, store_id: bytes, epoch: bytes) -> None:
    """Make an empty store; raises `OutputError` where there is one already."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{token_bytes(8).hex()}.tmp")
    os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with _errors(temp), _connection(temp) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO store VALUES (?, ?, ?)", (FORMAT, store_id, epoch))
            connection.execute("COMMIT")
        os.link(temp, path)
        sync_folder(path.parent)
    except FileExistsError:
        raise OutputError("there is a store of people's keys already", place=str(path)) from None
    finally:
        temp.unlink(missing_ok=True)


@contextmanager
def open_store(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store, and refuse what is none; SQLite's errors become ours."""
    if not path.is_file():
        raise KeyringError(
            "there is no store of people's keys",
            place=str(path),
            hint="`pydp encrypt` makes one, for columns that are `per_subject`; a lost one is in its backup",
        )
    with _errors(path), _connection(path) as connection:
        _check(connection, path)
        yield connection


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep other writers out; all or nothing, and durable at the end."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def info_of(connection: sqlite3.Connection) -> StoreInfo:
    """Say what a store shows."""
    store_id, epoch = connection.execute("SELECT id, epoch FROM store").fetchone()
    (people,) = connection.execute("SELECT count(*) FROM people").fetchone()
    (gone,) = connection.execute("SELECT count(*) FROM gone").fetchone()
    return StoreInfo(store_id, epoch, people, gone)


def identity_of(connection: sqlite3.Connection) -> tuple[bytes, bytes]:
    """Give the store's id, and the id of its epoch's key."""
    store_id, epoch = connection.execute("SELECT id, epoch FROM store").fetchone()
    return bytes(store_id), bytes(epoch)


def reference_ids(connection: sqlite3.Connection) -> list[bytes]:
    """Give the ids of the keys that people were hashed under, which hashes begin with."""
    found: list[bytes] = []
    after = b""
    while True:
        row = connection.execute("SELECT person FROM people WHERE person > ? ORDER BY person LIMIT 1", (after,))
        first = row.fetchone()
        if first is None:
            return found
        found.append(bytes(first[0][:ID_BYTES]))
        after = found[-1] + b"\xff" * PERSON_BYTES


def of_people(connection: sqlite3.Connection, people: Iterable[bytes]) -> Iterator[Row]:
    """Give the rows of those people who have a key."""
    yield from _chosen(connection, "SELECT person, handle, wrapped FROM people WHERE person IN", people)


def of_handles(connection: sqlite3.Connection, handles: Iterable[bytes]) -> Iterator[Row]:
    """Give the rows of handles whose keys live."""
    yield from _chosen(connection, "SELECT person, handle, wrapped FROM people WHERE handle IN", handles)


def gone_of(connection: sqlite3.Connection, handles: Iterable[bytes]) -> dict[bytes, str]:
    """Give the day on which each key was destroyed, of those handles whose was."""
    return dict(_chosen(connection, "SELECT handle, day FROM gone WHERE handle IN", handles))


def _chosen(connection: sqlite3.Connection, query: str, wanted: Iterable[bytes]) -> Iterator[Any]:
    wanted = iter(wanted)
    while some := list(islice(wanted, _AT_ONCE)):
        yield from connection.execute(f"{query} ({','.join('?' * len(some))})", some)


def add_people(
    connection: sqlite3.Connection, people: Sequence[bytes], key: bytes, random: Callable[[int], bytes] = token_bytes
) -> list[Row]:
    """Give each of some new people a key; gives the rows, keys in clear. The caller is `writing`."""
    store_id, _ = identity_of(connection)
    handles = _new_handles(connection, len(people), random)
    drawn = random(SECRET_BYTES * len(people))
    secrets = [drawn[at : at + SECRET_BYTES] for at in range(0, len(drawn), SECRET_BYTES)]
    rows: list[Row] = list(zip(people, handles, secrets, strict=True))
    connection.executemany("INSERT INTO people VALUES (?, ?, ?)", wrap(rows, key, store_id))
    return rows


def _new_handles(connection: sqlite3.Connection, count: int, random: Callable[[int], bytes]) -> list[bytes]:
    """Draw handles that no living and no destroyed key has."""
    found: dict[bytes, None] = {}
    while len(found) < count:
        drawn = random(HANDLE_BYTES * (count - len(found)))
        fresh = dict.fromkeys(drawn[at : at + HANDLE_BYTES] for at in range(0, len(drawn), HANDLE_BYTES))
        taken = {handle for _, handle, _ in of_handles(connection, fresh)} | set(gone_of(connection, fresh))
        found |= {handle: None for handle in fresh if handle not in taken}
    return list(found)


def wrap(rows: Sequence[Row], key: bytes, store_id: bytes) -> list[Row]:
    """Wrap the keys of rows."""
    people, handles, secrets = zip(*rows, strict=True) if rows else ((), (), ())
    wrapped = siv.encrypt(key, pa.array(secrets, pa.binary()), _associated(store_id, people, handles))
    return list(zip(people, handles, wrapped.to_pylist(), strict=True))


def unwrap(rows: Sequence[Row], key: bytes, store_id: bytes, path: Path) -> list[Row]:
    """Unwrap the keys of rows, as plain bytes; raises `Tampered` where one is not as it was, or not where it was."""
    people, handles, wrapped = zip(*rows, strict=True) if rows else ((), (), ())
    try:
        secrets = siv.decrypt(key, pa.array(wrapped, pa.binary()), _associated(store_id, people, handles))
    except Tampered as error:
        raise Tampered(
            f"{len(error.rows)} or more keys of people were altered", place=str(path), hint=_RESTORE
        ) from None
    return list(zip(people, handles, secrets.to_pylist(), strict=True))


def _associated(store_id: bytes, people: Sequence[bytes], handles: Sequence[bytes]) -> list[bytes | pa.Array]:
    return [_CONTEXT + store_id, pa.array(people, pa.binary()), pa.array(handles, pa.binary())]


def delete_people(connection: sqlite3.Connection, people: Iterable[bytes], day: str) -> int:
    """Delete the keys of people for good, and note their handles; gives how many had one. The caller is `writing`."""
    rows = list(of_people(connection, people))
    connection.executemany("INSERT INTO gone VALUES (?, ?)", [(handle, day) for _, handle, _ in rows])
    connection.executemany("DELETE FROM people WHERE person = ?", [(person,) for person, _, _ in rows])
    return len(rows)


def rewrap_all(connection: sqlite3.Connection, old: bytes, new: bytes, new_id: bytes, path: Path) -> int:
    """Wrap every key anew under another epoch's key; gives how many. The caller is `writing`."""
    store_id, _ = identity_of(connection)
    done = 0
    for rows in _all_rows(connection):
        fresh = wrap(unwrap(rows, old, store_id, path), new, store_id)
        connection.executemany("UPDATE people SET wrapped = ? WHERE person = ?", [(one[2], one[0]) for one in fresh])
        done += len(rows)
    connection.execute("UPDATE store SET epoch = ?", (new_id,))
    return done


def check_all(connection: sqlite3.Connection, key: bytes, path: Path) -> int:
    """Unwrap every key, which must succeed before another key may be destroyed; gives how many there are."""
    store_id, _ = identity_of(connection)
    return sum(len(unwrap(rows, key, store_id, path)) for rows in _all_rows(connection))


def _all_rows(connection: sqlite3.Connection) -> Iterator[list[Row]]:
    after = b""
    while True:
        query = "SELECT person, handle, wrapped FROM people WHERE person > ? ORDER BY person LIMIT ?"
        rows = connection.execute(query, (after, 5 * _AT_ONCE)).fetchall()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def back_up(connection: sqlite3.Connection, to: Path) -> None:
    """Write a consistent copy, 0600, never over another file."""
    try:
        os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise OutputError("the file exists already", place=str(to), hint="choose another name") from None
    with _errors(to), _connection(to) as copy:
        connection.backup(copy)
    sync_folder(to.parent)


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, cached_statements=16)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.text_factory = str
        yield connection
    finally:
        connection.close()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file with other tables, views or triggers than a store has."""
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if found != set(_SCHEMA):
        raise KeyringError("this is no store of people's keys", place=str(path), hint=_RESTORE)
    rows = connection.execute("SELECT format, id, epoch FROM store LIMIT 2").fetchall()
    if len(rows) != 1 or not all(isinstance(part, bytes) and len(part) == ID_BYTES for part in rows[0][1:]):
        raise KeyringError("the store of people's keys is damaged", place=str(path), hint=_RESTORE)
    if rows[0][0] != FORMAT:
        raise KeyringError("the store of people's keys is of a format that this pydp does not know", place=str(path))


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        message = str(error)
        if "locked" in message:
            raise Locked("another process is writing people's keys", place=str(path), hint="try again") from error
        raise OutputError(f"the store of people's keys cannot be used ({message})", place=str(path)) from error
    except sqlite3.DatabaseError as error:
        raise KeyringError("the store of people's keys is damaged", place=str(path), hint=_RESTORE) from error
