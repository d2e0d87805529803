"""What to search an encrypted column for: the probe of a value, in every column that it can be found in."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pydp_cli.errors import UsageError, WrongKey
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.compilation import KeySource
from pydp_cli.pipeline.encrypt import blind_index, cell_place, index_name, key_version, preserve_format, shape_of
from pydp_cli.policy.encryption import EncryptSpec
from pydp_cli.policy.model import Policy
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.cells import Place, Plaintext, sealed_text
from pydp_cli.transforms.findings import did_you_mean
from pydp_cli.transforms.parse import parse_text


@dataclass(frozen=True)
class Probe:
    """What to look for, in which column, and under which key version it is."""

    column: str
    text: str
    key_id: str


def probes(policy: Policy, dataset: str, column: str, value: str, keyring: Keyring) -> list[Probe]:
    """Give what a value looks like in a column's blind index, or in the column itself, under every usable key version.

    The primary version comes first. Cells are given in base64, as text columns hold them. Raises `UsageError` where
    the column cannot be searched.
    """
    chosen = policy.datasets[dataset]
    treated = chosen.columns.get(column)
    if treated is None:
        raise UsageError(f'the policy has no column "{column}"', hint=did_you_mean(column, chosen.columns))
    spec = treated.encrypt
    place = f'column "{column}"'
    if spec is None:
        raise UsageError("the column is not encrypted", place=place, hint="search it for the value itself")
    text = pa.array([value])
    if treated.type is not None:
        text = canonical_text(parse_text(text, treated.type))
    if spec.blind_index is None and spec.fpe is None and (spec.mode == "random" or spec.bind):
        raise UsageError(
            "the column cannot be searched: its cells are random, or bound to their rows",
            place=place,
            hint="add a `blind_index` to it, or use `mode: deterministic`",
        )
    found = []
    for version in _versions(keyring, cell_place(dataset, column, spec), spec):
        keys = KeySource(keyring, version=version)
        if spec.blind_index is not None:
            function = blind_index(policy, dataset, column, spec, keys)
            found.append(Probe(index_name(column), function(text)[0].as_py(), version.hex()))
        elif spec.fpe is not None:
            preserve = preserve_format(keys, cell_place(dataset, column, spec), shape_of(column, spec))
            found.append(Probe(column, preserve(text)[0].as_py(), version.hex()))
        else:
            at = cell_place(dataset, column, spec)
            key = keys.derive("cell", *at.scope)
            how = Plaintext(nulls=spec.nulls == "encrypt", pad=spec.pad)
            found.append(Probe(column, sealed_text(text, key.key, key.key_id, at, how), version.hex()))
    return found


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
