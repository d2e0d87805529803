"""Changes to a keyring. Each writes a new generation durably, reads it back, and gives the ring as it then is.

A ring that is open is enough: nothing is asked for again. Raises `Locked` while another process changes the ring, and
`UsageError` for what is not allowed, in which case nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from secrets import token_bytes

from pydp_cli.errors import KeyringError, Refused, UsageError
from pydp_cli.keys.key_version import COLUMN_KEY_BYTES, TRANSITIONS, KeyVersion, key_id_of, stamp
from pydp_cli.keys.keyring import FAMILIES, Clock, Keyring, check_written, new_secret, note_seen, utc_now
from pydp_cli.keys.protectors import Slot, renewed_slot
from pydp_cli.keys.ring_document import MOST_SLOTS, is_name, unseal
from pydp_cli.keys.ring_file import locked, read_document, replace_file
from pydp_cli.keys.secret import Secret
from pydp_cli.keys.unlock import Unlock


def add_key(ring: Keyring, name: str, *, clock: Clock = utc_now) -> Keyring:
    """Add a named key, such as `pseudonym/customer`, with one primary version.

    From then on it serves its purpose in that scope: what was made there under the more general key is not undone, but
    new pseudonyms differ from the old ones.
    """
    if name in ring.keys:
        raise UsageError(f'the keyring has a key "{name}" already', hint="`pydp keys new-version` makes a version")
    return new_version(ring, name, clock=clock)


def new_version(ring: Keyring, name: str, *, clock: Clock = utc_now) -> Keyring:
    """Make a new random version of a key and, once it is safe on the disk, the primary one.

    The version before it stays `enabled`, which is: it reads what it wrote.
    """
    ring = add_pending(ring, name, clock=clock)
    return make_primary(ring, ring.keys[name][-1].key_id, clock=clock)


def add_pending(ring: Keyring, name: str, *, clock: Clock = utc_now) -> Keyring:
    """Make a new random version of a key that is not used before `make_primary`."""
    family, slash, scope = name.partition("/")
    if not is_name(name) or family not in FAMILIES.values() or family not in ring.keys or (slash and not scope):
        families = ", ".join(sorted({key.split("/")[0] for key in ring.keys} & set(FAMILIES.values())))
        raise UsageError("this is not a key's name", hint=f"FAMILY/SCOPE, where FAMILY is one of: {families}")
    return change(ring, lambda current: with_new_version(current, name, clock=clock))


def make_primary(ring: Keyring, key_id: bytes, *, clock: Clock = utc_now) -> Keyring:
    """Let a pending or enabled version make new data; the primary one before it becomes `enabled`."""
    return change(ring, lambda current: with_state(current, key_id, "primary", clock=clock))


def disable(ring: Keyring, key_id: bytes, *, clock: Clock = utc_now) -> Keyring:
    """Let a version read nothing until it is enabled again."""
    return change(ring, lambda current: with_state(current, key_id, "disabled", clock=clock))


def enable(ring: Keyring, key_id: bytes, *, clock: Clock = utc_now) -> Keyring:
    """Let a disabled version read again."""
    return change(ring, lambda current: with_state(current, key_id, "enabled", clock=clock))


def destroy(ring: Keyring, key_id: bytes, *, proof: str = "", clock: Clock = utc_now) -> Keyring:
    """Destroy a disabled (or never used) version for good, in the ring and in the generation before it.

    A tombstone stays. `proof` is the digest of what showed that nothing is under this key. Backups are out of reach:
    whoever has one, and a protector, still has the key.
    """
    return change(
        ring, lambda current: with_state(current, key_id, "destroyed", clock=clock, proof=proof), keep_previous=False
    )


def import_column_key(
    ring: Keyring, key_id: bytes, secret: Secret, place: tuple[str, str], *, clock: Clock = utc_now
) -> Keyring:
    """Add the key of one column (scope and column) that another keyring gave away; it opens cells, and makes none.

    It is listed as `imported/SCOPE.COLUMN`, and goes as other keys do: disabled, then destroyed.
    """

    def step(current: Keyring) -> Keyring:
        if any(version.key_id == key_id for version in current.versions()):
            raise UsageError(f"the keyring has a key {key_id.hex()} already", place=str(current.path))
        name = "imported/" + ".".join(part for part in place if part)
        if not is_name(name) or len(secret) != COLUMN_KEY_BYTES:
            raise UsageError("this is not the key of a column")
        versions = current.keys.get(name, ())
        if any(version.place != place for version in versions):
            raise UsageError(f'"{name}" is the key of another column already', place=str(current.path))
        number, now = max((version.version for version in versions), default=0) + 1, stamp(clock())
        added = KeyVersion(name, number, key_id, "enabled", now, now, secret, place=place)
        return replace(current, keys={**current.keys, name: (*versions, added)})

    return change(ring, step)


def add_protector(ring: Keyring, protector: Callable[[bytes], Slot]) -> Keyring:
    """Add a way to unlock the ring; see `pydp_cli.keys.protectors.protect`."""

    def step(current: Keyring) -> Keyring:
        slot = protector(current.root)
        if any(slot["id"] == other["id"] for other in current.slots):
            raise UsageError("this protector is in the keyring already", place=str(ring.path))
        if len(current.slots) == MOST_SLOTS:
            raise UsageError(f"a keyring has at most {MOST_SLOTS} protectors", place=str(ring.path))
        return replace(current, slots=(*current.slots, slot))

    return change(ring, step)


def remove_protector(ring: Keyring, slot_id: str) -> Keyring:
    """Remove a way to unlock the ring, never the last one.

    Whoever used it and kept a copy of the ring can still open that copy; `new_root` keeps them out of keys to come.
    """

    def step(current: Keyring) -> Keyring:
        slots = tuple(slot for slot in current.slots if slot["id"] != slot_id)
        if len(slots) == len(current.slots):
            raise UsageError(f"the keyring has no protector {slot_id}", hint="`pydp keys show` lists them")
        if not slots:
            raise UsageError("this is the last protector: without it nobody could open the keyring")
        return replace(current, slots=slots)

    return change(ring, step, keep_previous=False)


def replace_protector(ring: Keyring, slot_id: str, protector: Callable[[bytes], Slot]) -> Keyring:
    """Put one protector in another's place in one step: a new passphrase for an old one."""

    def step(current: Keyring) -> Keyring:
        if all(slot["id"] != slot_id for slot in current.slots):
            raise UsageError(f"the keyring has no protector {slot_id}", hint="`pydp keys show` lists them")
        new = protector(current.root)
        slots = tuple(new if slot["id"] == slot_id else slot for slot in current.slots)
        return replace(current, slots=slots, opened_by=new["id"] if current.opened_by == slot_id else current.opened_by)

    return change(ring, step, keep_previous=False)


def new_root(ring: Keyring, unlocks: Sequence[Unlock], *, remove: Collection[str] = ()) -> Keyring:
    """Wrap every key under a new root key, so that whoever had the old one cannot open this ring or later ones.

    Each protector that stays must be openable by one of `unlocks` (recipients need nothing); those in `remove` go.
    No data is touched: the keys themselves stay. A protector that cannot follow is an error, never dropped silently.
    """
    root = Secret(token_bytes(32))

    def step(current: Keyring) -> Keyring:
        unknown = set(remove) - {slot["id"] for slot in current.slots}
        if unknown:
            raise UsageError(f"the keyring has no protector {min(unknown)}", hint="`pydp keys show` lists them")
        kept = [slot for slot in current.slots if slot["id"] not in remove]
        if not kept:
            raise UsageError("these are all protectors: without them nobody could open the keyring")
        slots = tuple(_followed(slot, root, unlocks) for slot in kept)
        return replace(current, root=root, slots=slots)

    return change(ring, step, keep_previous=False)


def _followed(slot: Slot, root: bytes, unlocks: Sequence[Unlock]) -> Slot:
    # The slot is authenticated here, so its command may run; recipients need nothing.
    for unlock in (*unlocks, Unlock()):
        renewed = renewed_slot(slot, root, replace(unlock, approve=lambda _: True))
        if renewed is not None:
            return renewed
    name = slot.get("label") or slot["id"]
    raise UsageError(
        f'the protector "{name}" ({slot["type"]}) cannot follow to a new root key without what opens it',
        hint="bring what opens it, or remove it in the same step",
    )


def change(ring: Keyring, step: Callable[[Keyring], Keyring], *, keep_previous: bool = True) -> Keyring:
    """Write the next generation of a ring, as `step` makes it from the newest one; read it back before it counts."""
    with locked(ring.path):
        current = newest(ring)
        changed = replace(step(current), generation=current.generation + 1)
        replace_file(
            ring.path, changed.to_bytes(), lambda raw: check_written(raw, changed), keep_previous=keep_previous
        )
        note_seen(changed)
        return changed


def newest(ring: Keyring) -> Keyring:
    """Give the newest generation of an open ring; another process may have written one since."""
    document = read_document(ring.path)
    if document.get("id") != ring.ring_id:
        raise Refused("another keyring has taken this one's place", place=str(ring.path))
    contents = unseal(document, ring.root, ring.path)
    if contents.generation < ring.generation:
        raise Refused("the keyring was replaced by an older generation meanwhile", place=str(ring.path))
    newest = replace(ring, generation=contents.generation, slots=contents.slots, keys=contents.keys)
    note_seen(newest)
    return newest


def with_new_version(ring: Keyring, name: str, *, clock: Clock = utc_now) -> Keyring:
    """Give the ring with a new random version of a key, pending; it may be a new key."""
    secret = new_secret({version.key_id for version in ring.versions()})
    now = stamp(clock())
    versions = ring.keys.get(name, ())
    number = max((version.version for version in versions), default=0) + 1
    added = KeyVersion(name, number, key_id_of(secret), "pending", now, now, secret)
    return replace(ring, keys={**ring.keys, name: (*versions, added)})


def with_state(ring: Keyring, key_id: bytes, state: str, *, clock: Clock = utc_now, proof: str = "") -> Keyring:
    """Give the ring with a version in another state; a new primary makes the one before it `enabled`."""
    target = next((version for version in ring.versions() if version.key_id == key_id), None)
    if target is None:
        raise UsageError(f"key {key_id.hex()} is not in the keyring", place=str(ring.path))
    if state == "primary" and target.place is not None:
        raise UsageError(f"{target.label} was imported, and makes no data")
    if state not in TRANSITIONS[target.state]:
        allowed = ", ".join(sorted(TRANSITIONS[target.state])) or "nothing else"
        raise UsageError(
            f"{target.label} is {target.state} and cannot become {state}",
            hint=f"it can become {allowed}"
            if target.state != "primary"
            else f"make another version primary first: `pydp keys new-version {target.name}`",
        )
    if not proof.isprintable():
        raise KeyringError("the proof of a destroyed key is a digest")
    now = stamp(clock())
    versions = tuple(_moved(version, target, state, now=now, proof=proof) for version in ring.keys[target.name])
    return replace(ring, keys={**ring.keys, target.name: versions})


def _moved(version: KeyVersion, target: KeyVersion, state: str, *, now: str, proof: str) -> KeyVersion:
    if version.key_id == target.key_id:
        secret = None if state == "destroyed" else version.secret
        return replace(version, state=state, changed=now, secret=secret, proof=proof)
    if state == "primary" and version.state == "primary":
        return replace(version, state="enabled", changed=now)
    return version
