"""Files in, treated files out: find the inputs, compile for each, stream, publish all or none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from pydp_cli.datasets.formats import open_sink, open_source
from pydp_cli.datasets.interface import Sink, Source
from pydp_cli.datasets.locations import InputFile, Target, find_inputs, map_outputs
from pydp_cli.datasets.parquet_groups import SpliceSink, by_groups
from pydp_cli.datasets.publish import Publication
from pydp_cli.errors import InputError, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.compilation import Decryption
from pydp_cli.pipeline.compile import compile_pipeline
from pydp_cli.pipeline.decrypt import encrypted_columns
from pydp_cli.pipeline.head import Head, read_head
from pydp_cli.pipeline.local import run_file
from pydp_cli.pipeline.model import Pipeline
from pydp_cli.pipeline.report import FileReport, RunReport
from pydp_cli.policy.model import DatasetPolicy, Policy
from pydp_cli.policy.schema_checks import Purpose
from pydp_cli.transforms.ages import today


@dataclass(frozen=True)
class Request:
    """What a command asks for: which files, treated for which purpose, to where."""

    command: Purpose
    policy: Policy
    inputs: tuple[str, ...] = ()
    output: str | None = None
    dataset: str | None = None
    input_format: str | None = None
    output_format: str | None = None
    in_place: bool = False
    force: bool = False
    bad_rows: Path | None = None
    workers: int = 1
    measure: bool = False
    as_of: date = field(default_factory=today)
    refine: Callable[[Pipeline, Callable[[], Keyring]], Pipeline] | None = None
    """Changes each compiled pipeline before it runs: what may not be used, or who was erased, is left out."""
    before_rows: Callable[[frozenset[str]], None] | None = None
    """Told the datasets once everything was checked, before the first row is read; what it raises ends the run."""
    decryption: Decryption = field(default_factory=Decryption)
    rehearse: bool = False
    """Whether it is only to be shown what a run would do."""


@dataclass(frozen=True)
class Sample:
    """A few rows of one file before and after treatment."""

    name: str
    pipeline: Pipeline
    before: pa.RecordBatch
    after: pa.RecordBatch


OpenKeyring = Callable[[], Keyring]
Progress = Callable[[str, int], None]
"""Told the name of the file at work and how many rows were just done."""


@dataclass(frozen=True)
class Job:
    """One file to treat: where it comes from, where it goes, and its compiled pipeline."""

    file: InputFile
    target: Target
    source: Source
    pipeline: Pipeline
    head: Head | None = None
    """What was read of the source already."""

    @property
    def reading(self) -> Source:
        """The source from its first chunk on."""
        return self.source if self.head is None else self.head


def transform_files(request: Request, open_keyring: OpenKeyring, progress: Progress | None = None) -> RunReport:
    """Treat every input and publish all outputs together; the keyring is opened only where a treatment is keyed.

    Before the first row is read, every file's schema is checked and its pipeline compiled. On any error nothing is
    published.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    report = RunReport(
        command=request.command,
        version=version("pydp-cli"),
        policy_digest=request.policy.digest,
        started=started.isoformat(timespec="seconds"),
        workers=request.workers,
        as_of=request.as_of.isoformat(),
    )
    with ExitStack() as closing, Publication(force=request.force) as publication:
        jobs = plan_jobs(request, open_keyring, closing)
        if request.before_rows is not None:
            request.before_rows(frozenset(job.pipeline.dataset for job in jobs))
        rejects = None if request.bad_rows is None else publication.stage(str(request.bad_rows)).stream
        for job in jobs:
            report.files.append(_run_job(job, request, publication, rejects, progress))
        publication.commit()
    report.seconds = time.monotonic() - clock
    return report


def plan_jobs(request: Request, open_keyring: OpenKeyring, closing: ExitStack) -> list[Job]:
    """Find the inputs, decide which dataset each is, open it, and compile its pipeline; `closing` closes them."""
    policy = request.policy
    found = find_files(request)
    targets = map_outputs(
        [file for _, file in found],
        output=request.output,
        output_format=request.output_format,
        in_place=request.in_place,
        force=request.force,
    )
    names = {name for name, _ in found}
    keyring = open_keyring() if any(needs_key(policy.datasets[name], request.command) for name in names) else None
    jobs = []
    for (name, file), target in zip(found, targets, strict=True):
        source = open_source(
            file, csv_options=policy.datasets[name].csv, set_aside=request.bad_rows is not None, closing=closing
        )
        decryption, head = request.decryption, None
        if request.command == "decrypt" and not any(encrypted_columns(source.schema)):
            head = read_head(source)
            decryption = replace(decryption, sample=head.batch)
        pipeline = compile_pipeline(
            policy,
            dataset=name,
            purpose=request.command,
            schema=source.schema,
            keyring=keyring,
            as_of=request.as_of,
            decryption=decryption,
            rehearse=request.rehearse,
        )
        if request.refine is not None:
            pipeline = request.refine(pipeline, open_keyring)
        jobs.append(Job(file, target, source, pipeline, head))
    return jobs


def find_files(request: Request) -> list[tuple[str, InputFile]]:
    """Find the input files, each with the name of the dataset that it belongs to."""
    policy = request.policy
    if not request.inputs:
        name = _only_dataset(policy, request.dataset)
        return [(name, file) for file in find_inputs([dataset_path(policy, name)], input_format=request.input_format)]
    files = find_inputs(request.inputs, input_format=request.input_format)
    if request.dataset is not None or len(policy.datasets) == 1:
        name = _only_dataset(policy, request.dataset)
        return [(name, file) for file in files]
    members = {name: _members(policy, name) for name in policy.datasets}
    return [(_dataset_of(file, members), file) for file in files]


def dataset_path(policy: Policy, name: str) -> str:
    """Give a dataset's path as it is found from here: relative to the policy's folder."""
    path = policy.datasets[name].path
    if path is None:
        raise UsageError(f'dataset "{name}" has no path', hint="name the input on the command line")
    return path if path == "-" or "://" in path else str(policy.base_dir / path)


def _only_dataset(policy: Policy, wanted: str | None) -> str:
    known = ", ".join(policy.datasets)
    if wanted is not None:
        if wanted not in policy.datasets:
            raise UsageError(f'the policy has no dataset "{wanted}"', hint=f"one of: {known}")
        return wanted
    if len(policy.datasets) != 1:
        raise UsageError("the policy has several datasets", hint=f"choose one with --dataset: {known}")
    return next(iter(policy.datasets))


def _members(policy: Policy, name: str) -> set[str]:
    """Give the real paths of a dataset's files; none where its path matches nothing."""
    try:
        return {os.path.realpath(file.path) for file in find_inputs([dataset_path(policy, name)])}
    except (InputError, UsageError):
        return set()


def _dataset_of(file: InputFile, members: dict[str, set[str]]) -> str:
    matching = [name for name, paths in members.items() if os.path.realpath(file.path) in paths]
    if len(matching) == 1:
        return matching[0]
    found = f"it belongs to {' and '.join(matching)}" if matching else "it belongs to no dataset of the policy"
    raise UsageError(
        f"cannot tell which dataset this is: {found}",
        place=file.path,
        hint=f"choose one with --dataset: {', '.join(members)}",
    )


def needs_key(dataset: DatasetPolicy, purpose: str) -> bool:
    """Tell whether a dataset's treatment for a purpose needs the keyring."""
    if purpose == "encrypt":
        return any(column.encrypt is not None for column in dataset.columns.values())
    if purpose == "guard":
        return False
    if purpose != "anonymize":
        return True
    return any(step.options.info.keyed for column in dataset.columns.values() for step in column.anonymize or ())


def _ends(job: Job, stream: BinaryIO, treated: frozenset[str], workers: int) -> tuple[Source, Sink]:
    """Give what is read and what is written; from Parquet to Parquet, several workers take whole row groups."""
    form, schema = job.target.format, job.pipeline.output_schema
    if workers > 1 and job.head is None and (form is None or form.name == "parquet") and sys.platform == "linux":
        parted = by_groups(job.source)
        if parted is not None:
            return parted, SpliceSink(stream, schema, parted.whole, treated=treated)
    sink = open_sink(stream, form, schema, like=job.source, like_format=job.file.format, treated=treated)
    return job.reading, sink


def _run_job(
    job: Job, request: Request, publication: Publication, rejects: BinaryIO | None, progress: Progress | None
) -> FileReport:
    rejected = 0

    def set_aside(rows: list[tuple[int, bytes]]) -> None:
        nonlocal rejected
        rejected += len(rows)
        if rejects is not None:
            rejects.writelines(record for _, record in rows)

    name = job.file.relative_name
    if request.output is not None and job.target.path != request.output:  # a file in a folder of outputs
        Path(job.target.path).parent.mkdir(parents=True, exist_ok=True)
    staged = publication.stage(job.target.path, in_place=request.in_place)
    treated = frozenset(plan.name for plan in job.pipeline.plans if not plan.untouched)
    reading, sink = _ends(job, staged.stream, treated, request.workers)
    counts = run_file(
        reading,
        sink,
        job.pipeline,
        name=name,
        workers=request.workers,
        measure=request.measure,
        on_rejected=set_aside,
        on_rows=None if progress is None else lambda rows: progress(name, rows),
    )
    return FileReport(job.file.path, job.target.path, counts, rejected, job.pipeline)
