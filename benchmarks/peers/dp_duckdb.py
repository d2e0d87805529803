"""The same bounding in DuckDB, by two window functions, without any noise: `python dp_duckdb.py INPUT THREADS`."""

import sys

import duckdb

source, threads = sys.argv[1], int(sys.argv[2])
database = duckdb.connect(config={"threads": threads})
query = f"""
with ranked as (
  select *, dense_rank() over (partition by person order by hash(person, category)) as place,
    row_number() over (partition by person, category order by hash(amount, person)) as row
  from read_parquet('{source}'))
select category, count(distinct person), count(*), sum(least(greatest(amount, 0), 500)), median(amount)
from ranked where place <= 3 and row <= 4 group by category order by category
"""
print(database.execute(query).fetchall())
