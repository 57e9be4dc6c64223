"""The tasks that build tables out of shards; none of them asks the API.

Heavy libraries are imported where they are used, so that a rerun with nothing to do is quick.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import files, shards
from pipeline.tables import CATALOGUE, COMBINED, ENDPOINTS, GROUP, LABELS, UNMAPPED, VIEW, Table
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.fetching import FetchMetadata, FetchScores
from pipeline.tasks.inputs import ReadInputs

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from pipeline.build import Source


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
        scores = [self.at(FetchScores, endpoint=kind) for kind in ENDPOINTS]
        return [self.at(ReadInputs), self.at(FetchMetadata), *scores]

    def paths(self) -> list[Path]:
        """The labels, the titles without some, and the labels that hold for one grade only."""
        tables = self.snapshot.built(LABELS) + self.snapshot.built(UNMAPPED)
        return [*tables, self.snapshot.results / "labels_by_grade.csv"]

    def inputs(self) -> dict[str, str | None]:
        """Titles, who has results, and what rules and overrides say; not the roster."""
        fetched = super().inputs()
        del fetched[self.at(ReadInputs).name]
        contents = self.at(ReadInputs).contents()
        contents.pop("roster", None)
        return {**fetched, **contents}

    def make(self) -> dict[str, Any]:
        """Apply the rules, then the overrides."""
        from pipeline import labels

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

        from pipeline import build

        found = build.titles([source_of(self, kind) for kind in ENDPOINTS]).to_dict(as_series=False)
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


class BuildTable(PipelineTask):
    """A large table: a CSV and its Parquet twin, streamed from one lazy frame."""

    table: Table

    def paths(self) -> list[Path]:
        """The CSV and the Parquet."""
        return self.snapshot.built(self.table)

    def parameters(self) -> dict[str, Any]:
        """The year stands in each row."""
        return {"year": str(self.year)}

    def frame(self) -> "pl.LazyFrame":
        """The table, every number and date as text."""
        raise NotImplementedError

    def make(self) -> dict[str, Any]:
        """Stream the table into both files."""
        from pipeline import build

        csv, parquet = self.paths()
        frame = self.frame()
        for path, write in (
            (csv, lambda place: build.write_csv(self.for_csv(frame), place)),
            (parquet, lambda place: build.write_parquet(build.typed(frame, self.table), place)),
        ):
            _write(path, write)
        from pipeline.checks import count_parquet

        return {"rows": count_parquet(parquet)}

    def for_csv(self, frame: "pl.LazyFrame") -> "pl.LazyFrame":
        """The frame as the CSV has it."""
        return frame


class CombineResults(BuildTable):
    """The combined table of overall and standard results."""

    table = COMBINED

    def requires(self) -> list[FetchScores]:
        """The shards of both."""
        return [self.at(FetchScores, endpoint=kind) for kind in ("overall", "standard")]

    def frame(self) -> "pl.LazyFrame":
        """All overall rows, then all standard rows."""
        from pipeline import build

        return build.combined(
            source_of(self, "overall"), source_of(self, "standard"), str(self.year)
        )

    def make(self) -> dict[str, Any]:
        """The table, and how many of its values are null or odd."""
        from pipeline import build

        facts = super().make()
        odd = [
            build.odd_values(source_of(self, kind), COMBINED) for kind in ("overall", "standard")
        ]
        return facts | {"values": _add(*odd)}


class CombineGroup(BuildTable):
    """The table of results by reporting group."""

    table = GROUP

    def requires(self) -> FetchScores:
        """The shards by reporting group."""
        return self.at(FetchScores, endpoint="group")

    def frame(self) -> "pl.LazyFrame":
        """All rows by reporting group."""
        from pipeline import build

        return build.group(source_of(self, "group"), str(self.year))

    def make(self) -> dict[str, Any]:
        """The table, and how many of its values are null or odd."""
        from pipeline import build

        facts = super().make()
        return facts | {"values": _add(build.odd_values(source_of(self, "group"), GROUP))}


class ResultsView(BuildTable):
    """The view: the combined table with labels and grades, and without names of students."""

    table = VIEW

    def requires(self) -> list[PipelineTask]:
        """The combined table, labels, and the roster."""
        return [self.at(CombineResults), self.at(LabelAssessments), self.at(ReadInputs)]

    def frame(self) -> "pl.LazyFrame":
        """The combined rows with labels and grades joined to them."""
        import polars as pl

        from pipeline import build

        labels, _, by_grade = self.at(LabelAssessments).paths()
        text = dict.fromkeys(LABELS.names[:-1], pl.String)
        grade = {"grade": pl.Int64()}
        return build.view(
            self.at(CombineResults).frame(),
            build.read_small(labels, text),
            build.read_small(by_grade, {**text, **grade}),
            build.read_small(
                self.at(ReadInputs).paths()[0], {"local_student_id": pl.String(), **grade}
            ),
        )

    def for_csv(self, frame: "pl.LazyFrame") -> "pl.LazyFrame":
        """Safe to open in a spreadsheet."""
        from pipeline import build

        return build.safe_for_spreadsheets(frame, VIEW)

    def make(self) -> dict[str, Any]:
        """The view, and how much of it the roster knows."""
        from pipeline import build

        facts = super().make()
        return facts | build.roster_match(self.paths()[1])


def entries_of(task: PipelineTask, endpoint: str) -> dict[str, shards.Entry]:
    """The manifest entries of an endpoint, in the order of assessment ids."""
    manifest = task.at(FetchScores, endpoint=endpoint).output().manifest
    return manifest.shards if manifest else {}


def source_of(task: PipelineTask, endpoint: str) -> "Source":
    """The shards of an endpoint that have rows, for the builders.

    Raises:
        ShardError: one of them is damaged.
    """
    from pipeline.build import Source

    folder = task.snapshot.shards(endpoint)
    with_rows = {i: entry for i, entry in entries_of(task, endpoint).items() if entry.rows}
    shards.verify(folder, with_rows)
    columns = dict.fromkeys(name for entry in with_rows.values() for name in entry.columns)
    return Source([folder / shards.file_name(i) for i in with_rows], list(columns))


def _write(path: Path, write: Callable[[Path], None]) -> None:
    with files.replacing(path) as temporary:
        write(temporary)


def _add(*counts: dict[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
    """The sums of null and odd values per column, over several parts of a table."""
    names = dict.fromkeys(name for part in counts for name in part)
    return {
        name: {
            "null": sum(part.get(name, (0, 0))[0] for part in counts),
            "odd": sum(part.get(name, (0, 0))[1] for part in counts),
        }
        for name in names
    }
