"""The tasks that put all years together; each year is published by itself before.

ReadPriorYears, RunAll of each year ─► UniteResults, UniteGroup, UniteView ─► PublishYears
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.config import sections, settings
from pipeline.errors import CheckError, InputFileError, YearError
from pipeline.publish.checks import years_conserved
from pipeline.schema import COMBINED, GROUP, VIEW, Table
from pipeline.storage import files
from pipeline.storage.paths import AllYears
from pipeline.tasks.base import FileTask
from pipeline.tasks.building import (
    BuildTables,
    CombineGroup,
    CombineResults,
    LargeTables,
    proven,
)
from pipeline.tasks.publishing import Publish, PublishedTarget, PublishSet
from pipeline.tasks.reporting import RunAll
from pipeline.tasks.run import Run
from pipeline.tasks.views import BuildViews
from pipeline.years import SchoolYear

if TYPE_CHECKING:
    from pipeline.transform.all_years import Part


class SchoolYearsParameter(luigi.Parameter[tuple[SchoolYear, ...]]):
    """School years, written `22-23,23-24`; kept in their order, each once."""

    def __init__(self, description: str) -> None:
        # Without any, normalize() says in a sentence that they are missing.
        super().__init__(default=(), description=description)

    def parse(self, text: str) -> tuple[SchoolYear, ...]:
        """Read school years with commas or spaces between them, or say what is wrong."""
        return tuple(SchoolYear.parse(part) for part in text.replace(",", " ").split())

    def serialize(self, years: tuple[SchoolYear, ...]) -> str:
        """Write them so that they can be read again."""
        return ",".join(map(str, years))

    def normalize(self, years: tuple[SchoolYear, ...]) -> tuple[SchoolYear, ...]:
        """Put them in order.

        Raises:
            YearError: there are none.
        """
        if not years:
            raise YearError("Which school years? Write them like --years 22-23,23-24.")
        return tuple(sorted(set(years)))


class YearsTask(FileTask):
    """A step for all years together."""

    years = SchoolYearsParameter("school years, like 22-23,23-24")

    @property
    def place(self) -> AllYears:
        """The files of all years together."""
        return settings.all_years(self.years)


class ReadPriorYears(YearsTask):
    """Reads and checks the tables from before the pipeline; makes a clean copy of each.

    It comes first, so that a bad file is told before anything is asked.
    """

    priority = 20

    def paths(self) -> list[Path]:
        """The copies, in the order of the files."""
        return [self.copy_of(number) for number, _ in enumerate(self.chosen())]

    def parameters(self) -> dict[str, Any]:
        """The years that may not stand in the files, because the run builds them."""
        return {"years": [str(year) for year in self.years]}

    def inputs(self) -> dict[str, str | None]:
        """The contents of the files."""
        return {path: file.sha256 for path, file in self._contents().items()}

    def make(self) -> dict[str, Any]:
        """Copy them one by one."""
        contents = self._contents()
        _refuse_copies(contents)
        for left_over in set(self.place.prior.glob("*.csv")) - set(self.paths()):
            left_over.unlink()
        found = {}
        for number, (path, table) in enumerate(self.chosen().items()):
            Run.begin().raise_if_stopped()
            facts = self._copy(path, table, self.copy_of(number))
            found[str(path)] = {**facts, "file": contents[str(path)]}
        return {"files": found}

    def chosen(self) -> dict[Path, Table]:
        """The files from before the pipeline, and the table that each holds."""
        from pipeline.inputs import prior

        place = sections.paths().prior_years
        return prior.find(place) if place else {}

    def copy_of(self, number: int) -> Path:
        """The clean copy of a file, by its place in the order."""
        return self.place.prior / f"prior-{number}.csv"

    def facts(self) -> dict[str, Any]:
        """What was counted of each file, by its path."""
        receipt = self.output().receipt
        return dict(receipt.facts["files"]) if receipt else {}

    def _copy(self, path: Path, table: Table, copy: Path) -> dict[str, Any]:
        from pipeline.inputs import prior
        from pipeline.transform import all_years

        with files.replacing(copy) as temporary:
            read = prior.read(path, table, temporary, taken={str(year) for year in self.years})
        return {
            "table": table.stem,
            "encoding": read.encoding,
            "rows": read.rows,
            "values": all_years.odd_values(copy, table),
        }

    def _contents(self) -> dict[str, files.Fingerprint]:
        """The files as they are now; those that look as they did are not read again."""
        known = {path: files.Fingerprint(*facts["file"]) for path, facts in self.facts().items()}
        return {str(path): _content(path, known.get(str(path))) for path in self.chosen()}


def _refuse_copies(contents: Mapping[str, files.Fingerprint]) -> None:
    """Stop where two files are the same, because their rows would stand twice.

    Raises:
        InputFileError: two are.
    """
    first: dict[str, str] = {}
    for path, file in contents.items():
        if file.sha256 in first:
            raise InputFileError(
                f"{path} is a copy of {first[file.sha256]}, so its rows would stand twice; take "
                "one away and run again."
            )
        first[file.sha256] = path


def _content(path: Path, known: files.Fingerprint | None) -> files.Fingerprint:
    try:
        return files.Fingerprint.of(path, known)
    except OSError as exc:
        raise InputFileError(
            f"{path} cannot be read ({exc.strerror}); mend its name or its rights and run again."
        ) from exc


class UniteTable(LargeTables, YearsTask):
    """A large table of all years, streamed from those of the years and from prior files."""

    step: type[BuildTables]

    def requires(self) -> list[FileTask]:
        """Every year, published, and the prior files."""
        return [self.at(ReadPriorYears), *(self.at(RunAll, year=year) for year in self.years)]

    def inputs(self) -> dict[str, str | None]:
        """This table of every year and of every prior file."""
        years = {str(year): self._of(year).digest() for year in self.years}
        receipt = self.at(ReadPriorYears).output().receipt
        made = receipt.made if receipt else {}
        return years | {
            path: made[copy.name].sha256 if copy.name in made else None
            for path, copy in self._prior()
        }

    def make(self) -> dict[str, Any]:
        """Stream all parts into both files, and count what came of each year.

        Raises:
            CheckError: a year has more rows, or fewer, than its parts.
        """
        from pipeline.transform import all_years

        expected = self._expected()
        twins = all_years.united(list(self._parts()), self.table)
        made, in_csv = self.write([twins], all_years.count_years(twins.text, expected))
        in_parquet = all_years.rows_by_year(self.paths()[1])
        found = {"CSV": in_csv, "Parquet": in_parquet}
        check = years_conserved(self.table.stem, expected, found)
        if not check.ok or set(made["records"].values()) != {made["rows"]}:
            raise CheckError(
                f"A check failed before publishing ({check.name}: {check.note}). What was "
                "published before is unchanged; run again."
            )
        return {**made, "rows by year": in_parquet, "checks": [check.as_json()]}

    def _of(self, year: SchoolYear) -> BuildTables:
        return self.at(self.step, year=year)

    def _prior(self) -> Iterator[tuple[str, Path]]:
        """The prior files of this table, each with its clean copy."""
        read = self.at(ReadPriorYears)
        for number, (path, table) in enumerate(read.chosen().items()):
            if table is self.table:
                yield str(path), read.copy_of(number)

    def _expected(self) -> dict[str, int]:
        """How many rows each school year has in the parts."""
        receipts = {year: self._of(year).output().receipt for year in self.years}
        rows = {str(year): int(of.facts["rows"]) for year, of in receipts.items() if of}
        facts = self.at(ReadPriorYears).facts()
        for path, _ in self._prior():
            for year, count in facts[path]["rows"].items():
                rows[year] = rows.get(year, 0) + count
        return dict(sorted(rows.items()))

    def _parts(self) -> "Iterator[Part]":
        """What came before the pipeline, by name, then the years; all bytes proven."""
        from pipeline.transform import all_years

        read = self.at(ReadPriorYears)
        for _, copy in self._prior():
            yield all_years.of_prior(proven(read, copy), self.table)
        for year in self.years:
            of = self._of(year)
            csv, parquet = of.place.built(self.table)
            yield all_years.of_year(proven(of, csv), proven(of, parquet))


class UniteResults(UniteTable):
    """The combined table of all years."""

    table = COMBINED
    step = CombineResults


class UniteGroup(UniteTable):
    """The table of results by reporting group, of all years."""

    table = GROUP
    step = CombineGroup


class UniteView(UniteTable):
    """The view of all years."""

    table = VIEW
    step = BuildViews


UNITING_STEPS: tuple[type[UniteTable], ...] = (UniteResults, UniteGroup, UniteView)
"""The steps that build the tables of all years."""


class PublishYears(PublishSet, YearsTask):
    """Makes the tables of all years visible together."""

    def steps(self) -> list[UniteTable]:
        """Those that unite."""
        return [self.at(step) for step in UNITING_STEPS]

    def tables(self) -> list[Table]:
        """What they unite."""
        return [step.table for step in UNITING_STEPS]

    def requires(self) -> list[UniteTable]:
        """The tables, which were checked when they were built."""
        return self.steps()

    def about(self) -> dict[str, Any]:
        """Out of which published set of each year, and of which prior files, the tables are."""
        prior = self.at(ReadPriorYears).inputs()
        years = {str(year): self.at(Publish, year=year).output().build for year in self.years}
        return {"years": years, "prior": prior}

    def guarded(self) -> None:
        """Nothing: every year was guarded when it was published."""


class RunYears(YearsTask):
    """Everything, for several school years; then all of them together."""

    def complete(self) -> bool:
        """Whether there is nothing to do, down to the published set of all years."""
        return self.at(PublishYears).complete()

    def requires(self) -> list[FileTask]:
        """The published set follows from all the rest."""
        return [self.at(PublishYears)]

    def output(self) -> PublishedTarget:  # type: ignore[override]
        """The published set."""
        return self.at(PublishYears).output()

    def bring_up_to_date(self, run: Run) -> None:
        """Nothing is left to do once everything is published."""
