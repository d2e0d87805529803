"""The command protector: any KMS or password manager that has a command line.

Either a command that prints a secret (`pass show team/pydp`), or a pair that wraps and unwraps (`gcloud kms encrypt …`,
`gcloud kms decrypt …`): those read one value on stdin and write the other on stdout. No shell is involved, and no
secret is ever an argument.
"""

from __future__ import annotations

import shlex
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Mapping
from secrets import token_bytes
from typing import Any

from pydp_cli.errors import KeyringError, TemporaryFailure, UsageError, WrongKey
from pydp_cli.keys.passphrase import Stretching, stretching_of
from pydp_cli.keys.unlock import Unlock

MOST_OUTPUT_BYTES = 1 << 16
TIMEOUT_SECONDS = 300


class CommandProtector:
    """A command: options `secret`, or `wrap` and `unwrap`, each a command line that is split as a shell would."""

    def make(self, options: Mapping[str, str], unlock: Unlock) -> tuple[dict[str, Any], bytes]:
        """Run the command that gives the secret, or the one that wraps a new slot key."""
        del unlock
        if set(options) == {"secret"}:
            argv = _split(options["secret"])
            stretching = Stretching(token_bytes(16))
            return {"argv": argv, "gives": "secret", **stretching.fields()}, stretching.stretch(_secret(argv))
        if set(options) == {"wrap", "unwrap"}:
            argv, slot_key = _split(options["unwrap"]), token_bytes(32)
            wrapped = _run(_split(options["wrap"]), b64encode(slot_key))
            if _unwrapped(argv, wrapped) != slot_key:
                raise UsageError("the two commands do not undo each other", hint="unwrap must give what wrap was given")
            return {"argv": argv, "gives": "slot key", "ciphertext": b64encode(wrapped).decode()}, slot_key
        raise UsageError("a command protector takes the option `secret`, or `wrap` and `unwrap`")

    def open(self, slot: dict[str, Any], unlock: Unlock) -> bytes | None:
        """Run the slot's command, if that is approved: whoever can write the keyring could name any command."""
        argv = slot.get("argv")
        if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in argv):
            raise KeyringError("the keyring is malformed: a protector's command")
        if unlock.approve is None or not unlock.approve(tuple(argv)):
            return None
        if slot.get("gives") == "secret":
            return stretching_of(slot).stretch(_secret(argv))
        try:
            ciphertext = b64decode(slot["ciphertext"], validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise KeyringError("the keyring is malformed: a protector's ciphertext") from error
        return _unwrapped(argv, ciphertext)


def _split(line: str) -> list[str]:
    try:
        argv = shlex.split(line)
    except ValueError as error:
        raise UsageError("the command has an unclosed quote") from error
    if not argv:
        raise UsageError("the command is empty")
    return argv


def _secret(argv: list[str]) -> bytes:
    secret = _run(argv, None).removesuffix(b"\n").removesuffix(b"\r")
    if len(secret) < 8:
        raise WrongKey("the command's secret is too short", place=argv[0], hint="at least 8 bytes")
    return secret


def _unwrapped(argv: list[str], ciphertext: bytes) -> bytes:
    try:
        slot_key = b64decode(_run(argv, ciphertext).strip(), validate=True)
    except ValueError:
        slot_key = b""
    if len(slot_key) != 32:
        raise WrongKey("the command did not give back what was wrapped", place=argv[0])
    return slot_key


def _run(argv: list[str], given: bytes | None) -> bytes:
    """Run a command; its stderr goes to ours, because it may ask for a PIN or say what is wrong."""
    stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if given is None else {"input": given}
    try:
        done = subprocess.run(  # noqa: S603 - approved by the user, without a shell
            argv, stdout=subprocess.PIPE, timeout=TIMEOUT_SECONDS, check=False, **stdin
        )
    except subprocess.TimeoutExpired:
        # Without the cause: it holds the output so far.
        raise TemporaryFailure(f"the command did not end within {TIMEOUT_SECONDS} s", place=argv[0]) from None
    except OSError as error:
        raise UsageError(f"the command cannot be run ({error.strerror})", place=argv[0]) from error
    output: bytes = done.stdout
    if done.returncode != 0:
        raise WrongKey(f"the command failed with exit code {done.returncode}", place=argv[0])
    if not 0 < len(output) <= MOST_OUTPUT_BYTES:
        raise WrongKey("the command gave nothing, or too much", place=argv[0])
    return output
