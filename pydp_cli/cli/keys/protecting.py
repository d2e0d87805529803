"""`pydp keys add-protector` and `remove-protector`: who and what can unlock the keyring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.cli.keys.group import subcommand, tell
from pydp_cli.cli.keys.new_protector import (
    Kind,
    Label,
    NewKeyFile,
    NewPassphraseFd,
    NewPassphraseFile,
    NewProtector,
    Settings,
)
from pydp_cli.errors import UsageError

Named = Annotated[str, typer.Argument(metavar="PROTECTOR", help="Its id or label, as `pydp keys show` lists them.")]


@subcommand(
    "add-protector",
    "pydp keys add-protector --new-key-file ci.key --label CI --key-file ../secrets/pydp.key",
    "pydp keys add-protector recipient recipient=alice.pub --label Alice --key-file ../secrets/pydp.key",
    "pydp keys add-protector command secret='pass show team/pydp' --key-file ../secrets/pydp.key",
)
def add_protector(
    kind: Kind = None,
    settings: Settings = None,
    *,
    access: Access,
    new_key_file: NewKeyFile = None,
    new_passphrase_file: NewPassphraseFile = None,
    new_passphrase_fd: NewPassphraseFd = None,
    label: Label = "",
    replace: Annotated[
        str | None, typer.Option("--replace", metavar="PROTECTOR", help="Put it in this one's place, in one step.")
    ] = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Add a way to unlock the keyring.

    It is for one more person, machine or service. The keys stay as they are, and no data is touched.
    """
    from pydp_cli.keys import changes

    new = NewProtector(kind, tuple(settings or ()), label, new_key_file, new_passphrase_file, new_passphrase_fd)
    new.chosen()
    ring = access.open()
    old = None if replace is None else protector_id(ring.slots, replace)
    slot = new.make()
    known = {protector["id"] for protector in ring.slots}
    ring = changes.add_protector(ring, slot) if old is None else changes.replace_protector(ring, old, slot)
    added = next(protector for protector in ring.slots if protector["id"] not in known)
    done = "added" if old is None else f"put in the place of {old}"
    tell(ring, f"{done}: the {added['type']} protector {added['id']}", json=json, quiet=quiet, protector=added["id"])


@subcommand(
    "remove-protector",
    "pydp keys remove-protector CI --key-file ../secrets/pydp.key",
)
def remove_protector(
    protector: Named,
    *,
    access: Access,
    force: Annotated[bool, typer.Option("--force", help="Also where it is the one that you unlock with now.")] = False,
    new_root: Annotated[
        bool,
        typer.Option(
            "--new-root",
            help="Wrap the keys anew too, so that a copy of the keyring and what they have open no later keyring.",
        ),
    ] = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Remove a way to unlock the keyring.

    Never the last one. A copy of the keyring from before still opens for whoever was removed, and shows the root that
    wraps later keys too. With --new-root it does not: every other protector must then be a recipient, or be brought
    now; the others are put back with add-protector.
    """
    from pydp_cli.cli.render import note
    from pydp_cli.keys import changes

    ring = access.open()
    slot_id = protector_id(ring.slots, protector)
    if slot_id == ring.opened_by and len(ring.slots) > 1 and not force:
        raise UsageError(
            "this is the protector that you have just unlocked the keyring with",
            hint="unlock with another one, to see that it works; or --force",
        )
    if new_root:
        ring = changes.new_root(ring, [access.unlock()], remove=[slot_id])
    else:
        ring = changes.remove_protector(ring, slot_id)
    tell(ring, f"removed the protector {slot_id}", json=json, quiet=quiet, removed=slot_id)
    if not (new_root or quiet or json):
        note("whoever kept a copy of the keyring still opens that copy, and --new-root keeps them out of later ones")


def protector_id(slots: Iterable[Mapping[str, Any]], named: str) -> str:
    """Give the id of the protector that a user names by its id or label."""
    found = [str(slot["id"]) for slot in slots if named in {slot["id"], slot.get("label")}]
    if len(found) > 1:
        raise UsageError("several protectors have this label", hint=f"name one by its id: {', '.join(found)}")
    if not found:
        raise UsageError("the keyring has no such protector", hint="`pydp keys show` lists them")
    return found[0]
