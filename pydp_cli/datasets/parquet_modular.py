"""Parquet Modular Encryption: pages, footers and statistics under keys, so that readers of Parquet stay selective.

Written and read by pyarrow's own API. Who wraps the data keys is handed in (`KeyWrapping`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from pydp_cli.errors import InputError, PydpError, Tampered, UsageError

ALGORITHM = "AES_GCM_V1"
KEY_BITS = 256
BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class KeyWrapping:
    """Wraps and unwraps data keys. `key_id` names the key for new files; it has none of `;`, `:` and `,`."""

    key_id: str
    wrap: Callable[[bytes], bytes] = field(repr=False)
    unwrap: Callable[[str, bytes], bytes] = field(repr=False)


class _Client(pe.KmsClient):  # type: ignore[misc, unused-ignore] # pyarrow has no types
    """A KMS, as pyarrow sees it. Its errors are kept, because pyarrow may make others of them."""

    def __init__(self, wrapping: KeyWrapping, problems: list[PydpError], opened: list[bytes]) -> None:
        super().__init__()
        self._wrapping, self._problems, self._opened = wrapping, problems, opened

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        """Wrap a data key."""
        assert master_key_identifier == self._wrapping.key_id
        return self._wrapping.wrap(key_bytes)

    def unwrap_key(self, wrapped_key: str | bytes, master_key_identifier: str) -> bytes:
        """Unwrap a data key with the key that the file names."""
        raw = wrapped_key.encode() if isinstance(wrapped_key, str) else wrapped_key
        try:
            key = self._wrapping.unwrap(master_key_identifier, raw)
        except PydpError as error:
            self._problems.append(error)
            raise
        self._opened.append(key)
        return key


@dataclass
class Modular:
    """Properties for pyarrow's Parquet readers and writers, with keys from a keyring."""

    wrapping: KeyWrapping
    problems: list[PydpError] = field(default_factory=list)
    _opened: list[bytes] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._factory = pe.CryptoFactory(lambda _: _Client(self.wrapping, self.problems, self._opened))
        self._connection = pe.KmsConnectionConfig()

    def encryption_properties(self, columns: Sequence[str] = ()) -> Any:
        """Give what `ParquetWriter` takes: every column under the footer's key, or these under keys of their own."""
        chosen: dict[str, Any] = {"uniform_encryption": True}
        if columns:
            chosen = {"column_keys": {self.wrapping.key_id: list(columns)}}
        configuration = pe.EncryptionConfiguration(
            footer_key=self.wrapping.key_id,
            encryption_algorithm=ALGORITHM,
            data_key_length_bits=KEY_BITS,
            double_wrapping=False,
            **chosen,
        )
        return self._factory.file_encryption_properties(self._connection, configuration)

    def decryption_properties(self) -> Any:
        """Give what `ParquetFile` and `read_table` take."""
        return self._factory.file_decryption_properties(self._connection, pe.DecryptionConfiguration())

    def footer_key(self, file: Any) -> bytes:
        """Give the footer's data key, which opens all of a uniform file; DuckDB takes it in base64. It is secret."""
        self._opened.clear()
        with self.explained(str(file)):
            pq.ParquetFile(file, decryption_properties=self.decryption_properties()).close()
        return self._opened[0]

    @contextmanager
    def explained(self, name: str) -> Iterator[None]:
        """Say in the user's words what pyarrow found: the wrong key, or damage."""
        self.problems.clear()
        try:
            yield
        except PydpError as error:
            error.place = error.place or name
            raise
        except (OSError, pa.ArrowException) as error:
            if self.problems:
                raise self.problems[0] from error
            raise Tampered("the encrypted Parquet file was altered or cut short", place=name) from error


def encrypt_modular(source: Any, sink: Any, modular: Modular, name: str, columns: Sequence[str] = ()) -> int:
    """Write a Parquet file encrypted, uniformly or these columns (by their root names) alone; gives the rows."""
    try:
        parquet = pq.ParquetFile(source)
        missing = [column for column in columns if column not in parquet.schema_arrow.names]
        if missing:
            raise UsageError(f'there is no column "{missing[0]}"', place=name)
        return _copy(parquet, sink, encryption_properties=modular.encryption_properties(columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError("this is not a Parquet file in clear, or it is damaged", place=name) from error


def decrypt_modular(source: Any, sink: Any, modular: Modular, name: str) -> int:
    """Write an encrypted Parquet file in clear; gives the rows."""
    with modular.explained(name):
        return _copy(pq.ParquetFile(source, decryption_properties=modular.decryption_properties()), sink)


def _copy(parquet: Any, sink: Any, **options: Any) -> int:
    """Write every row group again, with its codecs."""
    metadata, schema = parquet.metadata, parquet.schema_arrow
    codecs = {}
    for group in range(min(1, metadata.num_row_groups)):
        for at in range(metadata.num_columns):
            column = metadata.row_group(group).column(at)
            codecs[column.path_in_schema] = column.compression if column.compression != "UNCOMPRESSED" else "NONE"
    with pq.ParquetWriter(sink, schema, version="2.6", compression=codecs or "snappy", **options) as writer:
        for group in range(metadata.num_row_groups):
            batches = list(parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], use_threads=False))
            table = pa.Table.from_batches(batches, schema)
            if table.num_rows:
                writer.write_table(table, row_group_size=table.num_rows)
    return int(metadata.num_rows)
