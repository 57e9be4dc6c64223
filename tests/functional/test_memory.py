"""Tables of all years take no more memory for more years, nor prior files for more rows."""

import sys
from pathlib import Path

import polars as pl
import pytest

from pipeline.schema import GROUP
from tests.functional.conftest import Workplace
from tests.helpers import write_csv, write_parquet

FEW, MANY = (2, 150_000), (3, 500_000)
BEGIN = """
import sys
from pathlib import Path

folder, parts, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
"""
CONCAT = """
import luigi
from pipeline.tasks.years import ConcatGroup

class ConcatParts(ConcatGroup):
    def requires(self):
        return []

    def _expected(self):
        return {"23-24": rows * parts}

    def _parts(self):
        from pipeline.transform import all_years

        for number in range(parts):
            part = folder / f"{rows}-{number}"
            yield all_years.scan_files(*map(part.with_suffix, (".csv", ".parquet")))

task = ConcatParts(years="23-24")
assert luigi.build([task], local_scheduler=True)
assert task.receipt.stats["rows"] == rows * parts
"""
PRIOR = """
from pipeline.runs import process

process.prepare()
from pipeline.schema import GROUP
from pipeline.transform import all_years

copy = folder / f"{rows}-0.csv"
assert all_years.count_repeated_keys(copy, GROUP) == 0
assert len(all_years.count_unparseable(copy, GROUP)) == 4
"""
END = """
status = Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


def table(rows: int) -> pl.LazyFrame:
    """Return a table of so many rows, each of some 220 bytes, and all of them different."""
    number = pl.int_range(rows)
    made = {
        "year": pl.lit("23-24"),
        "local_student_id": (number + 900_000).cast(pl.String),
        "title": pl.format("A title, unlike others: {}", number.hash()),
        "reporting_group": pl.format("The group of all who have {}", number.hash(seed=1)),
        "last_name": pl.format("Lumikara{}{}", number.hash(seed=2), number.hash(seed=3)),
    }
    absent = {name: pl.lit(None, pl.String) for name in GROUP.names}
    return pl.LazyFrame({"row": range(rows)}).select(**absent | made)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of few rows and one of many, each under several names."""
    folder = tmp_path_factory.mktemp("parts")
    for count, rows in (FEW, MANY):
        for write, suffix in ((write_csv, "csv"), (write_parquet, "parquet")):
            first = folder / f"{rows}-0.{suffix}"
            write(table(rows), first)
            for number in range(1, count):
                first.with_name(f"{rows}-{number}.{suffix}").hardlink_to(first)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak where Linux has it")
@pytest.mark.parametrize("script", [CONCAT, PRIOR], ids=["concatenating", "reading a prior file"])
def test_memory_does_not_grow_with_the_rows(parts: Path, tmp_path: Path, script: str) -> None:
    few, many = (_peak(script, parts, tmp_path / str(rows), n, rows) for n, rows in (FEW, MANY))
    assert many < 1.5 * few, f"{few} MB, then {many} MB"


def _peak(script: str, parts: Path, folder: Path, *size: int) -> int:
    """Return the highest memory, in MB, of a process that works on parts of a size."""
    folder.mkdir()
    place = Workplace(folder)
    command = (sys.executable, "-c", BEGIN + script + END, str(parts), *map(str, size))
    # Each thread works on rows of its own, so with many threads a few rows would not fill them all.
    done = place.finish(place.start(*command, POLARS_MAX_THREADS="2"))
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.splitlines()[-1])
