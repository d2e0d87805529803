"""What no command may show: the people of the tests' files, and the secrets of their keyrings.

Every test of the command line ends with this search: over all that was printed, the state folder with its logs,
journals and certificates, reports of crashes, and every file that a command made.
"""

import base64
import tempfile
from pathlib import Path

VALUES = ("anna berg", "anna@example.com", "anna.b@example.org", "c.d@other.example", "cy@example.com")
"""Names and addresses of the tests' files: in outputs they belong, in messages and logs they do not."""

SHOWN_ON_PURPOSE = ("key", "keyset", "shares", "pass", "backup", "said", "secret", ".identity")
"""Files of these names are made to hold secrets: by `keys init`, `export`, `split`, and by tests."""


def secrets_of(folder):
    """Give what unlocks the keyring of a folder, and what is in it, in the ways in which it could be written."""
    from pydp_cli.errors import PydpError
    from pydp_cli.keys.keyring import open_keyring
    from pydp_cli.keys.unlock import Unlock, read_key_file

    try:
        raw = [read_key_file(folder / "key")]
        ring = open_keyring(folder / "ring", Unlock(key_file=folder / "key"))
    except (PydpError, OSError):  # the test has removed or damaged it
        return []
    raw += [bytes(ring.root), *(bytes(version.secret) for version in ring.versions() if version.secret)]
    return [look for secret in raw for look in (secret, secret.hex().encode(), base64.b64encode(secret))]


def leaks(folder, printed, complained, secrets):
    """Name the places that hold what they must not."""
    found = []
    values = [value.encode() for value in VALUES]
    if any(secret in (printed + complained).encode() for secret in secrets):
        found.append("a secret was printed")
    if any(value in complained.lower().encode() for value in values):
        found.append("a value was in a message")
    reports = list(Path(tempfile.gettempdir()).glob("pydp-crash-*"))
    for path in [*folder.rglob("*"), *reports]:
        if not path.is_file() or path.is_symlink() or not path.stat().st_mode & 0o400:
            continue
        content = path.read_bytes()
        told = path in reports or ".pydp" in path.parts
        if told and any(value in content.lower() for value in values):
            found.append(f"{path.name} holds a value")
        parts = path.relative_to(folder).parts if path not in reports else (path.name,)
        if any(part.startswith(SHOWN_ON_PURPOSE) or part.endswith(SHOWN_ON_PURPOSE) for part in parts):
            continue
        if any(secret in content for secret in secrets):
            found.append(f"{path.name} holds a secret")
    return found
