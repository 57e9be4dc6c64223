"""A state run publishes what its districts have published, row for row."""

from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from pipeline.schema import GROUP, TABLES, VIEW
from tests.state.conftest import SEEDS, YEAR, State
from tests.state.sets import marker, of_district, read


def own_rows(state: State, district: str, stem: str) -> pl.DataFrame:
    """Return the rows of a district's own Parquet file, as the Delta table has them."""
    (file,) = state.of(district).data.glob(f"*/{YEAR}/{stem}_historical.parquet")
    rest = pl.exclude("district", "year")
    key = (pl.lit(district).alias("district"), pl.lit(YEAR).alias("year"))
    return pl.read_parquet(file).select(*key, rest)


def test_the_tables_of_all_districts_are_those_of_each(state: State) -> None:
    done = state.run_state()
    assert done.returncode == 0, done.stdout + done.stderr
    root: Path = state.folders.root
    found = marker(root)
    assert found["run"] == state.latest()["run"]
    assert found["versions"].keys() == {t.stem for t in TABLES if not t.has_student_names}
    assert GROUP.stem not in found["versions"]
    for district in SEEDS:
        counts = found["years"][YEAR][district]
        assert counts["declared"] == {VIEW.stem: counts["rows"][VIEW.stem]}
        for table in TABLES:
            if table.stem in found["versions"] and table.is_large:
                rows = of_district(read(root, table.stem), district)
                assert_frame_equal(rows, own_rows(state, district, table.stem))
    assert state.run_state().returncode == 99
    assert marker(root) == found
