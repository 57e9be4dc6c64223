"""The tasks that describe the published folders: what is in each file, and what it means."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import rosters, settings
from pipeline.publish import checks, datapackage
from pipeline.publish.datapackage import BuiltTable
from pipeline.schema import STUDENTS, TABLES, Table, custom_view
from pipeline.storage import files
from pipeline.storage.files import FileStamp
from pipeline.storage.receipts import digest_of
from pipeline.tasks.base import IncrementalTask, PipelineTask, ReusableTask, incremental
from pipeline.tasks.check_tables import table_tasks
from pipeline.tasks.targets import FilesTarget


class DescribeTables(IncrementalTask):
    """Describe the tables of each published folder as a Data Package."""

    def table_tasks(self) -> Sequence[IncrementalTask]:
        """Return the tasks that build the tables."""
        raise NotImplementedError

    def tables(self) -> Sequence[Table]:
        """Return the tables."""
        raise NotImplementedError

    def requires(self) -> Sequence[PipelineTask]:
        return self.table_tasks()

    def output(self) -> FilesTarget:
        """Return a descriptor for each folder."""
        return self.target(*self.paths.descriptors.values())

    def parameters(self) -> dict[str, Any]:
        """Return the school year, and a digest of what is known of each table."""
        known = digest_of({table.stem: repr(table) for table in self.tables()})
        return {"year": self.partition, "tables": known}

    @incremental
    def run(self) -> None:
        stamps = built_files(self.table_tasks())
        with self.output().build():
            for published, path in self.paths.descriptors.items():
                tables = [
                    self._built(table, stamps)
                    for table in self.tables()
                    if self.paths.published_folder(table.folder) == published.parent
                ]
                kind = tables[0].table.folder
                files.write_json(path, datapackage.describe(kind, self.partition, tables))

    def _built(self, table: Table, stamps: dict[Path, FileStamp]) -> BuiltTable:
        paths = self.paths.staging_paths(table)
        count = checks.count_parquet if table.is_large else checks.count_csv
        return BuiltTable(table, {path: stamps[path] for path in paths}, count(paths[-1]))


class DescribeYear(ReusableTask, DescribeTables):
    """Describe the tables of a school year."""

    def table_tasks(self) -> list[IncrementalTask]:
        """Return the tasks of the pipeline's own tables, then those that settings add."""
        return table_tasks(self)

    def tables(self) -> list[Table]:
        """Return the pipeline's own tables, then those that settings add."""
        own = [*TABLES, STUDENTS] if rosters.has_columns() else TABLES
        return [*map(rosters.with_columns, own), *map(custom_view, settings.sql_views())]


def built_files(tasks: Iterable[IncrementalTask]) -> dict[Path, FileStamp]:
    """Return the stamps of the files that tasks built, from their receipts."""
    return {
        path: receipt.outputs[path.name]
        for task in tasks
        if (receipt := task.receipt)
        for path in task.output().paths
        if path.name in receipt.outputs
    }
