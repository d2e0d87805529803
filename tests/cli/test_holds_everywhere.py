"""Whatever can delete asks the holds: each command that reaches a way to delete is tried with one, or told apart.

Which commands can is read from the code: from the function of a command over all that it names, function by function.
"""

import ast
import inspect
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

import pydp_cli
from pydp_cli.cli.app import app
from pydp_cli.rewrite import transaction as transactions
from tests.cli.test_export_user import shop

__all__ = ["shop"]

WAYS_TO_DELETE = {"rewrite_file", "deletion", "destroy", "destroy_unused", "shred_people"}
"""Functions that make rows or keys go for good; whoever comes to name one can delete."""

REPLACE_ONLY = {
    "encrypt": "what it writes can be decrypted",
    "decrypt": "what it writes can be encrypted",
}
"""Commands with --in-place that lose nothing."""

DELETING = {
    "erase-user": ("erase-user", "--subject", "customer_id=1", "--yes"),
    "purge": ("purge", "--apply", "--max-delete-fraction", "1", "--as-of", "2026-11-20"),
    "rotate-keys": ("rotate-keys", "--mode", "retire"),
    "keys destroy": ("keys", "destroy", "OLD", "--accept-loss", "OLD"),
    "anonymize": ("anonymize", "--dataset", "orders", "--in-place"),
}

REMOVES_FILES = {
    "audit.drop": "sealed segments, whose anchors stay",
    "audit.log": "its own torn temp files",
    "cli.keys.sharing": "what it has staged itself",
    "datasets.publish": "what it has staged itself; replaces a target where --in-place or --force says so",
    "datasets.staging_files": "what it has staged itself",
    "dp.shards": "shards that it has made itself",
    "keys.ring_file": "replaces the keyring by its next generation",
    "keys.seen": "replaces the record of the generation that was seen",
    "keys.subject_store": "its own temp files",
    "keys.unlock": "its own temp files",
    "rewrite.journal": "seals a journal",
    "rewrite.lock": "its own content",
    "rewrite.transaction": "the primitive that the deleting commands share",
    "rotation.intent": "its own record",
    "subjects.bundle": "what it has staged itself",
    "subjects.erase": "empty folders of files that were deleted",
    "subjects.erasures": "its own records",
    "subjects.holds": "whom a hold was about, when it is lifted",
    "subjects.purge": "rows that it has set aside, of a run that is undone",
}
"""The modules that remove or replace files by themselves, and which: none of them removes data of a dataset."""

_REMOVING = {"unlink", "remove", "rmtree", "rmdir", "truncate", "ftruncate", "rename", "renames"}
_OF_FILES = {"os", "shutil"}


@cache
def parsed(module):
    """Give the definitions of a module of ours, by name, and what it imports from modules of ours."""
    defined, imported = {}, {}
    for node in ast.walk(ast.parse(Path(find_spec(module).origin).read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import, which is not followed here"
            imported |= {one.asname or one.name: (node.module, one.name) for one in node.names}
        elif isinstance(node, ast.Import):
            imported |= {one.asname or one.name.split(".")[0]: (one.name, None) for one in node.names}
    return defined, {name: of for name, of in imported.items() if of[0].startswith("pydp_cli")}


@cache
def is_module(name):
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a name in a module
        return False


@cache
def named_in(module, name):
    """Give all that a function or class names, also where it only hands it on, and what of it are attributes."""
    names, attributes = set(), set()
    for definition in parsed(module)[0].get(name, ()):
        for node in ast.walk(definition):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                attributes.add(node.attr)
            elif isinstance(node, ast.alias):
                names.add(node.name)
    return names, attributes


def reached_from(module, name):
    """Give all functions and classes of ours that a function may come to, and the names that they use."""
    waiting, seen = [(module, name)], set()
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        names, attributes = named_in(*at)
        defined, imported = parsed(at[0])
        waiting += [(at[0], one) for one in (names | attributes) & set(defined)]
        waiting += [of for one, of in imported.items() if one in names and of[1] is not None and is_module(of[0])]
        modules = {found for of in imported.values() for found in (of[0], f"{of[0]}.{of[1]}") if is_module(found)}
        waiting += [(other, one) for other in modules for one in attributes & set(parsed(other)[0])]
    return {one for at in seen for one in set().union(*named_in(*at))}


def leaves(command, name=""):
    """Give each command that can be run, and its function."""
    if hasattr(command, "list_commands"):
        for part in command.list_commands(None):
            yield from leaves(command.get_command(None, part), f"{name} {part}".strip())
    else:
        wrapped = inspect.unwrap(command.callback)
        yield name, inspect.getclosurevars(wrapped).nonlocals.get("command", wrapped)


COMMANDS = dict(leaves(typer.main.get_command(app)))


def can_delete(name):
    """Tell whether a command comes to a way to delete, or replaces its input."""
    function = COMMANDS[name]
    replaces = "in_place" in inspect.signature(function).parameters
    return replaces or bool(reached_from(function.__module__, function.__name__) & WAYS_TO_DELETE)


def test_no_command_that_can_delete_is_forgotten():
    able = {name for name in COMMANDS if can_delete(name)}
    assert able == set(DELETING) | set(REPLACE_ONLY), "try it with a hold in DELETING, or say why it deletes nothing"


def test_the_ways_to_delete_are_what_they_are_called():
    """A way that is renamed, or a second one beside it, would let its command pass for one that cannot delete."""
    modules = our_modules()
    defined = {one for module in modules for one in parsed(module)[0]}
    assert defined >= WAYS_TO_DELETE
    calls = {
        module: set().union(*(set().union(*named_in(module, one)) for one in parsed(module)[0])) for module in modules
    }
    committing = {module for module, names in calls.items() if "Transaction" in names and "commit" in names}
    assert committing == {
        "pydp_cli.rewrite.transaction",
        "pydp_cli.rotation.reencrypt",
        "pydp_cli.subjects.erase",
        "pydp_cli.subjects.purge",
    }


def our_modules():
    root = Path(pydp_cli.__file__).parent
    names = [path.relative_to(root.parent).with_suffix("").parts for path in root.rglob("*.py")]
    return sorted(".".join(name[:-1] if name[-1] == "__init__" else name) for name in names)


def test_no_other_module_removes_files():
    found = set()
    for module in our_modules():
        for node in ast.walk(ast.parse(Path(find_spec(module).origin).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                is_of_files = isinstance(node.func.value, ast.Name) and node.func.value.id in _OF_FILES
                is_path = node.func.attr in {"unlink", "rmdir", "rename"} and not is_of_files
                replaces = node.func.attr == "replace" and (is_of_files or (len(node.args) == 1 and not node.keywords))
                if (is_of_files and node.func.attr in _REMOVING) or is_path or replaces:
                    found.add(module.removeprefix("pydp_cli."))
    assert found == set(REMOVES_FILES)


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
    old = old_version(place) if command in {"keys destroy", "rotate-keys"} else ""
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


def test_a_hold_stops_replacing_a_file_without_a_policy_too(place):
    """The policy of the folder claims the file, whether the command uses it or not."""
    place.write("data/mine.csv", "id,total\n1,2\n")
    assert place.pydp("hold", "add", "--dataset", "orders", "--matter", "Tax").code == 0
    before = place.read("data/orders/all.csv")
    done = place.pydp(
        "anonymize", "data/orders/all.csv", "--set", "total=redact", "--other-columns", "keep", "--in-place"
    )
    assert (done.code, place.read("data/orders/all.csv")) == (5, before)
    mine = place.pydp("anonymize", "data/mine.csv", "--set", "total=redact", "--keep", "id", "--in-place")
    assert (mine.code, place.read("data/mine.csv") != "id,total\n1,2\n") == (0, True)


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
