"""Releases of OpenDP over Polars, one statistic at a time: `python dp_opendp_error.py INPUT ROWS RUNS`, JSON.

For each statistic, a list of releases, each a list of the groups' values by name of the group.
"""

import json
import sys
import warnings

import opendp.prelude as dp
import polars as pl

warnings.simplefilter("ignore", FutureWarning)  # of counts that will be signed one day
dp.enable_features("contrib")
source, rows, runs = pl.scan_parquet(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
categories = pl.LazyFrame({"category": [f"c{n}" for n in range(10)]})
amount = pl.col("amount").fill_nan(0.0).fill_null(0.0)
median = [float(n) for n in range(0, 501, 5)]
asked = {
    "count": dp.len,
    "sum": lambda: amount.dp.sum((0.0, 500.0)),
    "mean": lambda: amount.dp.mean((0.0, 500.0)),
    "median": lambda: amount.dp.median(candidates=median),
}
released = {}
for name, expression in asked.items():
    context = dp.Context.compositor(
        data=source,
        privacy_unit=dp.unit_of(contributions=1, identifier="person"),
        privacy_loss=dp.loss_of(epsilon=float(runs)),
        split_evenly_over=1,
        margins=[dp.polars.Margin(by=["category"], max_length=rows, max_groups=10)],
    )
    query = (
        context.query()
        .truncate_per_group(4, by=["category"])
        .truncate_num_groups(3, by=["category"], keep="first")
        .group_by("category")
        .agg([expression().alias(f"run {n}") for n in range(runs)])  # one after the other takes minutes to plan
        .with_keys(categories)
    )
    found = query.release().collect().sort("category")
    released[name] = [found[f"run {n}"].cast(pl.Float64).to_list() for n in range(runs)]
print(json.dumps(released))
