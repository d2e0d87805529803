"""`pydp keys list` and `show`: what is in a keyring. Never a secret."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.cli.keys.group import subcommand
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.keys.ring_document import RingInfo

Locked = Annotated[
    bool, typer.Option("--locked", help="Show what the file says without unlocking it. Nobody vouches for that.")
]

DETAILS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "passphrase": lambda slot: f"argon2id, {int(slot['memory_kib']) // 1024} MiB",
    "recipient": lambda slot: _shortened(str(slot["recipient"])),
    "command": lambda slot: shlex.join(slot["argv"]),
    "aws-kms": lambda slot: str(slot["key"]),
    "vault": lambda slot: f"{slot['mount']}/{slot['key']}",
    "shares": lambda slot: f"any {slot['threshold']} of {len(slot['shares'])}",
}


@subcommand("list", "pydp keys list --keyring pydp.keyring --key-file ../secrets/pydp.key")
def list_keys(*, access: Access, locked: Locked = False, json: opt.Json = False) -> None:
    """List the keys: name, version, id, state, since.

    No secret is ever shown.
    """
    from pydp_cli.cli.render import print_json, print_table

    rows = [_row(key) for key in _contents(access, locked=locked).keys]
    if json:
        print_json(rows)
    else:
        print_table([{name: row[name] for name in ("key", "version", "id", "state", "since")} for row in rows])


@subcommand(
    "show",
    "pydp keys show --keyring pydp.keyring --key-file ../secrets/pydp.key",
    "pydp keys show cell --keyring pydp.keyring --key-file ../secrets/pydp.key",
)
def show(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="A key's name or id. Default: the ring.")] = None,
    *,
    access: Access,
    locked: Locked = False,
    json: opt.Json = False,
) -> None:
    """Show the protectors of the keyring, or one key.

    Of the keyring: its generation, and who or what unlocks it. Of a key: when it was made, changed or destroyed.
    """
    from pydp_cli.cli.render import print_json, print_table

    info = _contents(access, locked=locked)
    if key is not None:
        rows = [_row(version) for version in info.keys if key in {version["name"], version["id"]}]
        if not rows:
            raise UsageError("the keyring has no key of this name or id", hint="`pydp keys list` shows them")
        print_json(rows) if json else print_table([{"name": n, "value": v} for row in rows for n, v in row.items()])
        return
    protectors = [dict(protector) for protector in info.protectors]
    if json:
        print_json({"id": info.ring_id, "generation": info.generation, "protectors": protectors})
        return
    typer.echo(f"keyring {access.path()}, id {info.ring_id}, generation {info.generation:,}, {len(info.keys)} keys")
    print_table(
        [
            {
                "protector": str(slot.get("id")),
                "type": slot["type"],
                "label": slot.get("label", ""),
                "details": details_of(slot),
            }
            for slot in protectors
        ]
    )


def details_of(slot: Mapping[str, Any]) -> str:
    """Say what a protector is, in a few words."""
    tell = DETAILS.get(str(slot["type"]))
    try:
        return "" if tell is None else tell(slot)
    except (KeyError, TypeError, ValueError):  # a locked keyring may say anything
        return "?"


def _contents(access: Access, *, locked: bool) -> RingInfo:
    from pydp_cli.cli.render import warn
    from pydp_cli.keys.keyring import inspect_keyring

    if not locked:
        return _described(access.open())
    if access.brings_something():
        raise UsageError("--locked needs nothing that unlocks")
    warn("the keyring was not unlocked: anyone who can write the file may have written this")
    return inspect_keyring(access.path())


def _described(ring: Keyring) -> RingInfo:
    """Describe the open ring, not the file again: another process may have written to that meanwhile."""
    import json

    from pydp_cli.keys.ring_document import describe

    return describe(json.loads(ring.to_bytes()), ring.path)


def _row(version: Mapping[str, Any]) -> dict[str, Any]:
    row = {
        "key": version["name"],
        "version": version["version"],
        "id": version["id"],
        "state": version["state"],
        "made": version["created"],
        "since": version["changed"],
    }
    return {**row, "proof": version["proof"]} if version.get("proof") else row


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
