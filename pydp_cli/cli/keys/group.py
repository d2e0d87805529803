"""The `pydp keys` group, and how its commands tell what they changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from pydp_cli.cli.access import with_access
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Make and look after the keyring: the one file that holds all keys, each wrapped.",
)

Command = TypeVar("Command", bound=Callable[..., None])


def subcommand(name: str, *examples: str, access: bool = True) -> Callable[[Command], Command]:
    """Add a subcommand with its examples; with `access`, it also takes the options that unlock a keyring."""

    def register(command: Command) -> Command:
        lines = "\n".join(f"  {example}" for example in examples)
        app.command(name, epilog=f"\b\nExample:\n{lines}\n")(with_access(command) if access else command)
        return command

    return register


def tell(ring: Keyring, message: str, *, json: bool, quiet: bool, **facts: Any) -> None:
    """Say what became of a keyring: a line for people, or the facts as JSON; and note it where a log is kept."""
    from pydp_cli.cli.render import note, print_json

    _log(ring, facts)
    if json:
        print_json({"keyring": str(ring.path), "generation": ring.generation, **facts})
    elif not quiet:
        note(message)


def _log(ring: Keyring, facts: dict[str, Any]) -> None:
    """Note a change in the audit log of the policy whose keyring it is, or beside the keyring where one is kept."""
    from pathlib import Path

    from pydp_cli.cli.render import warn
    from pydp_cli.errors import OutputError, PydpError
    from pydp_cli.policy.loader import find_policy, load_policy

    state = ring.path.resolve().parent / ".pydp"
    signs = True
    try:
        found = find_policy(Path.cwd())
        policy = None if found is None else load_policy(found)
    except PydpError:  # a policy that cannot be read says nothing of the keyring
        policy = None
    if policy is not None and policy.keyring_path is not None and policy.keyring_path.resolve() == ring.path.resolve():
        state = policy.state_dir
    elif policy is not None and policy.keyring_path is not None and policy.state_dir.resolve() == state:
        signs = False  # the log is another keyring's: a signature by this one would be by an unknown key
    if not (state / "audit").is_dir():
        return
    from pydp_cli.audit.log import append
    from pydp_cli.audit.signing import signer_of
    from pydp_cli.keys.keyring import utc_now

    told = {name: value for name, value in facts.items() if isinstance(value, (str, int)) or name == "ids"}
    details = {"keyring": ring.ring_id, "generation": ring.generation, **told}
    try:
        append(state, "keys.changed", details, clock=utc_now, signer=signer_of(ring) if signs else None)
    except OutputError as error:
        warn(f"this change is not in the audit log: {error}")


def key_id_from(text: str) -> bytes:
    """Read a key id as `pydp keys list` shows it."""
    try:
        key_id = bytes.fromhex(text)
    except ValueError:
        key_id = b""
    if len(key_id) != 4:
        raise UsageError("a key id is eight hexadecimal digits", hint="`pydp keys list` shows them")
    return key_id
