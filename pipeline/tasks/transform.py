"""The tasks that build tables from shards, and labels from titles; none of them makes a request.

Heavy libraries are imported where they are used, so that a rerun with nothing to do is quick.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import sections, settings
from pipeline.extract import shards
from pipeline.extract.manifest import ManifestEntry
from pipeline.ids import trim
from pipeline.runs import context
from pipeline.schema import CATALOGUE, COMBINED, GROUP, LABELS, STANDARDS, UNMAPPED, Table
from pipeline.storage import files
from pipeline.tasks.base import ReusableTask, YearTask, incremental
from pipeline.tasks.extract import FetchMetadata, FetchScores
from pipeline.tasks.inputs import ReadOverrides, ReadTitleRules
from pipeline.tasks.targets import FilesBuild, FilesTarget

if TYPE_CHECKING:
    import polars as pl

    from pipeline.transform.output import Written
    from pipeline.transform.scan import ShardDataset
    from pipeline.transform.values import TableOutputs


class ListAssessments(ReusableTask):
    """List the catalogue as a table."""

    version = 2

    def requires(self) -> FetchMetadata:
        return self.other(FetchMetadata)

    def output(self) -> FilesTarget:
        """Return `assessments_metadata.csv`: known columns first, then others by name."""
        return self.tables_target(CATALOGUE)

    def parameters(self) -> dict[str, Any]:
        """Return the excluded ids, of which those are counted that the catalogue does not have."""
        chosen = settings.read(sections.illuminate)
        return {"excluded": sorted(set(chosen.exclude_ids) - set(chosen.include_ids))}

    @incremental
    def run(self) -> None:
        import polars as pl

        from pipeline.transform.values import escape_formulas

        catalogue = self.requires().catalogue()
        rows = catalogue.rows() if catalogue else []
        extra = sorted({name for row in rows for name in row} - set(CATALOGUE.names))
        schema = dict.fromkeys((*CATALOGUE.names, *extra), pl.String)
        (path,) = self.output().paths
        listed = escape_formulas(pl.LazyFrame(rows, schema=schema), CATALOGUE)
        with self.output().build() as build, files.atomic_write(path) as temporary:
            listed.collect().write_csv(temporary)
            excluded = self.parameters()["excluded"]
            unlisted = catalogue.unlisted(excluded) if catalogue else []
            build.stats |= {"rows": len(rows), "excluded but not listed": unlisted}


class CombineResults(ReusableTask):
    """Combine overall and standard results into one table."""

    version = 7

    def requires(self) -> list[FetchScores]:
        return [self.other(FetchScores, endpoint=kind) for kind in ("overall", "standard")]

    def output(self) -> FilesTarget:
        """Return the combined table: CSV and Parquet."""
        return self.tables_target(COMBINED)

    def parameters(self) -> dict[str, Any]:
        """Return the year, which is in each row."""
        return {"year": str(self.year)}

    @incremental
    def run(self) -> None:
        from pipeline.transform import tables

        overall, standard = map(dataset, self.requires())
        made = tables.combined_table(overall, standard, str(self.year))
        with self.output().build() as build:
            counted = write_tables(build, self.output(), *made, self.partition)
            build.stats |= {"values": counted}


class CombineGroup(ReusableTask):
    """Combine results by reporting group into one table."""

    version = 7

    def requires(self) -> FetchScores:
        return self.other(FetchScores, endpoint="group")

    def output(self) -> FilesTarget:
        """Return the group table: CSV and Parquet."""
        return self.tables_target(GROUP)

    def parameters(self) -> dict[str, Any]:
        """Return the year, which is in each row."""
        return {"year": str(self.year)}

    @incremental
    def run(self) -> None:
        from pipeline.transform import tables

        made = tables.group_table(dataset(self.requires()), str(self.year))
        with self.output().build() as build:
            counted = write_tables(build, self.output(), *made, self.partition)
            build.stats |= {"values": counted}


class LabelAssessments(ReusableTask):
    """Read curriculum, unit and test type of every assessment with results from its title."""

    version = 4

    def requires(self) -> list[YearTask]:
        read = (ReadTitleRules, ReadOverrides, FetchMetadata, CombineResults, CombineGroup)
        return [*map(self.other, read), *self._scores()]

    def output(self) -> FilesTarget:
        """Return the labels, the titles without some, and the labels of one grade only."""
        tables = [path for table in (LABELS, UNMAPPED) for path in self.paths.staging_paths(table)]
        return self.target(*tables, self.paths.labels_by_grade)

    @incremental
    def run(self) -> None:
        from pipeline.inputs import rules
        from pipeline.transform import labels

        title_rules = rules.read_rules(self.paths.title_rules)
        overrides = rules.read_overrides(self.paths.overrides)
        catalogue = self._catalogue()
        rows = count_rows(*self._scores())
        made = labels.label_tables(self._titles(), catalogue, title_rules, overrides, rows)
        with self.output().build() as build:
            made.write(self.output().paths)
            build.stats |= {
                "rows": len(made.labels),
                "unmapped": len(made.unmapped),
                "overrides": len(overrides),
                "unmatched overrides": labels.list_unmatched(overrides, made.labels, catalogue),
            }

    def _catalogue(self) -> "dict[str, str | None]":
        """Return the title of each assessment in the catalogue, by its id."""
        catalogue = self.other(FetchMetadata).catalogue()
        return catalogue.titles() if catalogue else {}

    def _titles(self) -> "dict[str, str | None]":
        """Return the title that results have of each assessment with results, by its id."""
        from pipeline.transform import combine

        tables = [self.other(CombineResults).output(), self.other(CombineGroup).output()]
        found = combine.read_titles([target.verified(target.paths[1]) for target in tables])
        return dict(found.iter_rows())

    def _scores(self) -> list[FetchScores]:
        return self.other(CombineResults).requires()


class ListStandards(ReusableTask):
    """List the standards that have results, with a code that all spellings of one share."""

    def requires(self) -> CombineResults:
        return self.other(CombineResults)

    def output(self) -> FilesTarget:
        """Return `standards.csv`."""
        return self.tables_target(STANDARDS)

    @incremental
    def run(self) -> None:
        import polars as pl

        from pipeline.transform import standards

        results, (path,) = self.requires().output(), self.output().paths
        combined = pl.scan_parquet(results.verified(results.paths[1]), glob=False)
        listed = standards.list_standards([standards.count_spellings(combined)])
        with self.output().build() as build:
            standards.write_standards(listed, path)
            build.stats |= {
                "rows": listed.height,
                "standards": listed["normalised_code"].drop_nulls().n_unique(),
            }


def entries(fetched: FetchScores) -> dict[str, ManifestEntry]:
    """Return the manifest entries of an endpoint by the ids of the tables, in their order."""
    return {trim(i): entry for i, entry in _shards(fetched).items()}


def _shards(fetched: FetchScores) -> dict[str, ManifestEntry]:
    """Return the manifest entries of an endpoint, in the order of the tables."""
    manifest = fetched.receipt
    return shards.in_table_order(manifest.shards if manifest else {})


def count_rows(*fetched: FetchScores) -> dict[str, int]:
    """Return the rows per assessment of some endpoints together, of those that have any."""
    return shards.count_rows(*map(_shards, fetched))


def count_readable(combined: CombineResults | CombineGroup) -> dict[str, int]:
    """Return how many rows of a table have a readable value in each expected column."""
    receipt = combined.receipt
    stats = receipt.stats if receipt else {"values": {}}
    return {name: stats["rows"] - sum(of.values()) for name, of in stats["values"].items()}


def dataset(fetched: FetchScores) -> "ShardDataset":
    """Return the shards of an endpoint that have rows, for the builders.

    Raises:
        ShardError: one of them is damaged.
    """
    from pipeline.transform.scan import ShardDataset

    target = fetched.output()
    with_rows = {i: entry for i, entry in _shards(fetched).items() if entry.rows}
    target.verify(with_rows, context.current().verified)
    paths = [*shards.stamps(target.folder, with_rows)]
    columns = shards.find_columns(with_rows)
    return ShardDataset(paths, columns, [entry.rows for entry in with_rows.values()])


def write_tables(
    build: FilesBuild,
    target: FilesTarget,
    tables: "Mapping[Table, TableOutputs]",
    counts: "pl.LazyFrame | None",
    year: str,
) -> dict[str, Any]:
    """Write each table to its CSV and Parquet file of a target, all in one pass.

    Args:
        build: of the target.
        target: the files of the tables.
        tables: the rows of each table.
        counts: one row, counted of the same rows, or none.
        year: the school year of the tables, or `all`.

    Returns:
        The only row of `counts`, which is counted in the same pass; nothing without `counts`.
    """
    from pipeline.transform.output import describe, write_files

    frames: dict[Path, pl.LazyFrame] = {}
    metadata: dict[Path, dict[str, str]] = {}
    pairs = zip(target.paths[::2], target.paths[1::2], strict=True)
    for (table, outputs), (csv, parquet) in zip(tables.items(), pairs, strict=True):
        frames |= {csv: outputs.csv, parquet: outputs.parquet}
        metadata[parquet] = describe(table, year)
    written, counted = write_files(frames, counts, metadata)
    note_written(build, written)
    return counted


def note_written(build: FilesBuild, written: "Mapping[Path, Written]") -> None:
    """Keep the stamps of tables that were written, and how many rows they have.

    The stats get `rows`, those of the first table, and `records`, those of each CSV by its name.
    """
    from pipeline.publish.checks import count_parquet

    _, parquet, *_ = written
    build.stamps |= {path.name: file.stamp for path, file in written.items()}
    records = {path.name: file.rows for path, file in written.items() if file.rows is not None}
    build.stats |= {"rows": count_parquet(parquet), "records": records}
