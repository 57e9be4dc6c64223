"""Load published tables into a database: a DuckDB file, or PostgreSQL.

`published_set` describes what there is to load, `load` replaces a year in one transaction;
`duckdb_file` and `postgresql` are what differs between the two databases.
"""
