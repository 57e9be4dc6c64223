"""Published tables into a database: DuckDB in a file, or PostgreSQL.

`published` says what there is to load, `load` how it is done in one transaction; `duck` and
`postgres` are what differs between the two.
"""
