"""Write a starter policy from files: every column with its type, masked examples, and a suggestion or `decide`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from pydp_cli.policy.column_types import type_name
from pydp_cli.policy.model import DECIDE
from pydp_cli.policy.settings import is_plain
from pydp_cli.policy.suggest import (
    Suggestion,
    can_identify,
    is_key_name,
    mask_shape,
    masked_examples,
    suggest,
    values_of,
)

File = tuple[str, pa.Schema, pa.Table]

HEADER = """\
# A starter policy: read every line, and write a treatment where it says `decide`.
# A treatment is `keep`, `drop`, or a transform, such as `redact`, `{prefix: 3}` or `{mask: {keep_last: 4}}`.
# Then run `pydp policy check`. The examples show the shape of values: letters are x, digits are 9.
version: 1
keyring: pydp.keyring  # made by `pydp keys init`
state: .pydp
"""


@dataclass(frozen=True)
class Column:
    """A column of a file, and what is suggested for it."""

    name: str
    kind: pa.DataType
    examples: list[str]
    suggestion: Suggestion | None


@dataclass(frozen=True)
class Dataset:
    """A file as a dataset of the policy."""

    name: str
    path: str
    columns: list[Column]
    identifiers: dict[str, str]
    links: dict[str, str]


def starter_policy(files: Sequence[File]) -> str:
    """Write a policy for files, each given as its path, schema and a sample of its rows.

    No value of the sample appears. The policy loads; `check_policy` rejects only what is still to be decided.
    """
    names = _dataset_names([path for path, _, _ in files])
    keys = _shared_keys(dict(zip(names, files, strict=True)))
    datasets = [_dataset(name, file, keys) for name, file in zip(names, files, strict=True)]
    identities = {identity for dataset in datasets for identity in dataset.identifiers.values()}
    lines = [HEADER]
    if identities:
        lines.append("identities:  # the kinds of identifier that a person is known by")
        for identity in sorted(identities):
            rules = "{normalize: [nfkc, strip, casefold]}" if identity == "email" else "{}"
            lines.append(f"  {_text(identity)}: {rules}")
        lines.append("")
    lines.append("datasets:" if datasets else "datasets: {}")
    for dataset in datasets:
        lines += _written(dataset)
    return "\n".join(lines) + "\n"


def _dataset_names(paths: Sequence[str]) -> list[str]:
    names: list[str] = []
    for path in paths:
        stem = re.sub(r"[^\w]+", "_", PurePath(path).name.split(".")[0]).strip("_") or "data"
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        names.append(name)
    return names


@dataclass(frozen=True)
class Key:
    """An identifying column and the columns of other files that refer to it."""

    domain: str
    home: tuple[str, str]


def _shared_keys(files: dict[str, File]) -> dict[tuple[str, str], Key]:
    """Find id columns that files share: of the same name, or `customer_id` beside the `id` of `customers`."""
    columns = {
        (name, column.name): column.type
        for name, (_, schema, _) in files.items()
        for column in schema
        if is_key_name(column.name) and can_identify(column.type)
    }
    keys: dict[tuple[str, str], Key] = {}
    for name, column in columns:
        wanted = _entity(column)
        homes = [(n, c) for n, c in columns if n != name and wanted and _is_home(n, c, wanted)]
        if homes:
            key = Key(wanted, homes[0])
            keys[name, column] = keys[homes[0]] = key
    for name, column in columns:
        others = [(n, c) for n, c in columns if n != name and c == column and (n, c) not in keys]
        entity = _entity(column)
        if others and entity and (name, column) not in keys:
            unique = [place for place in [(name, column), *others] if _is_unique(files[place[0]][2], column)]
            key = Key(entity, (unique or [(name, column)])[0])
            keys.update(dict.fromkeys([(name, column), *others], key))
    return keys


def _entity(column: str) -> str:
    """Give `customer` of `customer_id`; nothing of `id` alone."""
    found = re.fullmatch(r"(.+?)_?(id|uuid|key|no|number|nr)", column, re.IGNORECASE)
    return found[1].lower().strip("_- ") if found else ""


def _is_home(dataset: str, column: str, entity: str) -> bool:
    singular = dataset.lower().removesuffix("s")
    return column.lower() in ("id", "uuid", "key") and singular in (entity, entity.removesuffix("s"))


def _is_unique(sample: pa.Table, column: str) -> bool:
    if sample.schema.names.count(column) != 1 or not sample.num_rows:
        return False
    values = sample.column(column)
    return len(values.unique()) == len(values)


def _dataset(name: str, file: File, keys: dict[tuple[str, str], Key]) -> Dataset:
    path, schema, sample = file
    columns: list[Column] = []
    identifiers: dict[str, str] = {}
    links: dict[str, str] = {}
    for position, field in enumerate(schema):
        if field.name in {column.name for column in columns}:
            continue
        values = sample.column(position) if position < sample.num_columns else pa.array([], field.type)
        suggestion: Suggestion | None
        key = keys.get((name, field.name))
        if key is not None:
            place = "shared by several files" if key.home == (name, field.name) else f"refers to {'.'.join(key.home)}"
            suggestion = Suggestion({"pseudonym": {"domain": key.domain}}, place)
            if key.home == (name, field.name):
                identifiers[field.name] = f"{key.domain}_id"
            else:
                links[field.name] = ".".join(key.home)
        else:
            suggestion = suggest(field.name, field.type, values_of(values))
            if suggestion is not None and suggestion.identity is not None:
                identifiers[field.name] = suggestion.identity
        columns.append(Column(field.name, field.type, masked_examples(values), suggestion))
    return Dataset(name, path, columns, identifiers, links)


def _written(dataset: Dataset) -> list[str]:
    lines = [f"  {_text(dataset.name)}:", f"    path: {_text(dataset.path)}", "    other_columns: error"]
    for key, names in (("identifiers", dataset.identifiers), ("links", dataset.links)):
        if names:
            lines.append(f"    {key}: {_flow(names)}")
    lines.append("    columns:" if dataset.columns else "    columns: {}")
    treatments = [
        f"{_text(column.name)}: {_flow(column.suggestion.treatment if column.suggestion else DECIDE)}"
        for column in dataset.columns
    ]
    width = min(max(map(len, treatments), default=0), 60)
    lines += [
        f"      {treatment:<{width}}  # {_comment(column)}"
        for treatment, column in zip(treatments, dataset.columns, strict=True)
    ]
    return lines


def _comment(column: Column) -> str:
    parts = [type_name(column.kind) if not pa.types.is_nested(column.kind) else "nested"]
    if column.suggestion is not None:
        parts.append(column.suggestion.reason)
    if column.examples:
        parts.append("like " + " | ".join(column.examples))
    return "; ".join(parts)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    """Write a text plain where that is safe; JSON's quotes and escapes are YAML's too."""
    return text if is_plain(text) else json.dumps(text, ensure_ascii=not text.isprintable())


__all__ = ["mask_shape", "starter_policy"]
