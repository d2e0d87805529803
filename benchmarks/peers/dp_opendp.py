"""The same question asked of OpenDP over Polars: `python dp_opendp.py INPUT ROWS`. Prints the release.

Categories are cut to three by rank (`keep="first"`), because OpenDP 0.16's random choice of groups fails here
("multiple fields with name"); that is less work than ours. The median has 100 candidates, where ours has 4,096 bins.
"""

import sys
import warnings

import opendp.prelude as dp
import polars as pl

warnings.simplefilter("ignore", FutureWarning)  # of counts that will be signed one day
dp.enable_features("contrib")
source = pl.scan_parquet(sys.argv[1])
categories = pl.LazyFrame({"category": [f"c{n}" for n in range(10)]})
context = dp.Context.compositor(
    data=source,
    privacy_unit=dp.unit_of(contributions=1, identifier="person"),
    privacy_loss=dp.loss_of(epsilon=1.0),
    split_evenly_over=1,
    margins=[dp.polars.Margin(by=["category"], max_length=int(sys.argv[2]), max_groups=10)],
)
amount = pl.col("amount").fill_nan(0.0).fill_null(0.0)
query = (
    context.query()
    .truncate_per_group(4, by=["category"])
    .truncate_num_groups(3, by=["category"], keep="first")
    .group_by("category")
    .agg(
        dp.len(),
        amount.dp.sum((0.0, 500.0)).alias("total"),
        amount.dp.mean((0.0, 500.0)).alias("mean"),
        amount.dp.median(candidates=[float(n) for n in range(0, 500, 5)]).alias("median"),
    )
    .with_keys(categories)
)
print(query.release().collect().sort("category").write_json())
