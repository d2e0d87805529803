"""What `--format age` and `--format fernet` need: keys and passphrases as those tools write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydp_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from pydp_cli.cli.whole_file import WholeFile

MOST_BYTES = 1 << 16


def age_encryption(request: WholeFile) -> Callable[[Any, Any], None]:
    """Give what encrypts a stream to the recipients, or under the passphrase where there are none."""
    from pydp_cli.crypto.age_format import encrypt_age, wrap_to_age_recipient, wrap_with_passphrase

    _refuse_binding(request)
    wraps = [wrap_to_age_recipient(text, place) for text, place in _recipients(request.recipients)]
    if wraps and request.passphrase_file is not None:
        raise UsageError("an age file has either a passphrase or recipients")
    if not wraps:
        wraps = [wrap_with_passphrase(_passphrase(request.passphrase_file, new=True))]
    return lambda source, sink: encrypt_age(source, sink, wraps)


def age_decryption(request: WholeFile) -> Callable[[Any, Any], None]:
    """Give what decrypts a stream with the identities, or the passphrase where there are none."""
    from pydp_cli.crypto.age_format import decrypt_age, unwrap_with_age_identities, unwrap_with_passphrase

    _refuse_binding(request)
    unwraps = [one for path in request.identities for one in unwrap_with_age_identities(_secret(path), str(path))]
    if request.passphrase_file is not None or not unwraps:
        unwraps.append(unwrap_with_passphrase(cache(lambda: _passphrase(request.passphrase_file, new=False))))
    return lambda source, sink: decrypt_age(source, sink, unwraps)


def fernet_decryption(request: WholeFile) -> Callable[[Any, Any], None]:
    """Give what decrypts a token with the keys in the identity files."""
    from pydp_cli.crypto.fernet_import import decrypt_fernet, fernet_keys

    _refuse_binding(request)
    keys = [one for path in request.identities for one in fernet_keys(_secret(path), str(path))]
    if not keys:
        raise UsageError("--format fernet needs the file with the key", hint="name it with --identity")
    return lambda source, sink: decrypt_fernet(source, sink, keys)


def _refuse_binding(request: WholeFile) -> None:
    if request.name is not None or request.context is not None:
        raise UsageError(f"--name and --context are not known to {request.format}", hint="leave out --format")


def _recipients(named: Sequence[str]) -> list[tuple[str, str | None]]:
    """Give the recipients that are named, in a text each or in files of lines, with the file."""
    found: list[tuple[str, str | None]] = []
    for one in named:
        if one.lower().startswith("age-secret-key-"):
            raise UsageError("this is an identity, which is secret: name the recipient (age1…)")
        if one.startswith("age1"):
            found.append((one, None))
            continue
        try:
            text = Path(one).read_bytes()[:MOST_BYTES].decode("ascii", errors="replace")
        except OSError as error:
            raise InputError(f"the recipient cannot be read ({error.strerror})", place=one) from error
        found += [(line.strip(), one) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return found


def _secret(path: Path) -> str:
    from pydp_cli.keys.unlock import read_private_file

    return read_private_file(path, "identity file", most=MOST_BYTES).decode("ascii", errors="replace")


def _passphrase(file: Path | None, *, new: bool) -> str:
    import sys
    from getpass import getpass

    from pydp_cli.keys.unlock import passphrase_from_file

    if file is not None:
        return passphrase_from_file(file)
    if not sys.stdin.isatty():
        raise UsageError("this needs a passphrase", hint="use --passphrase-file, --recipient or --identity")
    said = getpass("Passphrase of the file: ")
    if not said or (new and said != getpass("The same again: ")):
        raise UsageError("the passphrase is empty, or was not typed the same twice")
    return said
