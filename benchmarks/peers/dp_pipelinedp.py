"""The same question asked of PipelineDP on its local backend: `python dp_pipelinedp.py INPUT`. Prints the release.

Its local backend has count, sum, mean and percentiles, and takes Python rows one by one; there is no columnar one.
"""

import sys

import pipeline_dp
import pyarrow.parquet as pq

table = pq.read_table(sys.argv[1])
rows = list(zip(*(table.column(name).to_pylist() for name in ("person", "category", "amount")), strict=True))
accountant = pipeline_dp.NaiveBudgetAccountant(total_epsilon=1, total_delta=1e-9)
engine = pipeline_dp.DPEngine(accountant, pipeline_dp.LocalBackend())
asked = pipeline_dp.AggregateParams(
    metrics=[
        pipeline_dp.Metrics.COUNT,
        pipeline_dp.Metrics.SUM,
        pipeline_dp.Metrics.MEAN,
        pipeline_dp.Metrics.PERCENTILE(50),
    ],
    noise_kind=pipeline_dp.NoiseKind.LAPLACE,
    max_partitions_contributed=3,
    max_contributions_per_partition=4,
    min_value=0,
    max_value=500,
)
extractors = pipeline_dp.DataExtractors(
    privacy_id_extractor=lambda row: row[0], partition_extractor=lambda row: row[1], value_extractor=lambda row: row[2]
)
released = engine.aggregate(rows, asked, extractors, public_partitions=[f"c{n}" for n in range(10)])
accountant.compute_budgets()
print(sorted(released, key=str))
