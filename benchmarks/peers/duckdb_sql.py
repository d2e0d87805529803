"""The same job in SQL, with salted SHA-256.

`python duckdb_sql.py INPUT OUTPUT THREADS`
"""

import sys

import duckdb

source, target, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
database = duckdb.connect()
database.execute(f"SET threads = {threads}")
database.execute("SET preserve_insertion_order = true")
is_csv = source.endswith(".csv")
rows = f"read_csv('{source}', all_varchar = true, header = true)" if is_csv else f"'{source}'"
form = "(FORMAT csv, HEADER)" if is_csv else "(FORMAT parquet, COMPRESSION snappy)"
database.execute(
    f"""
    COPY (
        SELECT
            substr(sha256('a salt that is kept secret' || id), 1, 16) AS id,
            left(name, 1) || repeat('*', length(name) - 1) AS name,
            substr(sha256('a salt that is kept secret' || lower(trim(email))), 1, 16) || '@example.org' AS email,
            substr(sha256('a salt that is kept secret' || phone), 1, 16) AS phone,
            left(birth_date, 4) || '-01-01' AS birth_date,
            left(zip, 3) AS zip,
            country, salary, note
        FROM {rows}
    ) TO '{target}' {form}
    """
)
