"""Load published tables into a database: a DuckDB file, PostgreSQL, or BigQuery.

`published_set` describes what there is to load, `load` replaces a year in one transaction;
`duckdb_file`, `postgresql` and `bigquery` are what differs between the databases.
"""
