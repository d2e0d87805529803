"""Read columns of a file as the policy types them, batch by batch with positions, for conditions and dates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from pydp_cli.datasets.edits import Rows
from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.locations import InputFile
from pydp_cli.errors import BadValue, InputError
from pydp_cli.pipeline.compilation import declared_type, logical_schema
from pydp_cli.pipeline.model import Parse
from pydp_cli.pipeline.physical import densify
from pydp_cli.policy.conditions import compile_condition
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.subjects.scan import KeyBatch, scan_keys


def stored_schema(dataset: DatasetPolicy, file: InputFile) -> pa.Schema:
    """Give the columns of a file, with those that the names of its folders tell, as text."""
    with ExitStack() as closing:
        schema = open_source(file, csv_options=dataset.csv, closing=closing).schema
    more = [pa.field(name, pa.string()) for name in file.partition_columns if name not in schema.names]
    return pa.schema([*schema, *more])


def typed_batches(
    dataset: DatasetPolicy, file: InputFile, schema: pa.Schema, columns: Sequence[str]
) -> Iterator[KeyBatch]:
    """Give batches of some columns in dense types, text parsed to the types that the policy declares.

    Raises `InputError` for a column that is not there, and `BadValue` where text is not of its declared type.
    """
    for name in columns:
        if name not in schema.names:
            raise InputError(f'there is no column "{name}"', place=file.path)
    kinds = {name: declared_type(dataset, schema.field(name)) for name in columns}
    for batch in scan_keys(file, list(columns), csv=dataset.csv):
        values = {name: densify(batch.columns[name]) for name in columns}
        for name, kind in kinds.items():
            if kind is not None:
                values[name] = _parsed(values[name], kind, f'{file.path}, column "{name}"')
        yield KeyBatch(batch.start, values, batch.num_rows)


def rows_where(dataset: DatasetPolicy, file: InputFile, text: str) -> Rows:
    """Give the positions of the rows that meet a condition."""
    schema = stored_schema(dataset, file)
    condition = compile_condition(text, logical_schema(dataset, schema))
    found = [np.empty(0, np.int64)]
    for batch in typed_batches(dataset, file, schema, sorted(condition.columns)):
        met = condition(batch.columns).to_numpy(zero_copy_only=False)
        found.append(np.flatnonzero(met) + batch.start)
    return np.concatenate(found)


def _parsed(column: pa.Array, kind: pa.DataType, place: str) -> pa.Array:
    try:
        return Parse(kind).read(column)
    except BadValue as error:
        raise BadValue(error.message, place=place, hint=error.hint) from None
