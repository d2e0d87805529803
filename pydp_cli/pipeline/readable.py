"""Make encrypted columns readable for a search or an export: which hold cells, and what decrypts them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from pydp_cli.errors import KeyringError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.cell_metadata import mark_of
from pydp_cli.pipeline.compilation import Decryption
from pydp_cli.pipeline.compile import compile_pipeline
from pydp_cli.pipeline.encrypt import index_name
from pydp_cli.pipeline.model import Pipeline
from pydp_cli.pipeline.physical import densify
from pydp_cli.policy.model import DatasetPolicy, Policy
from pydp_cli.transforms.cells import looks_encrypted
from pydp_cli.transforms.types import is_text


@dataclass(frozen=True)
class Readable:
    """What decrypts some columns: the columns that it must be given, in their order, and those that it decrypts."""

    pipeline: Pipeline
    needs: tuple[str, ...]
    decrypts: tuple[str, ...]

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Decrypt the columns of a batch that has those that are needed; raises `Tampered` where cells fail."""
        return self.pipeline.apply(batch.select(list(self.needs)))


def columns_of_cells(
    schema: pa.Schema, sample: pa.RecordBatch | None, keyring: Keyring | None, columns: Collection[str]
) -> list[str]:
    """Name the columns that hold cells: by their metadata, and of text by what the first values look like."""
    key_ids = frozenset(version.key_id for version in keyring.versions()) if keyring is not None else frozenset[bytes]()
    found = []
    for column in schema:
        if column.name not in columns:
            continue
        seen = sample is not None and holds_cells(sample.column(column.name), key_ids)
        if seen or mark_of(column) is not None:
            found.append(column.name)
    return found


def holds_cells(values: pa.Array, key_ids: frozenset[bytes]) -> bool:
    """Tell whether a text column holds cells, by what its first values look like."""
    if not is_text(values.type):
        return False
    dense = densify(values)
    return bool(dense.null_count < len(dense) and looks_encrypted(dense, key_ids))


def index_columns(dataset: DatasetPolicy, schema: pa.Schema) -> list[str]:
    """Name the blind indexes of a file: hashes of what other columns hold, which nothing brings back."""
    named = {index_name(name) for name, one in dataset.columns.items() if one.encrypt and one.encrypt.blind_index}
    found = []
    for column in schema:
        mark = mark_of(column)
        if mark.way == "blind_index" if mark is not None else column.name in named:
            found.append(column.name)
    return found


def readable(
    policy: Policy,
    dataset: str,
    schema: pa.Schema,
    *,
    keyring: Keyring | None,
    columns: Collection[str],
    sample: pa.RecordBatch | None = None,
) -> Readable | None:
    """Compile what decrypts those of the columns that hold cells; None where none does.

    Raises `KeyringError` where a column is encrypted and there is no keyring, `WrongKey` where it has not the key.
    """
    cells = columns_of_cells(schema, sample, keyring, columns)
    cells += [name for name in _preserved(policy, dataset, schema, sample, keyring) if name in columns]
    if not cells:
        return None
    if keyring is None:
        raise KeyringError(
            "the column is encrypted, and there is no keyring to read it with",
            place=f'dataset "{dataset}", column "{cells[0]}"',
            hint="unlock the policy's keyring with --key-file or --passphrase-file",
        )
    needed = {*cells, *(name for cell in cells for name in _bound_columns(policy, dataset, schema, cell))}
    part = pa.schema([column for column in schema if column.name in needed], metadata=schema.metadata)
    given = None if sample is None else sample.select(part.names)
    pipeline = compile_pipeline(
        policy,
        dataset=dataset,
        purpose="decrypt",
        schema=part,
        keyring=keyring,
        decryption=Decryption(columns=frozenset(cells), sample=given),
    )
    return Readable(pipeline, tuple(part.names), tuple(cells))


def _preserved(
    policy: Policy, dataset: str, schema: pa.Schema, sample: pa.RecordBatch | None, keyring: Keyring | None
) -> list[str]:
    """Name the format-preserved columns of a text file: nothing shows it of them, but other columns hold cells."""
    specs = {name: one.encrypt for name, one in policy.datasets[dataset].columns.items() if one.encrypt is not None}
    preserved = [name for name, spec in specs.items() if spec.fpe is not None and name in schema.names]
    others = [name for name, spec in specs.items() if spec.fpe is None]
    if sample is None or not preserved or not columns_of_cells(schema, sample, keyring, others):
        return []
    return preserved


def _bound_columns(policy: Policy, dataset: str, schema: pa.Schema, name: str) -> tuple[str, ...]:
    mark = mark_of(schema.field(name))
    if mark is not None:
        return mark.bind
    treated = policy.datasets[dataset].columns.get(name)
    return tuple(treated.encrypt.bind) if treated is not None and treated.encrypt is not None else ()
