"""The names that a policy file may give its datasets: those that are file names everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydp_cli.transforms.findings import Finding

MOST_BYTES = 100
_NAME = re.compile(r"\w([\w .()+=-]*[\w)+=-])?")


def name_findings(names: Iterable[str]) -> list[Finding]:
    """Tell which names are none.

    A dataset's rows are in files of its name, in a bundle that is unpacked on somebody else's machine: `../x` would be
    written beside the bundle, `.x` would not be seen, and a character that turns the writing direction would show
    another name.
    """
    return [
        Finding(
            ("datasets", name),
            "a dataset cannot have this name",
            "letters, digits, `_`, `-` and spaces, 100 bytes at most",
            at_key=True,
        )
        for name in names
        if not _NAME.fullmatch(name) or len(name.encode()) > MOST_BYTES
    ]
