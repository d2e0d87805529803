"""pydp: encrypts, anonymizes and summarises CSV and Parquet data from one reviewed policy."""
