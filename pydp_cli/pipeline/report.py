"""The report of a run: what was counted, column by column and file by file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydp_cli.pipeline.counts import Counts
from pydp_cli.pipeline.explain import explain
from pydp_cli.pipeline.model import Pipeline
from pydp_cli.wording import counted

PSEUDONYMOUS = (
    "Pseudonymised, not anonymous (GDPR recital 26): with the keyring the values can be linked to people again. "
    "Keep the keyring away from this output."
)
UNKEYED = (
    "No key can undo this output. Whether it is anonymous depends on what its columns tell when they are combined: "
    "see what each column still leaks."
)
ENCRYPTED = (
    "Encrypted columns tell without the keyring only what `leaks` says of each; the other columns are in clear. "
    "With the keyring everything comes back: keep it apart from this output."
)
GUARDED = "As the input was, without the rows of people who were erased. It may hold personal data in clear."
DECRYPTED = "Decrypted: the output holds personal data in clear."


@dataclass
class FileReport:
    """One input file: where it went, and what was counted."""

    input: str
    output: str
    counts: Counts
    rejected_rows: int
    pipeline: Pipeline


@dataclass
class RunReport:
    """A whole run."""

    command: str
    version: str
    policy_digest: str
    started: str
    workers: int
    as_of: str
    seconds: float = 0.0
    files: list[FileReport] = field(default_factory=list)

    @property
    def rows_in(self) -> int:
        """Rows read, over all files."""
        return sum(file.counts.rows_in for file in self.files)

    @property
    def rows_out(self) -> int:
        """Rows written, over all files."""
        return sum(file.counts.rows_out for file in self.files)

    @property
    def rejected_rows(self) -> int:
        """Rows set aside as malformed, over all files."""
        return sum(file.rejected_rows for file in self.files)

    @property
    def keyed(self) -> bool:
        """Whether any column was treated under a key."""
        return any(plan.keys for file in self.files for plan in file.pipeline.plans)

    @property
    def failed_cells(self) -> int:
        """Cells that could not be decrypted and were let pass, over all files."""
        return sum(file.counts.failures.total() for file in self.files)

    @property
    def statement(self) -> str:
        """What the output is, in law or in fact."""
        if self.command == "encrypt":
            return ENCRYPTED
        if self.command == "decrypt":
            return DECRYPTED
        if self.command == "guard":
            return GUARDED
        return PSEUDONYMOUS if self.keyed else UNKEYED

    def as_json(self) -> dict[str, Any]:
        """Give the report as JSON types. Holds counts and names, never values."""
        return {
            "report_version": 1,
            "command": self.command,
            "pydp_version": self.version,
            "policy_sha256": self.policy_digest,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "workers": self.workers,
            "as_of": self.as_of,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rejected_rows": self.rejected_rows,
            "statement": self.statement,
            "warnings": [message for message, _hint in warnings_of(self)],
            "files": [_file_json(file) for file in self.files],
        }


def warnings_of(report: RunReport) -> list[tuple[str, str]]:
    """Give what the user is to know of a run, though it went as asked: a message and a hint each."""
    plans = [plan for file in report.files for plan in file.pipeline.plans]
    equal = sorted({plan.name for plan in plans for step in plan.steps if step.shows_equality})
    found = []
    if equal:
        leak = f"the output tells which values are equal, and how often each occurs, of: {', '.join(equal)}"
        found.append((leak, "where values are few, or some frequent, they can be guessed; prefer `random` there"))
    if report.failed_cells:
        found.append(
            (f"{counted(report.failed_cells, 'cell')} could not be decrypted", "the report counts them by column")
        )
    return found


def _file_json(file: FileReport) -> dict[str, Any]:
    counts = file.counts
    columns = []
    for story, plan in zip(explain(file.pipeline), file.pipeline.plans, strict=True):
        name = story.column
        column: dict[str, Any] = {
            "column": name,
            "type_in": story.type_in,
            "type_out": story.type_out,
            "steps": list(story.steps),
            "keys": [{"name": use.name, "id": use.key_id} for use in plan.keys],
            "reversible": story.reversible,
            "leaks": story.leaks,
            "nulls_in": counts.nulls_in[name],
        }
        if plan.output is not None:
            column["nulls_out"] = counts.nulls_out[name]
        if name in counts.failures:
            column["cells_failed"] = counts.failures[name]
        if name in counts.unchanged:
            column["values_unchanged"] = counts.unchanged[name]
        columns.append(column)
    return {
        "input": file.input,
        "output": file.output,
        "dataset": file.pipeline.dataset,
        "rows_in": counts.rows_in,
        "rows_out": counts.rows_out,
        "rejected_rows": file.rejected_rows,
        "rows_dropped": {reason: rows for reason, rows in sorted(counts.dropped.items()) if rows},
        "columns_dropped": [plan.name for plan in file.pipeline.plans if plan.output is None],
        "columns": columns,
    }
