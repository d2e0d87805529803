"""How identifiers are spelled in pseudonymised columns: the pseudonyms that a policy makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.compile import compile_pipeline
from pydp_cli.policy.model import Policy, keyed_steps

LEAST_BITS = 60
"""Shorter pseudonyms are shared by several people, and could be the identifiers of others."""


def pseudonyms_of(
    policy: Policy, dataset: str, column: str, values: pa.StringArray, keyring: Keyring
) -> Iterator[pa.Array]:
    """Give the pseudonyms that a column's treatment makes of values, if it is one that stands for each person alone.

    Tokens and short or fake pseudonyms give none: they look like the identifiers of other people.
    """
    treated = policy.datasets[dataset].columns.get(column)
    if treated is None or treated.anonymize is None or len(treated.anonymize) != 1:
        return
    step = treated.anonymize[0]
    if step.when is not None or step.name not in {"pseudonym", "hash"} or not list(keyed_steps(column, treated)):
        return
    bits = getattr(step.options, "space_bits", None)
    if bits is not None and (bits() or 0) < LEAST_BITS:
        return
    slim = policy.datasets[dataset].model_copy(
        update={
            "columns": {column: treated.model_copy(update={"type": None, "encrypt": None, "retention": None})},
            "other_columns": "keep",
            "keep_rows": None,
            "drop_rows": None,
            "retention": None,  # it may name columns that are not here, as may the others
            "erase": None,
            "other_people": (),
            "opt_out": {},
        }
    )
    changed = policy.model_copy(update={"datasets": {**policy.datasets, dataset: slim}})
    dataset_policy = policy.datasets[dataset]
    named = dict.fromkeys([column, *dataset_policy.identifiers, *dataset_policy.links])
    schema = pa.schema([(name, pa.string()) for name in named])
    pipeline = compile_pipeline(changed, dataset=dataset, schema=schema, keyring=keyring)
    columns = [values if name == column else pa.nulls(len(values), pa.string()) for name in named]
    yield pipeline.apply(pa.record_batch(columns, schema=schema)).column(column)
