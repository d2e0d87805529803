"""Looking at files without treating them: check them against the policy, explain, sample."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa

from pydp_cli.datasets.formats import open_source
from pydp_cli.datasets.interface import Source
from pydp_cli.datasets.locations import InputFile, find_inputs
from pydp_cli.errors import InputError, Problem
from pydp_cli.keys.keyring import ColumnKey, Keyring
from pydp_cli.keys.secret import Secret
from pydp_cli.pipeline.compile import compile_pipeline
from pydp_cli.pipeline.explain import ColumnStory, explain
from pydp_cli.pipeline.transform_files import OpenKeyring, Request, Sample, dataset_path, plan_jobs
from pydp_cli.policy.model import Policy
from pydp_cli.policy.rights_checks import check_erasing
from pydp_cli.policy.schema_checks import check_schema

SAMPLE_ROWS = 5
STARTER_ROWS = 1000


class LockedKeyring:
    """Stands for a keyring that is not unlocked: it names keys, and what it gives for them must not touch data."""

    def column_key(
        self, purpose: str, scope: str, column: str = "", *, version: int | bytes | None = None, length: int = 64
    ) -> ColumnKey:
        """Name the key; the bytes are zero."""
        del column, version
        return ColumnKey(Secret(bytes(length)), b"", f"{purpose}/{scope}", 0)


def check_files(policy: Policy, name: str) -> tuple[int, list[Problem]]:
    """Check the schema of every file of a dataset; give the number of files and what was found.

    A dataset without files is a warning: the policy may be written before the data is there.
    """
    try:
        files = find_inputs([dataset_path(policy, name)])
    except InputError as error:
        place = policy.place_of("datasets", name, "path")
        return 0, [Problem(f'dataset "{name}" has no files: {error.message}', place, error.hint, "warning")]
    problems: list[Problem] = []
    for file in files:
        with ExitStack() as closing:
            schema = open_source(file, csv_options=policy.datasets[name].csv, closing=closing).schema
        found = [*check_schema(policy, name, schema), *check_erasing(policy, name, schema)]
        found = [p for p in found if not _of_partition(p, file)]
        problems += [p for p in found if p not in problems]
    return len(files), problems


def _of_partition(problem: Problem, file: InputFile) -> bool:
    """Tell whether a column that is missed in the file is in the names of its folders."""
    return any(f'names column "{column}", which' in problem.message for column in file.partition_columns)


def explain_dataset(policy: Policy, name: str, keyring: Keyring | None) -> list[ColumnStory]:
    """Tell what a dataset's policy compiles to, by the schema of its first file, else by the policy alone (text)."""
    try:
        first = find_inputs([dataset_path(policy, name)])[0]
        with ExitStack() as closing:
            schema = open_source(first, csv_options=policy.datasets[name].csv, closing=closing).schema
    except InputError:
        schema = pa.schema([(column, pa.string()) for column in policy.datasets[name].columns])
    return explain(compile_pipeline(policy, dataset=name, schema=schema, keyring=keyring or LockedKeyring()))


def sample_files(request: Request, open_keyring: OpenKeyring) -> list[Sample]:
    """Compile every file's pipeline and treat a few rows of each, writing nothing."""
    samples = []
    with ExitStack() as closing:
        for job in plan_jobs(replace(request, rehearse=True), open_keyring, closing):
            before = _head(job.reading, SAMPLE_ROWS)
            samples.append(Sample(job.file.relative_name, job.pipeline, before, job.pipeline.apply(before)))
    return samples


def sample_for_starter(path: str, base: Path) -> tuple[str, pa.Schema, pa.Table]:
    """Give a path as a policy in `base` names it, with the schema and some rows of its first file."""
    named = path if "://" in path else os.path.relpath(path, base)
    with ExitStack() as closing:
        source = open_source(find_inputs([path])[0], closing=closing)
        return named, source.schema, pa.Table.from_batches([_head(source, STARTER_ROWS)])


def _head(source: Source, rows: int) -> pa.RecordBatch:
    batches = (batch for chunk in source.chunks() for batch in chunk.read() if batch.num_rows)
    for batch in islice(batches, 1):
        return batch.slice(0, rows)
    return pa.RecordBatch.from_pylist([], schema=source.schema)
