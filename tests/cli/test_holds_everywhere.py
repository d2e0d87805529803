"""Whatever can delete asks the holds: each command that reaches a way to delete is tried with one, or told apart."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from pydp_cli.cli.app import COMMANDS
from pydp_cli.rewrite import transaction as transactions
from tests.cli.test_export_user import shop

__all__ = ["shop"]

WAYS_TO_DELETE = {"rewrite_file", "deletion", "destroy", "destroy_unused", "shred"}
"""Functions that make rows or keys go for good; whoever calls one can delete."""

ONLY_READ = {
    "certificate": "verifies what erasing wrote",
    "guard": "writes a copy, without people who were erased before",
    "export-user": "writes a copy",
    "hold": "keeps rows",
    "consent": "records",
    "requests": "records",
    "anonymize": "writes what the policy says, in place only where it is asked to",
    "encrypt": "writes what the policy says, in place only where it is asked to",
    "decrypt": "writes what the policy says, in place only where it is asked to",
}
"""Commands that share modules with those that delete, and why they do not."""

DELETING = {
    "erase-user": ("erase-user", "--subject", "customer_id=1", "--yes"),
    "purge": ("purge", "--apply", "--max-delete-fraction", "1", "--as-of", "2026-11-20"),
    "rotate-keys": ("rotate-keys", "--mode", "retire"),
    "keys": ("keys", "destroy", "OLD", "--accept-loss", "OLD"),
}


@cache
def parsed(module):
    """Give what a module of ours imports, anywhere in it, and the functions that it calls."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return frozenset(), frozenset()
    imports, calls = set(), set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            imports.add(node.module)
            imports |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Call):
            calls.add(getattr(node.func, "attr", getattr(node.func, "id", "")))
    return frozenset(imports), frozenset(calls)


@cache
def is_module(name):
    try:
        return name.startswith("pydp_cli") and find_spec(name) is not None
    except ModuleNotFoundError:  # a name in a module
        return False


def reaches_a_way_to_delete(module):
    waiting, seen = [module], set()
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        imports, calls = parsed(at)
        if calls & WAYS_TO_DELETE:
            return True
        waiting += [name for name in imports if is_module(name)]
    return False


def test_no_command_that_can_delete_is_forgotten():
    able = {name for name, (module, _) in COMMANDS.items() if reaches_a_way_to_delete(module)}
    assert set(DELETING) <= able
    assert able - set(DELETING) - set(ONLY_READ) == set(), (
        "try it with a hold in DELETING, or say why it deletes nothing"
    )


@pytest.fixture
def place(shop):
    """A shop with old rows to purge, and a key version to destroy."""
    policy = (
        shop.read("pydp.yml")
        .replace(", keep: P10Y}", "}")
        .replace("  orders:\n", "  orders:\n    retention: {clock: total, keep: P1Y}\n")
    )
    policy = policy.replace("      total: keep", "      total: {type: date, anonymize: keep}")
    shop.write("pydp.yml", policy)
    orders = "id,customer_id,email,total\no1,1,anna@example.com,2020-01-01\no2,2,,2020-01-01\n"
    shop.write("data/orders/all.csv", orders)
    return shop


def old_version(place):
    """Make a second version of a key, and disable the first."""
    import json

    listed = json.loads(place.pydp("keys", "list", "--keyring", "ring", "--key-file", "key", "--json").out)
    old = next(row["id"] for row in _rows(listed) if row["key"] == "cell")
    assert place.pydp("keys", "new-version", "cell", "--keyring", "ring", "--key-file", "key").code == 0
    assert place.pydp("keys", "disable", old, "--keyring", "ring", "--key-file", "key").code == 0
    return old


def _rows(listed):
    return listed if isinstance(listed, list) else listed["keys"]


def destroyed(place):
    return place.pydp("keys", "list", "--keyring", "ring", "--key-file", "key").out.count("destroyed")


@pytest.mark.parametrize("command", DELETING)
@pytest.mark.parametrize("held", ["nothing", "a person", "a dataset", "lifted"])
def test_every_command_that_deletes_honours_a_hold(place, command, held):
    old = old_version(place) if command in {"keys", "rotate-keys"} else ""
    arguments = [old if part == "OLD" else part for part in DELETING[command]]
    if held in {"a person", "lifted"}:
        add = ("hold", "add", "--subject", "customer_id=1", "--matter", "Doe", "--key-file", "key")
        assert place.pydp(*add).code == 0
    if held == "lifted":
        assert place.pydp("hold", "lift", "H0001", "--because", "over", "--key-file", "key").code == 0
    if held == "a dataset":
        assert place.pydp("hold", "add", "--dataset", "orders", "--matter", "Tax").code == 0
    done = place.pydp(*arguments, "--key-file", "key")
    if command == "purge" and done.code == 3:
        digest = done.err.split("--confirm ")[1].split()[0]
        done = place.pydp(*arguments, "--key-file", "key", "--confirm", digest)
    is_held = held in {"a person", "a dataset"}
    assert done.code == (5 if is_held else 0), done.err
    if old:
        assert destroyed(place) == (not is_held)
    else:
        assert ("o1,1," in place.read("data/orders/all.csv")) == is_held


@pytest.mark.parametrize("command", ["erase-user", "purge"])
def test_a_hold_that_comes_while_a_run_is_under_way_is_honoured(place, monkeypatch, command):
    """The last moment at which it can be: everything is staged, and nothing is committed."""
    staged = transactions.Transaction.digests
    told = []

    def a_lawyer_calls(self):
        monkeypatch.setattr(transactions.Transaction, "digests", staged)
        added = place.pydp("hold", "add", "--subject", "customer_id=1", "--matter", "Doe", "--key-file", "key")
        told.append((added.code, "a run is under way" in added.err))
        return staged(self)

    arguments = [*DELETING[command], "--key-file", "key"]
    if command == "purge":
        arguments += ["--confirm", place.pydp(*arguments).err.split("--confirm ")[1].split()[0]]
    monkeypatch.setattr(transactions.Transaction, "digests", a_lawyer_calls)
    done = place.pydp(*arguments)
    assert (told, done.code) == ([(0, True)], 5)
    assert "o1,1," in place.read("data/orders/all.csv")
    assert "a run is under way" not in place.pydp("hold", "add", "--dataset", "orders", "--matter", "Tax").err


def test_a_hold_that_comes_before_a_run_is_resumed_is_honoured(place, monkeypatch):
    erase = (*DELETING["erase-user"], "--key-file", "key")

    def die(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(transactions.Transaction, "commit", die)
        assert place.pydp(*erase).code == 130
    assert place.pydp("hold", "add", "--dataset", "orders", "--matter", "Tax").code == 0
    done = place.pydp("erase-user", "--resume", "--key-file", "key")
    assert (done.code, "o1,1," in place.read("data/orders/all.csv")) == (5, True)
