"""Check what a policy says of people's rights: links, reach, coverage of files, retention, what erasing does."""

# Paths are strings here, as users wrote them: pathlib would normalise `./` and trailing slashes away.
# ruff: noqa: PTH112, PTH118, PTH120

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import islice

import pyarrow as pa

from pydp_cli.datasets.compression import without_compression
from pydp_cli.datasets.formats import format_of_name
from pydp_cli.datasets.globs import has_magic
from pydp_cli.datasets.locations import InputFile, find_inputs
from pydp_cli.errors import Problem, PydpError, UsageError
from pydp_cli.policy.model import DatasetPolicy, Policy
from pydp_cli.policy.rights import duration_days
from pydp_cli.transforms.findings import did_you_mean
from pydp_cli.transforms.types import is_text

DATA_NAMES = (
    ".json",
    ".jsonl",
    ".ndjson",
    ".xlsx",
    ".xls",
    ".avro",
    ".orc",
    ".db",
    ".sqlite",
    ".pkl",
    ".feather",
    ".arrow",
)
LEFT_BY_PROGRAMS = ("~", ".bak", ".orig", ".swp", ".tmp", ".old")
SHOWN_FILES = 5
MOST_FILES = 100_000


def check_rights(policy: Policy) -> Iterator[Problem]:
    """Give what can be said of people's rights without reading a file."""
    yield from _link_circles(policy)
    for name, dataset in policy.datasets.items():
        yield from _retention(policy, name, dataset)
        yield from _erasing(policy, name, dataset)
        yield from _partitions(policy, name, dataset)
    yield from _holds(policy)
    yield from _people_keys(policy)
    if any(dataset.identifiers for dataset in policy.datasets.values()):
        yield from _unreachable(policy)
        yield from _unclaimed(policy)


def check_erasing(policy: Policy, name: str, schema: pa.Schema) -> Iterator[Problem]:
    """Give the columns that cannot take what erasing puts into them, by their type and nullability."""
    dataset = policy.datasets[name]
    for column, value in dataset.erase.set.items() if dataset.erase is not None else ():
        place = policy.place_of("datasets", name, "erase", "set", column)
        at = schema.get_field_index(column)
        if at < 0:
            hint = did_you_mean(column, schema.names)
            yield Problem(f'`erase` names column "{column}", which the data does not have', place=place, hint=hint)
            continue
        field = schema.field(at)
        if value is None and not field.nullable:
            yield Problem(f'column "{column}" cannot be null', place=place, hint="put a constant there")
        elif value is not None and not isinstance(value, dict) and not _fits(value, field.type):
            message = f'column "{column}" of type {field.type} cannot take the constant that erasing puts there'
            yield Problem(message, place=place, hint="use null, or a value of its type")


def _fits(value: object, kind: pa.DataType) -> bool:
    if is_text(kind) or (pa.types.is_dictionary(kind) and is_text(kind.value_type)):
        return isinstance(value, str)
    try:
        pa.scalar(value).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return True


def _link_circles(policy: Policy) -> Iterator[Problem]:
    """A column whose links come back to it has no end at which an identity could be."""
    for name, dataset in policy.datasets.items():
        for column in dataset.links:
            seen = [(name, column)]
            target = dataset.link_of(column)
            while target is not None and target not in seen and target[0] in policy.datasets:
                seen.append(target)
                target = policy.datasets[target[0]].link_of(target[1])
            if target == (name, column):
                way = " → ".join(f"{at}.{which}" for at, which in [*seen, target])
                yield Problem(f"links go in a circle: {way}", place=policy.place_of("datasets", name, "links", column))


def _unreachable(policy: Policy) -> Iterator[Problem]:
    """Where there is no way from a person to a dataset, their rights end before it."""
    reached = {name for name, dataset in policy.datasets.items() if dataset.identifiers}
    pairs = [
        (name, target[0])
        for name, dataset in policy.datasets.items()
        for column in dataset.links
        if (target := dataset.link_of(column)) is not None
    ]
    while True:
        more = {end for pair in pairs if set(pair) & reached for end in pair} - reached
        if not more:
            break
        reached |= more
    for name, dataset in policy.datasets.items():
        if name not in reached and dataset.path is not None:
            yield Problem(
                f'nobody can be found in dataset "{name}": it has no identifiers and no links',
                place=policy.place_of("datasets", name),
                hint="name its `identifiers` or `links`, or list its files under `not_personal`",
                severity="warning",
            )


ROW_ENDS = frozenset({"delete_row", "review", "keep"})


def _retention(policy: Policy, name: str, dataset: DatasetPolicy) -> Iterator[Problem]:
    """Rules that `purge` can carry out; and what a purpose obliges to keep must not be deleted earlier."""
    for column, treated in dataset.columns.items():
        if treated.retention is not None and treated.retention.then != "null":
            place = policy.place_of("datasets", name, "columns", column, "retention")
            yield Problem(f'values of column "{column}" can only become null', place=place, hint="write `then: null`")
    if dataset.retention is not None and dataset.retention.then not in ROW_ENDS:
        place = policy.place_of("datasets", name, "retention", "then")
        hint = "put the rule under the columns, with `then: null`"
        yield Problem(f'"{dataset.retention.then}" does not say which columns it is for', place=place, hint=hint)
    yield from obligations(policy, name)


def obligations(policy: Policy, name: str) -> Iterator[Problem]:
    """Give the purposes that oblige to keep rows of a dataset longer than its rule does."""
    dataset = policy.datasets[name]
    if dataset.retention is None or dataset.retention.then not in {"delete_row", "crypto_shred"}:
        return
    kept = duration_days(dataset.retention.keep) + duration_days(dataset.retention.grace or "P0D")
    for purpose in dataset.purposes:
        said = policy.purposes.get(purpose)
        if said is None or said.keep is None or duration_days(said.keep) <= kept:
            continue
        yield Problem(
            f'rows of "{name}" are deleted after {dataset.retention.keep}, and "{purpose}" obliges to keep them for '
            f"{said.keep}",
            place=policy.place_of("datasets", name, "retention", "keep"),
            hint="keep rows longer, or null the other columns with `then: null`",
            severity="error" if said.basis == "legal-obligation" else "warning",
        )


def _erasing(policy: Policy, name: str, dataset: DatasetPolicy) -> Iterator[Problem]:
    rule = dataset.erase
    if rule is None:
        return
    place = policy.place_of("datasets", name, "erase")
    if rule.action == "keep" and rule.because is None:
        yield Problem(f'rows of "{name}" are kept, and nothing says why', place=place, hint="add `because:`")
    if rule.action in {"mask", "null", "constant", "pseudonymise"} and not rule.set:
        hint = "name the columns under `set:`, as in `set: {name: null}`"
        yield Problem(f'"{rule.action}" does not say which columns of "{name}" it is for', place=place, hint=hint)
    if rule.action == "crypto_shred":
        yield from _shredding(policy, name, dataset)
    if rule.action == "unlink" and not dataset.links:
        yield Problem(f'"unlink" is for datasets with links, and "{name}" has none', place=place)
    for column in rule.set:
        if dataset.columns and dataset.other_columns != "keep" and column not in dataset.columns:
            at = policy.place_of("datasets", name, "erase", "set", column)
            yield Problem(f'there is no column "{column}"', place=at, hint=did_you_mean(column, dataset.columns))


def _shredding(policy: Policy, name: str, dataset: DatasetPolicy) -> Iterator[Problem]:
    """What stays in clear is not erased by the loss of a key."""
    place = policy.place_of("datasets", name, "erase")
    if not dataset.has_people_keys:
        hint = "give columns `encrypt: {per_subject: true}`, or delete the rows"
        yield Problem(f'"crypto_shred" erases nothing in "{name}": no column is under people\'s own keys', place, hint)
        return
    said = {*dataset.identifiers, *dataset.links, *(dataset.erase.set if dataset.erase is not None else ())}
    clear = [column for column, one in dataset.columns.items() if one.encrypt is None and column not in said]
    if clear or dataset.other_columns == "keep":
        shown = ", ".join([*clear[:5], *(["and others"] * (len(clear) > 5))]) or "columns that are not named"
        yield Problem(
            f'"crypto_shred" leaves values of "{name}" in clear: {shown}',
            place=place,
            hint="encrypt them too, or say under `set:` what becomes of them",
            severity="warning",
        )


def _people_keys(policy: Policy) -> Iterator[Problem]:
    """Columns under people's own keys need a column that says whose."""
    for name, dataset in policy.datasets.items():
        for column, treated in dataset.columns.items():
            if treated.encrypt is not None and treated.encrypt.per_subject is not False:
                try:
                    policy.person_column(name, column)
                except UsageError as error:
                    yield Problem(error.message, place=error.place, hint=error.hint)


def _holds(policy: Policy) -> Iterator[Problem]:
    """A hold that names what is not there holds nothing."""
    for number, hold in enumerate(policy.holds):
        for named, known, kind in (
            (hold.match.identity, policy.identities, "identity"),
            (hold.match.datasets, policy.datasets, "dataset"),
        ):
            for name in named:
                if name not in known:
                    place = policy.place_of("holds", number, "match")
                    hint = did_you_mean(name, known)
                    yield Problem(f'hold "{hold.id}" names {kind} "{name}", which the policy lacks', place, hint)


def _partitions(policy: Policy, name: str, dataset: DatasetPolicy) -> Iterator[Problem]:
    """A folder's name shows what is in it, to whoever lists the folder, and in backups and logs."""
    named = {match.group(1) for match in re.finditer(r"(?:^|/)([^/=]+)=", dataset.path or "")}
    for file in _files(policy, dataset):
        named |= set(file.partition_columns)
    for column in sorted(named & {*dataset.identifiers, *dataset.links}):
        key = "identifiers" if column in dataset.identifiers else "links"
        yield Problem(
            f'dataset "{name}" is partitioned by "{column}": the names of its folders identify people',
            place=policy.place_of("datasets", name, key, column),
            hint="partition by something else; a name cannot be erased without moving the file",
            severity="warning",
        )
        rule = dataset.erase
        changes = rule is not None and rule.action not in {"delete_row", "keep", "review"}
        if rule is not None and changes and (column in rule.set or not rule.set):
            yield Problem(
                f'`erase` of "{name}" puts something else in "{column}", which is in the names of folders',
                place=policy.place_of("datasets", name, "erase"),
                hint="let it delete the rows, or partition by something else",
            )


def _unclaimed(policy: Policy) -> Iterator[Problem]:
    """Files beside the data that no dataset claims are what a search misses."""
    claimed: set[str] = set()
    roots: dict[str, bool] = {}
    base = os.path.realpath(policy.base_dir)
    for dataset in policy.datasets.values():
        if dataset.path is None or dataset.path == "-" or "://" in dataset.path:
            continue
        claimed |= {os.path.realpath(file.path) for file in _files(policy, dataset)}
        root = os.path.realpath(os.path.join(policy.base_dir, root_of(dataset.path, policy)))
        roots[root] = not f"{base}/".startswith(f"{root.rstrip('/')}/")  # what is above the policy is not its own
    found: dict[str, list[str]] = {}
    for root, deep in sorted(roots.items()):
        for folder, path in islice(_data_files(root, deep=deep), MOST_FILES):
            relative = os.path.relpath(path, base)
            if path not in claimed and not any(_covers(said.path, relative) for said in policy.not_personal):
                files = found.setdefault(folder, [])
                if relative not in files:
                    files.append(relative)
    for files in found.values():
        shown = ", ".join(files[:SHOWN_FILES]) + (f" and {len(files) - SHOWN_FILES} more" * (len(files) > SHOWN_FILES))
        yield Problem(
            f"no dataset claims {shown}",
            place=policy.place_of("datasets"),
            hint="add them to a dataset's path, or list them under `not_personal` with a reason",
            severity="warning",
        )


def _covers(pattern: str, path: str) -> bool:
    return fnmatch(path, pattern) or fnmatch(path, f"{pattern.rstrip('/')}/*")


def root_of(path: str, policy: Policy) -> str:
    """Give the folder that a dataset's path begins in."""
    if not has_magic(path):
        return path if os.path.isdir(os.path.join(policy.base_dir, path)) else os.path.dirname(path)
    parts = path.split("/")
    first = next(number for number, part in enumerate(parts) if has_magic(part))
    return "/".join(parts[:first]) or ("/" if path.startswith("/") else "")


def _data_files(root: str, *, deep: bool) -> Iterator[tuple[str, str]]:
    """List what looks like data under a folder: known formats, and what editors and programs leave behind."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if deep else []
        for name in sorted(names):
            if _looks_like_data(name):
                yield folder, os.path.realpath(os.path.join(folder, name))


def _looks_like_data(name: str) -> bool:
    if name.startswith((".", "_")) or name.endswith(".crc"):
        return False
    plain = name
    for suffix in LEFT_BY_PROGRAMS:
        plain = plain.removesuffix(suffix)
    return format_of_name(plain) is not None or without_compression(plain).lower().endswith(DATA_NAMES)


def _files(policy: Policy, dataset: DatasetPolicy) -> list[InputFile]:
    if dataset.path is None or dataset.path == "-" or "://" in dataset.path:
        return []
    try:
        return find_inputs([str(policy.base_dir.absolute() / dataset.path)])
    except PydpError:  # nothing there yet, or nothing that a run could read
        return []
