"""The tasks that build tables out of shards; none of them asks the API.

Heavy libraries are imported where they are used, so that a rerun with nothing to do is quick.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import StorageError
from pipeline.extract import shards
from pipeline.schema import CATALOGUE, COMBINED, GROUP, LABELS, UNMAPPED, Table
from pipeline.storage import files
from pipeline.storage.follow import Follower, Found
from pipeline.tasks.base import FileTask, PipelineTask
from pipeline.tasks.fetching import FetchMetadata, FetchScores
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.run import Run

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from pipeline.transform.build import Twins
    from pipeline.transform.scan import Source


class ListAssessments(PipelineTask):
    """The catalogue as a table: `assessments_metadata.csv`."""

    def requires(self) -> FetchMetadata:
        """The catalogue."""
        return self.at(FetchMetadata)

    def paths(self) -> list[Path]:
        """The table."""
        return self.snapshot.built(CATALOGUE)

    def make(self) -> dict[str, Any]:
        """One line per assessment, known columns first, then others by name."""
        import polars as pl

        catalogue = self.at(FetchMetadata).read()
        rows = catalogue.assessments if catalogue else []
        extra = sorted({name for row in rows for name in row} - set(CATALOGUE.names))
        schema = dict.fromkeys((*CATALOGUE.names, *extra), pl.String)
        with files.replacing(self.paths()[0]) as temporary:
            pl.DataFrame(rows, schema=schema).write_csv(temporary)
        return {"rows": len(rows)}


class LabelAssessments(PipelineTask):
    """Curriculum, unit and test type of every assessment with results, read from its title."""

    def requires(self) -> list[PipelineTask]:
        """Rules and overrides, titles, and who has results."""
        tables = [self.at(CombineResults), self.at(CombineGroup)]
        return [self.at(ReadInputs), self.at(FetchMetadata), *tables]

    def paths(self) -> list[Path]:
        """The labels, the titles without some, and the labels that hold for one grade only."""
        tables = self.snapshot.built(LABELS) + self.snapshot.built(UNMAPPED)
        return [*tables, self.snapshot.results / "labels_by_grade.csv"]

    def inputs(self) -> dict[str, str | None]:
        """Titles, who has results, and what rules and overrides say; not the roster."""
        made = super().inputs()
        del made[self.at(ReadInputs).name]
        contents = self.at(ReadInputs).contents()
        contents.pop("roster", None)
        return {**made, **contents}

    def make(self) -> dict[str, Any]:
        """Apply the rules, then the overrides."""
        from pipeline.transform import labels

        title_rules, overrides = self.at(ReadInputs).rules_and_overrides()
        labelled = labels.label_assessments(self._titles(), title_rules, overrides)
        unmapped = labels.unmapped(labelled, self._row_counts())
        by_grade = labels.label_by_grade(labelled, title_rules, overrides)
        for frame, path in zip((labelled, unmapped, by_grade), self.paths(), strict=True):
            with files.replacing(path) as temporary:
                frame.to_csv(temporary, index=False, lineterminator="\n")
        return {"rows": len(labelled), "unmapped": len(unmapped)}

    def _titles(self) -> "pd.DataFrame":
        """Every assessment with results; the catalogue's title where rows have none."""
        import pandas as pd

        from pipeline.transform import build

        tables = [proven_twin(self.at(step)) for step in (CombineResults, CombineGroup)]
        found = build.titles(tables).to_dict(as_series=False)
        titles = dict(zip(found["assessment_id"], found["title"], strict=True))
        catalogue = self.at(FetchMetadata).read()
        known = {
            row["assessment_id"]: row.get("title")
            for row in (catalogue.assessments if catalogue else [])
        }
        rows = [(i, known.get(i) if title is None else title) for i, title in titles.items()]
        return pd.DataFrame(rows, columns=["assessment_id", "title"], dtype="string")

    def _row_counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for kind in ("overall", "standard"):
            for assessment_id, entry in entries_of(self, kind).items():
                counts[assessment_id] = counts.get(assessment_id, 0) + entry.rows
        return counts


class LargeTables(FileTask):
    """Large tables, each a CSV and its Parquet twin, all streamed in one pass."""

    version = 3
    table: Table

    @property
    def tables(self) -> tuple[Table, ...]:
        """The table, unless there are more."""
        return (self.table,)

    def paths(self) -> list[Path]:
        """The CSV and the Parquet of each."""
        return [path for table in self.tables for path in self.place.built(table)]

    def known(self) -> dict[str, files.Fingerprint]:
        """The files' fingerprints, which were taken while they were written."""
        return {path.name: found.file for path, found in self._written.items()}

    def write(
        self, rows: "Sequence[Twins]", counts: "pl.LazyFrame"
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Stream the rows of each table into both of its files, and count meanwhile.

        Returns:
            How many rows the tables have, for their records, and the only row of `counts`.
        """
        from pipeline.transform import build

        with ExitStack() as stack:
            temporary = [stack.enter_context(files.replacing(path)) for path in self.paths()]
            followers = [stack.enter_context(Follower(path)) for path in temporary]
            frames = [frame for twins in rows for frame in twins]
            kinds = (build.csv_sink, build.parquet_sink) * len(self.tables)
            ways = zip(kinds, frames, temporary, strict=True)
            sinks = [sink(frame, path) for sink, frame, path in ways]
            counted = build.stream(sinks, temporary[0].parent, counts)
        return self.note(follower.found for follower in followers), counted

    def note(self, found: Iterable[Found]) -> dict[str, Any]:
        """Keep the fingerprints of what was written, in the order of its paths.

        Returns:
            For the record: `rows` of the first table, and `records` of each CSV.
        """
        from pipeline.publish.checks import count_parquet, records

        self._written = dict(zip(self.paths(), found, strict=True))
        counts = {
            path.name: records(found.lines)
            for path, found in self._written.items()
            if path.suffix == ".csv"
        }
        return {"rows": count_parquet(self.paths()[1]), "records": counts}


class BuildTables(LargeTables, PipelineTask):
    """Large tables of one school year, their files made of the same rows."""

    def parameters(self) -> dict[str, Any]:
        """The year stands in each row."""
        return {"year": str(self.year)}

    def rows(self) -> "pl.LazyFrame":
        """The rows that all is made of, as the builders make them."""
        raise NotImplementedError

    def twins(self, rows: "pl.LazyFrame") -> "Sequence[Twins]":
        """The rows of each table, out of these, on their way to its files."""
        raise NotImplementedError

    def counts(self, rows: "pl.LazyFrame") -> "pl.LazyFrame":
        """What is counted of the rows on their way to the files: one row."""
        raise NotImplementedError

    def facts(self, counted: dict[str, int]) -> dict[str, Any]:
        """What the record says of what was counted."""
        return counted

    def make(self) -> dict[str, Any]:
        """Stream the tables into their files."""
        rows = self.rows().cache()  # made once for all that needs them
        made, counted = self.write(self.twins(rows), self.counts(rows))
        return made | self.facts(counted)


class CombineTable(BuildTables):
    """A table of the rows of some endpoints, as they are."""

    endpoints: tuple[str, ...]

    def requires(self) -> list[FetchScores]:
        """The shards."""
        return [self.at(FetchScores, endpoint=kind) for kind in self.endpoints]

    def sources(self) -> "list[Source]":
        """The shards that have rows."""
        return [source_of(self, kind) for kind in self.endpoints]

    def twins(self, rows: "pl.LazyFrame") -> "list[Twins]":
        """All of them."""
        from pipeline.transform import build

        return [build.Twins(build.as_text(rows, self.table), build.as_values(rows, self.table))]

    def counts(self, rows: "pl.LazyFrame") -> "pl.LazyFrame":
        """Null and odd values."""
        from pipeline.transform import build

        return build.odd_values(rows, self.table, *self.sources())

    def facts(self, counted: dict[str, int]) -> dict[str, Any]:
        """How many values of each column are null or odd."""
        names = [name for name in counted if f"odd {name}" in counted]
        return {
            "values": {n: {"null": counted[n], "odd": counted[f"odd {n}"]} for n in names},
        }


class CombineResults(CombineTable):
    """The combined table of overall and standard results."""

    table = COMBINED
    endpoints = ("overall", "standard")

    def rows(self) -> "pl.LazyFrame":
        """All overall rows, then all standard rows."""
        from pipeline.transform import build

        overall, standard = self.sources()
        return build.combined(overall, standard, str(self.year))


class CombineGroup(CombineTable):
    """The table of results by reporting group."""

    table = GROUP
    endpoints = ("group",)

    def rows(self) -> "pl.LazyFrame":
        """All rows by reporting group."""
        from pipeline.transform import build

        (source,) = self.sources()
        return build.group(source, str(self.year))


def entries_of(task: PipelineTask, endpoint: str) -> dict[str, shards.Entry]:
    """The manifest entries of an endpoint, in the order of assessment ids."""
    manifest = task.at(FetchScores, endpoint=endpoint).output().manifest
    return manifest.shards if manifest else {}


def source_of(task: PipelineTask, endpoint: str) -> "Source":
    """The shards of an endpoint that have rows, for the builders.

    Raises:
        ShardError: one of them is damaged.
    """
    from pipeline.transform.scan import Source

    folder = task.snapshot.shards(endpoint)
    with_rows = {i: entry for i, entry in entries_of(task, endpoint).items() if entry.rows}
    shards.verify(folder, with_rows, Run.begin().proven)
    columns = dict.fromkeys(name for entry in with_rows.values() for name in entry.columns)
    paths = [folder / shards.file_name(assessment_id) for assessment_id in with_rows]
    return Source(paths, list(columns), [entry.rows for entry in with_rows.values()])


def proven_twin(step: BuildTables) -> Path:
    """The Parquet twin of a table, once its bytes are found to be those that were built.

    Raises:
        StorageError: they are not.
    """
    return proven(step, step.paths()[1])


def proven(step: FileTask, path: Path) -> Path:
    """A file that a step made, once its bytes are found to be those that it made.

    Raises:
        StorageError: they are not. Its time of change is set anew, so that the next run builds it.
    """
    receipt = step.output().receipt
    if receipt and receipt.run == Run.begin().id and receipt.made[path.name].fits(path):
        return path  # read while this run wrote it
    if receipt is None or files.sha256(path) != receipt.made[path.name].sha256:
        path.touch()
        raise StorageError(
            f"{path} was damaged on disk; nothing was published. Run again: it is built anew."
        )
    return path
