"""`pydp keys new-version`, `disable`, `enable` and `destroy`: the life of a key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.keys.group import key_id_from, subcommand, tell
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The version's id, as `pydp keys list` shows it.")]


@subcommand(
    "new-version",
    "pydp keys new-version cell --key-file ../secrets/pydp.key",
    "pydp keys new-version pseudonym/customer --key-file ../secrets/pydp.key",
)
def new_version(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key, or FAMILY/SCOPE for a key of its own.")],
    *,
    access: Access,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make a new version of a key, the primary one.

    It makes new data from now on; the one before it still reads what it wrote. It is safe on the disk and read back
    before it counts. Pseudonyms made from now on differ from those before where
    the key is a pseudonym's.
    """
    from pydp_cli.cli.render import warn
    from pydp_cli.keys import changes

    ring = changes.new_version(access.open(), key)
    version = ring.primary(key)
    tell(
        ring,
        f"made {version.label}: it is the primary one",
        json=json,
        quiet=quiet,
        key=version.name,
        version=version.version,
        id=version.key_id.hex(),
    )
    if key.split("/")[0] == "pseudonym" and not quiet:
        warn("new pseudonyms will not be equal to those made before", "make them again from the source where they join")


@subcommand("disable", "pydp keys disable 1a2b3c4d --key-file ../secrets/pydp.key")
def disable(key_id: KeyId, *, access: Access, json: opt.Json = False, quiet: opt.Quiet = False) -> None:
    """Let a version of a key read nothing for now.

    Until it is enabled again. Never the primary version.
    """
    _set_state(key_id, "disabled", access, json=json, quiet=quiet)


@subcommand("enable", "pydp keys enable 1a2b3c4d --key-file ../secrets/pydp.key")
def enable(key_id: KeyId, *, access: Access, json: opt.Json = False, quiet: opt.Quiet = False) -> None:
    """Let a disabled version of a key read again."""
    _set_state(key_id, "enabled", access, json=json, quiet=quiet)


@subcommand(
    "destroy",
    "pydp keys destroy 1a2b3c4d --key-file ../secrets/pydp.key",
    "pydp keys destroy 1a2b3c4d --accept-loss 1a2b3c4d --key-file ../secrets/pydp.key",
)
def destroy(
    key_id: KeyId,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="More files and folders that must not need it, besides the policy's."),
    ] = None,
    *,
    access: Access,
    accept_loss: Annotated[
        str | None,
        typer.Option(
            "--accept-loss",
            metavar="KEY_ID",
            help="Destroy it whatever is still under it: all of that is lost for good. Takes the key id once more.",
        ),
    ] = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Destroy a version of a key for good.

    Every file of the policy is looked through first, and nothing may be under it; ends with 3 where anything is, or
    could be. Never the primary version. A tombstone stays, with the day and the digest of what was looked through.

    Backups of the keyring are out of reach: whoever has one, and what unlocks it, still has the key.
    """
    from pydp_cli.keys import changes

    chosen = key_id_from(key_id)
    refuse_where_held(access)
    if accept_loss is None:
        ring = _destroyed_unused(chosen, paths or [], access)
    elif key_id_from(accept_loss) != chosen:
        raise UsageError("--accept-loss names another key", hint="it takes the id of the key that is destroyed")
    else:
        ring = changes.destroy(access.open(), chosen)
    version = ring.find(chosen)
    tell(
        ring,
        f"{version.label} is destroyed",
        json=json,
        quiet=quiet,
        id=key_id,
        state=version.state,
        proof=version.proof or None,
    )


def refuse_where_held(access: Access) -> None:
    """Refuse to destroy a key while a legal hold of the policy's is live; without a policy there are none."""
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.policy.loader import find_policy

    if access.policy is None and (access.keyring is not None or find_policy(Path.cwd()) is None):
        return
    load_arrow()
    from pydp_cli.subjects.holds import refuse_destruction

    refuse_destruction(opt.find_and_load_policy(access.policy), utc_now().date(), "destroying a key")


def _destroyed_unused(key_id: bytes, paths: list[str], access: Access) -> Keyring:
    """Look through every file that the policy names, and destroy the key if nothing is under it."""
    from pydp_cli.rotation.usage import destroy_unused, usage

    load_arrow()
    policy = opt.find_and_load_policy(access.policy)
    ring = access.open()
    ring.find(key_id)
    return destroy_unused(ring, key_id, usage(ring, paths=paths, policy=policy))


def _set_state(key_id: str, state: str, access: Access, *, json: bool, quiet: bool) -> None:
    from pydp_cli.keys import changes

    chosen = key_id_from(key_id)
    step = {"disabled": changes.disable, "enabled": changes.enable}[state]
    ring = step(access.open(), chosen)
    tell(ring, f"{ring.find(chosen).label} is {state}", json=json, quiet=quiet, id=key_id, state=state)
