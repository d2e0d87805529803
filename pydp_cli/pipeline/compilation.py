"""What the columns of one dataset are compiled with: the policy, the schema, and what hands out keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from pydp_cli.errors import KeyringError
from pydp_cli.keys.keyring import ColumnKey
from pydp_cli.pipeline.model import KeyUse
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.model import DatasetPolicy, Policy
from pydp_cli.transforms.cells import OnError
from pydp_cli.transforms.encrypt_for_people import KeysOfRows
from pydp_cli.transforms.types import is_text


class Keys(Protocol):
    """What derives column keys: a keyring."""

    def column_key(
        self, purpose: str, scope: str, column: str = "", *, version: int | bytes | None = None, length: int = 64
    ) -> ColumnKey:
        """Derive a column key."""
        ...


@dataclass
class KeySource:
    """Hands out column keys while a column is bound, and notes which keys of the ring they came from."""

    keyring: Keys | None
    uses: list[KeyUse] = field(default_factory=list)
    version: bytes | None = None
    """The id of the key version to derive from; None for the primary of the purpose."""

    def __call__(self, purpose: str, scope: str, column: str = "", *, length: int = 64) -> bytes:
        """Derive a column key."""
        return self.derive(purpose, scope, column, length=length).key

    def derive(self, purpose: str, scope: str, column: str = "", *, length: int = 64) -> ColumnKey:
        """Derive a column key, and say which key of the ring it came from."""
        if self.keyring is None:
            raise KeyringError(
                "this treatment needs a key, and there is no keyring",
                hint="make one with `pydp keys init`, and name it with --keyring or `keyring:` in the policy",
            )
        derived = self.keyring.column_key(purpose, scope, column, version=self.version, length=length)
        use = KeyUse(derived.key_name, derived.key_id.hex())
        if use not in self.uses:
            self.uses.append(use)
        return derived


@dataclass(frozen=True)
class Decryption:
    """What `decrypt` is told besides the policy.

    `columns` are the only ones to decrypt (None: all), `sample` a few of the file's first rows, `adhoc` says that
    there is no policy, so that the file's own metadata says which dataset it is, and `version` is the id of the key
    version under which values are that do not name theirs (tokens and format-preserving encryption in CSV).
    `subject_keys` is the store of people's own keys, where it is not the policy's.
    """

    columns: frozenset[str] | None = None
    on_error: OnError = "stop"
    sample: pa.RecordBatch | None = None
    adhoc: bool = False
    version: bytes | None = None
    subject_keys: Path | None = None


@dataclass(frozen=True)
class Compilation:
    """What every column of one dataset is compiled with. `logical` has dense types, as the policy declares them.

    With `rehearse` nothing is made that lasts: what is encrypted under people's own keys can never be read.
    """

    policy: Policy
    name: str
    dataset: DatasetPolicy
    schema: pa.Schema
    logical: pa.Schema
    keyring: Keys | None
    as_of: date
    decryption: Decryption = field(default_factory=Decryption)
    rehearse: bool = False
    people: dict[str, KeysOfRows] = field(default_factory=dict)
    """What gives rows the keys of their people, for each column that names them; columns of cells share it."""


def logical_schema(dataset: DatasetPolicy, schema: pa.Schema) -> pa.Schema:
    """Give the dense types of a file's columns, with the types that the policy declares for text."""
    return pa.schema([(column.name, declared_type(dataset, column) or dense_type(column.type)) for column in schema])


def declared_type(dataset: DatasetPolicy, column: pa.Field) -> pa.DataType | None:
    """Give the type that the policy declares for a text column; None where the stored type stands."""
    treated = dataset.columns.get(column.name)
    declared = None if treated is None else treated.type
    if declared is None or not is_text(column.type) or is_text(declared):
        return None
    return declared
