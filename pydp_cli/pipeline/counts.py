"""What is counted while a pipeline runs: the basis of every report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.pipeline.model import ColumnPlan, Pipeline


@dataclass
class Counts:
    """Rows in, out, and dropped by reason; for each column nulls, failed cells, and (where measured) what stayed."""

    rows_in: int = 0
    rows_out: int = 0
    nulls_in: Counter[str] = field(default_factory=Counter)
    nulls_out: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def add_batch(self, pipeline: Pipeline, batch: pa.RecordBatch, treated: pa.RecordBatch, *, measure: bool) -> None:
        """Count one batch; comparing values costs time, so it is done only where a report was asked for."""
        self.rows_in += batch.num_rows
        self.rows_out += treated.num_rows
        for name in batch.schema.names:
            self.nulls_in[name] += batch.column(name).null_count
        for name in treated.schema.names:
            self.nulls_out[name] += treated.column(name).null_count
        if measure and batch.num_rows == treated.num_rows:
            for plan in pipeline.plans:
                if _is_comparable(plan):
                    same = pc.equal(batch.column(plan.name), treated.column(plan.name))
                    self.unchanged[plan.name] += same.true_count

    def add(self, other: Counts) -> None:
        """Add the counts of another part of the same file."""
        self.rows_in += other.rows_in
        self.rows_out += other.rows_out
        self.nulls_in.update(other.nulls_in)
        self.nulls_out.update(other.nulls_out)
        self.unchanged.update(other.unchanged)
        self.failures.update(other.failures)
        self.dropped.update(other.dropped)


def _is_comparable(plan: ColumnPlan) -> bool:
    """Tell whether a column's values before and after can be compared."""
    return plan.output is not None and not plan.untouched and plan.made_from is None and plan.output.type == plan.source
