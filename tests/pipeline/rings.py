"""What the pipeline's tests share: policies from text, a keyring of the real kind, and runs over real files."""

import json
from pathlib import Path

from pydp_cli.keys.keyring import create_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.unlock import Unlock, create_key_file
from pydp_cli.pipeline.transform_files import Request, transform_files
from pydp_cli.policy.loader import parse_policy


def policy(columns, *, more="", base_dir=Path()):
    """A policy of one dataset, `people`; `columns` are written as in YAML."""
    lines = "".join(f"      {json.dumps(name)}: {treatment}\n" for name, treatment in columns.items())
    text = f"version: 1\ndatasets:\n  people:\n    path: people.csv\n{more}    columns:\n{lines}"
    return parse_policy(text.encode(), base_dir=base_dir)


def new_keyring(folder):
    create_key_file(folder / "key")
    unlock = Unlock(key_file=folder / "key")
    create_keyring(folder / "ring", protect("key-file", unlock), seen=folder / "seen")
    return open_keyring(folder / "ring", unlock, seen=folder / "seen")


def run(chosen, source, target, *, keyring=None, **more):
    request = Request("anonymize", chosen, (str(source),), str(target), **more)
    return transform_files(request, lambda: keyring)
