"""Replaces a year in a database by what is published, in one transaction."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from pipeline.databases.relations import YEAR, PublishedYear, Relation
from pipeline.databases.session import Database, Session, identifier, literal
from pipeline.errors import LoadError
from pipeline.tables import Kind

_TYPES: dict[Kind, str] = {
    "text": "TEXT",
    "integer": "BIGINT",
    "number": "DOUBLE PRECISION",
    "date": "DATE",
}
_KINDS: dict[str, Kind] = {
    "text": "text",
    "varchar": "text",
    "character varying": "text",
    "bigint": "integer",
    "double": "number",
    "double precision": "number",
    "date": "date",
}
_RUNS = """CREATE TABLE IF NOT EXISTS pipeline_runs (
    load_number BIGINT, year TEXT, build TEXT, run TEXT, as_of DATE, source TEXT,
    is_made_up BOOLEAN, row_counts TEXT, loaded_at TIMESTAMP)"""
_ABOUT_RUNS = "One row per load: which build of a year, by which run, how many rows; UTC"


@dataclass(frozen=True)
class Loaded:
    """What a database holds of a year: rows by table, and whether they are new."""

    rows: dict[str, int]
    is_new: bool


def load(database: Database, published: PublishedYear) -> Loaded:
    """Replace a year by its published set; nothing is done where that set is there already.

    Raises:
        LoadError: the database, or a column or row count in it, does not fit; it is as it was.
    """
    with database.transaction() as session:
        session.execute(_RUNS)
        session.execute(f"COMMENT ON TABLE pipeline_runs IS {literal(_ABOUT_RUNS)}")
        _keep_made_up_apart(session, database, published)
        there = _there_already(session, published)
        if there is not None:
            return Loaded(there, is_new=False)
        rows = {one.name: _replace(session, one, published.year) for one in published.relations}
        _write_down(session, published, rows)
        published.see_that_it_is_still_there()
    return Loaded(rows, is_new=True)


def _keep_made_up_apart(session: Session, database: Database, published: PublishedYear) -> None:
    made_up = bool(published.marker.about.get("is_made_up"))
    others = "SELECT count(*) FROM pipeline_runs WHERE is_made_up <> ?"
    if session.execute(others, [made_up])[0][0]:
        raise LoadError(
            f"The {database.label} holds results of "
            f"{'real' if made_up else 'made-up'} students, and these are "
            f"{'made up' if made_up else 'real'}; nothing was loaded. Use another database."
        )


def _there_already(session: Session, published: PublishedYear) -> dict[str, int] | None:
    """The rows of each table, if the last load of the year was of this build and all are there."""
    found = session.execute(
        "SELECT build, row_counts FROM pipeline_runs WHERE year = ? "
        "ORDER BY load_number DESC LIMIT 1",
        [published.year],
    )
    if not found or found[0][0] != published.marker.build:
        return None
    rows: dict[str, int] = json.loads(found[0][1])
    if rows.keys() != {relation.name for relation in published.relations}:
        return None
    return rows if all(_has(session, name, published.year, n) for name, n in rows.items()) else None


def _has(session: Session, name: str, year: str, rows: int) -> bool:
    return YEAR in _columns(session, name) and _count(session, name, year) == rows


def _replace(session: Session, relation: Relation, year: str) -> int:
    _prepare(session, relation)
    table = identifier(relation.name)
    session.execute(f"DELETE FROM {table} WHERE year = ?", [year])  # noqa: S608  it is quoted
    session.insert(relation, year)
    expected, found = relation.count(), _count(session, relation.name, year)
    if expected != found:
        raise LoadError(
            f"{relation.path.name} has {expected:,} rows and {found:,} of {year} arrived in "
            f"{relation.name}; the database is as it was. Run again, then load again."
        )
    return found


def _prepare(session: Session, relation: Relation) -> None:
    """Make the table, or the columns that it lacks; those that a file lacks stay, with nulls."""
    table = identifier(relation.name)
    described = {column.name: column.kind for column in relation.described}
    wanted = described | relation.columns
    there = _columns(session, relation.name)
    if not there:
        columns = ", ".join(f"{identifier(name)} {_TYPES[kind]}" for name, kind in wanted.items())
        session.execute(f"CREATE TABLE {table} ({columns})")
    for name, kind in wanted.items():
        if there and name not in there:
            session.execute(f"ALTER TABLE {table} ADD COLUMN {identifier(name)} {_TYPES[kind]}")
        elif there and _KINDS.get(there[name].lower()) != kind:
            raise LoadError(
                f"Column {name} of {relation.name} is {there[name]} in the database and must be "
                f"{_TYPES[kind]}; nothing was loaded. Change or rename it there, then load again."
            )
    session.execute(f"COMMENT ON TABLE {table} IS {literal(relation.table.grain)}")
    for column in relation.described:
        text = f"{column.meaning}; from {column.source}{'; personal' * column.personal}"
        name = identifier(column.name)
        session.execute(f"COMMENT ON COLUMN {table}.{name} IS {literal(text)}")


def _columns(session: Session, table: str) -> dict[str, str]:
    """The columns of a table and their types; none where there is no such table."""
    return dict(
        session.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ? "
            "AND table_schema = current_schema() AND table_catalog = current_database()",
            [table],
        )
    )


def _count(session: Session, table: str, year: str) -> int:
    sql = f"SELECT count(*) FROM {identifier(table)} WHERE year = ?"  # noqa: S608  it is quoted
    return int(session.execute(sql, [year])[0][0])


def _write_down(session: Session, published: PublishedYear, rows: dict[str, int]) -> None:
    marker, about = published.marker, published.marker.about
    values: list[Any] = [
        published.year,
        marker.build,
        marker.run,
        dt.date.fromisoformat(about["as_of"]),
        about.get("source"),
        bool(about.get("is_made_up")),
        json.dumps(rows),
        dt.datetime.now(dt.UTC).replace(tzinfo=None),
    ]
    session.execute(
        "INSERT INTO pipeline_runs SELECT coalesce(max(load_number), 0) + 1, CAST(? AS TEXT), "
        "CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS DATE), CAST(? AS TEXT), CAST(? AS BOOLEAN), "
        "CAST(? AS TEXT), CAST(? AS TIMESTAMP) FROM pipeline_runs",
        values,
    )
