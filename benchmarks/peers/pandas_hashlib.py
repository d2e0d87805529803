"""The common script: pandas, hashlib, and a lambda for each cell.

`python pandas_hashlib.py INPUT OUTPUT THREADS`: it has one thread, whatever is asked for.
"""

import hashlib
import sys

import pandas as pd

source, target = sys.argv[1], sys.argv[2]
SALT = "a salt that is kept secret"


def hashed(value):
    return hashlib.sha256((SALT + value).encode()).hexdigest()[:16]


is_csv = source.endswith(".csv")
people = pd.read_csv(source, dtype=str) if is_csv else pd.read_parquet(source)
people["id"] = people["id"].map(hashed, na_action="ignore")
people["phone"] = people["phone"].map(hashed, na_action="ignore")
people["email"] = people["email"].map(lambda v: hashed(v.strip().lower()) + "@example.org", na_action="ignore")
people["name"] = people["name"].map(lambda v: v[0] + "*" * (len(v) - 1), na_action="ignore")
people["birth_date"] = people["birth_date"].map(lambda v: v[:4] + "-01-01", na_action="ignore")
people["zip"] = people["zip"].map(lambda v: v[:3], na_action="ignore")
people.to_csv(target, index=False) if is_csv else people.to_parquet(target, index=False)
