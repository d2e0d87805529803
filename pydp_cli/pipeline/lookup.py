"""What to search an encrypted column for: the probe of a value, in every column that it can be found in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from pydp_cli.errors import UsageError, WrongKey
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.compilation import KeySource
from pydp_cli.pipeline.encrypt import blind_index, cell_place, index_name, key_version, preserve_format, shape_of
from pydp_cli.policy.encryption import EncryptSpec
from pydp_cli.policy.model import Policy
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.cells import Place, Plaintext, sealed_texts
from pydp_cli.transforms.findings import did_you_mean
from pydp_cli.transforms.parse import parse_text


@dataclass(frozen=True)
class Probe:
    """What to look for, in which column, and under which key version it is."""

    column: str
    text: str
    key_id: str


@dataclass(frozen=True)
class ProbeFunction:
    """What makes the probes of a column's values under one key version, and the column that holds them."""

    column: str
    key_id: bytes
    make: Callable[[pa.StringArray], pa.StringArray] = field(repr=False)


def probes(policy: Policy, dataset: str, column: str, value: str, keyring: Keyring) -> list[Probe]:
    """Give what a value looks like in a column's blind index, or in the column itself, under every usable key version.

    The primary version comes first. Cells are given in base64, as text columns hold them. Raises `UsageError` where
    the column cannot be searched.
    """
    functions = probe_functions(policy, dataset, column, keyring)
    text = pa.array([value], pa.string())
    return [Probe(one.column, one.make(text)[0].as_py(), one.key_id.hex()) for one in functions]


def probe_functions(policy: Policy, dataset: str, column: str, keyring: Keyring) -> list[ProbeFunction]:
    """Give what makes a column's probes, one for every usable key version; the primary version comes first.

    Raises `UsageError` where the column cannot be searched, and what is made of values raises `BadValue` where they are
    none of the column's type.
    """
    chosen = policy.datasets[dataset]
    treated = chosen.columns.get(column)
    if treated is None:
        raise UsageError(f'the policy has no column "{column}"', hint=did_you_mean(column, chosen.columns))
    spec = treated.encrypt
    place = f'column "{column}"'
    if spec is None:
        raise UsageError("the column is not encrypted", place=place, hint="search it for the value itself")
    if spec.blind_index is None and spec.fpe is None and (spec.mode == "random" or spec.bind):
        raise UsageError(
            "the column cannot be searched: its cells are random, or bound to their rows",
            place=place,
            hint="add a `blind_index` to it, or use `mode: deterministic`",
        )
    at = cell_place(dataset, column, spec)
    found = []
    for version in _versions(keyring, at, spec):
        keys = KeySource(keyring, version=version)
        if spec.blind_index is not None:
            function: Callable[[pa.StringArray], pa.StringArray] = blind_index(policy, dataset, column, spec, keys)
        elif spec.fpe is not None:
            function = preserve_format(keys, at, shape_of(column, spec))
        else:
            key = keys.derive("cell", *at.scope)
            how = Plaintext(nulls=spec.nulls == "encrypt", pad=spec.pad)
            function = partial(sealed_texts, key=key.key, key_id=key.key_id, place=at, plaintext=how)
        held_in = index_name(column) if spec.blind_index is not None else column
        found.append(ProbeFunction(held_in, version, partial(_probes, function, treated.type)))
    return found


def _probes(
    function: Callable[[pa.StringArray], pa.StringArray], kind: pa.DataType | None, values: pa.StringArray
) -> pa.StringArray:
    return function(values if kind is None else canonical_text(parse_text(values, kind)))


def _versions(keyring: Keyring, place: Place, spec: EncryptSpec) -> list[bytes]:
    """Give the ids of the versions that the column may be under; the primary first."""
    primary = key_version(keyring, spec.key) or keyring.primary(keyring.key_for("cell", place.scope[0])).key_id
    name = keyring.find(primary).name
    ids = [primary]
    for version in keyring.keys[name]:
        try:
            usable = keyring.by_id(version.key_id).key_id
        except WrongKey:  # disabled, destroyed or pending: nothing can be looked up under it
            continue
        if usable not in ids:
            ids.append(usable)
    return ids
