"""The task that decides what the report shows of each group of students, and remembers it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import settings
from pipeline.errors import StorageError
from pipeline.publish.commit import find_damaged
from pipeline.schema import GROUP, LATEST, STANDARDS, Table
from pipeline.storage import files
from pipeline.storage.replacement import relative_name
from pipeline.tasks.base import IncrementalTask, PipelineTask, YearTask, incremental
from pipeline.tasks.publish import Publish
from pipeline.tasks.targets import FilesTarget

if TYPE_CHECKING:
    import polars as pl


class DiscloseFigures(YearTask, IncrementalTask):
    """Replace the figures of groups with enough new results by those of what is published.

    The file is both input and output: figures are held until enough results are new. So it belongs
    to the year, not to a snapshot. It has no students, and the same tables change nothing in it.
    """

    version = 1

    def requires(self) -> list[PipelineTask]:
        return [self.other(Publish)]

    def output(self) -> FilesTarget:
        """Return the figures of the year."""
        return self.target(self.paths.figures)

    def parameters(self) -> dict[str, Any]:
        """Return how small a group may be."""
        return {"smallest group": settings.smallest_group()}

    @incremental
    def run(self) -> None:
        with self.output().build() as build:
            build.stats |= self.disclose()

    def disclose(self) -> dict[str, Any]:
        """Write the figures, and return how many groups have one, and the schools among them.

        Raises:
            StorageError: a published table, or the file of the figures, is damaged.
        """
        from pipeline.report import aggregates, disclosure
        from pipeline.transform.standards import read_spellings

        tables = [self.published(table) for table in (LATEST, GROUP, STANDARDS)]
        self.verify(tables)
        latest, groups, standards = tables
        counts = aggregates.count(latest, groups, read_spellings(standards))
        rule = disclosure.Rule(settings.smallest_group())
        figures = disclosure.disclose(counts, self._shown(), rule)
        with files.atomic_write(self.paths.figures) as temporary:
            figures.write_parquet(temporary, metadata=self._origin())
        there = figures.filter("is_there")
        schools = sorted(set(there["school"]) - {""})
        return {"groups": there.height, "schools": schools}

    def published(self, table: Table) -> Path:
        """Return the last of the files of a published table: the Parquet file if it has one."""
        return self.paths.published_paths(table)[-1]

    def verify(self, tables: Iterable[Path]) -> None:
        """Read each of some published tables before anything is said of it.

        Raises:
            StorageError: one is not as it was published; the next run publishes it again.
        """
        manifest = self.paths.publication
        for path in tables:
            name = relative_name(path, manifest.parent)
            if not path.exists() or find_damaged(manifest, [name]):
                raise StorageError(
                    f"{path} was changed or damaged after it was published, so the report is "
                    f"unchanged. Run `make run YEAR={self.year}`, which publishes it again."
                )

    def _origin(self) -> dict[str, str]:
        return {"source": settings.source_name(), "smallest_group": str(settings.smallest_group())}

    def _shown(self) -> "pl.DataFrame":
        """Return the figures that were shown last; none if they are of another origin.

        Raises:
            StorageError: the file is damaged.
        """
        import polars as pl

        from pipeline.report import disclosure

        path = self.paths.figures
        if not path.exists():
            return disclosure.no_figures()
        try:
            origin = pl.read_parquet_metadata(path)
            shown = pl.read_parquet(path, glob=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StorageError(
                f"{path} cannot be read: {files.reason(error)}. It says what the report has shown, "
                "and the report is unchanged. Restore it from a backup; or remove it, and the "
                "report starts again, but readers of an old page may find a student by comparing."
            ) from error
        is_own = self._origin().items() <= origin.items()
        return shown if is_own else disclosure.no_figures()
