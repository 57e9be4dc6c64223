"""An odd district: values that are easily lost or changed, and fields of some shards only.

Its tables are built here from all shards at once, as a district's own run builds them.
"""

import datetime as dt
import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from pipeline.extract import shards
from pipeline.extract.manifest import Manifest
from pipeline.inputs import rules
from pipeline.publish.database.published_set import SourceTable, read_published_set
from pipeline.schema import COMBINED, ENDPOINTS, LABELS, UNMAPPED
from pipeline.state.batches import Batch, SmallFile, TableBatch, cut_batches
from pipeline.state.parts import Part, Partition
from pipeline.storage.paths import Folders, Snapshot
from pipeline.transform import combine, labels, standards, tables, views
from pipeline.transform.output import write_files
from pipeline.transform.scan import ShardDataset
from pipeline.years import SchoolYear
from tests.helpers import request, write_shard
from tests.state.sets import publish_district

YEAR = SchoolYear.parse("23-24")
PARTITION = Partition("odd", str(YEAR))
NUMBERS = ("1e400", "5d", " 5", "1_000", "NaN", "", None, "66.50", "-0", "1e3", "12345678.25", "٣")
DATES = ("2024-03-01\n", "2024-03-01", "2024-03-01T00:00:00Z", "2024-02-30", "0000-01-01", "", None)
TEXTS = ("", None, "=1+1", "Zoë 🙂", 'a,"b"\n', "t", "2")
STUDENTS = (*(str(number) for number in range(60)), " 7 ", "007", "7.0", "", None)
GUIDS = ("0F3A-1", "0F3A-2", "", None)
CODES = ("4.NF.3", "CCSS.Math.Content.4.NF.3", "4-nf-3", "=1.2", "", None)
OF_SOME = ("zeta", "Alpha", "points_possible", "version", "middle_name", "attempts", "value")
"""Fields that only some shards have, some of them unknown."""

TITLES = ("Gr 4 Math Module 3", "Gr 5 ELA Unit 2", "", None, "=Grade 4  Exit Ticket")
RULES = """column,pattern,value
test_type,exit ticket,exit ticket
curriculum,math,Eureka
unit,(module|unit) (\\d+),\\g<1> \\2
unit_labels,(module|unit) (\\d+),\\2 \\1
"""
OVERRIDES = """assessment_id,grade,test_type,curriculum,unit,title,reason
1003,4,,Fourth,Unit 9,,by grade
1003,K,,Kindergarten,,,by grade
1004,,checkpoint,,,Another title,for all grades
"""


@dataclass(frozen=True)
class OddDistrict:
    """Its snapshot, and what a district's own run makes of it."""

    snapshot: Snapshot
    manifests: dict[str, Manifest]
    published: dict[str, pl.DataFrame]
    tables: tuple[SourceTable, ...]
    folder: Path

    def cut(self, rows: int) -> list[Batch]:
        return cut_batches(PARTITION, self.snapshot, self.manifests, rows)

    def table_batch(self, batch: Batch, **files: Path) -> TableBatch:
        """Return a batch to build all tables of it that its endpoint has rows of."""
        names = {"group": ("group",)}.get(batch.endpoint, ("combined", "illuminate"))
        large = [table for table in self.tables if table.file.suffix == ".parquet"]
        return TableBatch(
            batch,
            *(
                SmallFile.of(files.get(name, self.folder / f"{name}.csv"))
                for name in ("labels", "by_grade", "roster")
            ),
            tuple(table for table in large if any(name in table.name for name in names)),
        )


def make(folder: Path) -> OddDistrict:
    """Write the shards of the district and build its tables."""
    folders = Folders.from_settings(str(folder / "data"), "", "", demo=False)
    window = YEAR.window(dt.date(2024, 6, 30))
    snapshot = Snapshot(folders, YEAR, window, "_historical")
    chosen = random.Random(7)
    manifests = {}
    for endpoint in ENDPOINTS:
        entries = {
            name: write_shard(
                snapshot.shards(endpoint), name, _rows(chosen, name, endpoint), endpoint
            )
            for name in (*map(str, range(1000, 1090)), " 1001x ", "a/b")
        }
        manifests[endpoint] = Manifest(request(endpoint), entries, {}, "run-1")
    frames = _build(folder, snapshot, manifests)
    of = publish_district(folder / "odd", frames)
    found = read_published_set(of.manifest, str(YEAR))
    return OddDistrict(snapshot, manifests, frames, found.tables, folder)


def _rows(chosen: random.Random, name: str, endpoint: str) -> list[dict[str, Any]]:
    """Return the rows of a shard; some have none."""
    own = chosen.sample(OF_SOME, chosen.randrange(len(OF_SOME)))
    own += [f"of_{endpoint}_only"] if name == "1088" else []
    return [
        {
            "assessment_id": name,
            "title": chosen.choice(TITLES),
            "local_student_id": chosen.choice(STUDENTS),
            "date_taken": chosen.choice(DATES),
            "points": chosen.choice(NUMBERS),
            "percent_correct": chosen.choice(NUMBERS),
            "performance_band_level": chosen.choice(TEXTS),
            "performance_band_label": chosen.choice(TEXTS),
            "mastered": chosen.choice(TEXTS),
            **({"standard_code": chosen.choice(CODES)} if endpoint == "standard" else {}),
            **({"academic_benchmark_guid": chosen.choice(GUIDS)} if endpoint != "group" else {}),
            **({"standard_description": chosen.choice(TEXTS)} if endpoint == "standard" else {}),
            **({"reporting_group": chosen.choice(TEXTS)} if endpoint == "group" else {}),
            **{field: chosen.choice((*TEXTS, *NUMBERS)) for field in own},
        }
        for _ in range(60 if name == "1088" else chosen.choice((0, 1, 3, 20, 60)))
    ]


def _build(
    folder: Path, snapshot: Snapshot, manifests: dict[str, Manifest]
) -> dict[str, pl.DataFrame]:
    """Build the tables from all shards at once, and write what the views join."""
    of = {endpoint: _dataset(snapshot, endpoint, manifests[endpoint]) for endpoint in ENDPOINTS}
    combined = tables.combined_table(of["overall"], of["standard"], str(YEAR))
    group = tables.group_table(of["group"], str(YEAR))
    made = labels_of(
        folder,
        [combined.tables[COMBINED].parquet, *(t.parquet for t in group.tables.values())],
        manifests,
    )
    inputs = write_inputs(folder, made)
    view = tables.view_tables(of["overall"], of["standard"], inputs, str(YEAR))
    found = {}
    for table, outputs in (combined.tables | group.tables | view.tables).items():
        path = folder / f"{table.stem}.parquet"
        write_files({path: outputs.parquet})
        found[table.stem] = pl.read_parquet(path)
    found[LABELS.stem] = to_polars(made.labels)
    found[UNMAPPED.stem] = to_polars(made.unmapped)
    counted = standards.count_spellings(pl.scan_parquet(folder / f"{COMBINED.stem}.parquet"))
    found["standards"] = standards.list_standards([counted])
    return found


def to_polars(frame: pd.DataFrame) -> pl.DataFrame:
    """Return a small table of labels; polars itself converts it with pyarrow only."""
    rows = [[None if pd.isna(cell) else cell for cell in row] for row in frame.to_numpy()]
    kinds = {name: pl.Int64 if name == "rows" else pl.String for name in frame.columns}
    return pl.DataFrame(rows, kinds, orient="row")


def labels_of(
    folder: Path, rows: list[pl.LazyFrame], manifests: dict[str, Manifest]
) -> labels.LabelTables:
    """Return the labels of the district, of rows that have its titles."""
    (folder / "rules.csv").write_text(RULES, encoding="utf-8")
    (folder / "overrides.csv").write_text(OVERRIDES, encoding="utf-8")
    return labels.label_tables(
        dict(combine.find_titles(rows).iter_rows()),
        {"1002": "Title of the catalogue"},
        rules.read_rules(folder / "rules.csv"),
        rules.read_overrides(folder / "overrides.csv"),
        shards.count_rows(*(manifests[kind].shards for kind in ("overall", "standard"))),
    )


def write_inputs(folder: Path, made: labels.LabelTables) -> tables.ViewInputs:
    """Write labels and roster beside the tables."""
    made.write(folder / f"{name}.csv" for name in ("labels", "unmapped", "by_grade"))
    lines = [f"{number},{number % 14 - 1},School {number % 3}" for number in range(50)]
    roster = "\n".join(["local_student_id,grade,school", *sorted(lines), "x,,", ""])
    (folder / "roster.csv").write_text(roster, encoding="utf-8")
    labelled = views.read_labels(folder / "labels.csv", folder / "by_grade.csv")
    return tables.ViewInputs(*labelled, views.read_roster(folder / "roster.csv"))


def _dataset(snapshot: Snapshot, endpoint: str, manifest: Manifest) -> ShardDataset:
    ordered = shards.in_table_order({i: e for i, e in manifest.shards.items() if e.rows})
    paths = [*shards.stamps(snapshot.shards(endpoint), ordered)]
    return ShardDataset(paths, shards.find_columns(ordered), [e.rows for e in ordered.values()])


def write_part(folder: Path, table: str, rows: pl.LazyFrame, partition: Partition) -> Part:
    """Write a part as `Lakehouse.stage` does, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{table}-{uuid.uuid4().hex}.parquet"
    rows.sink_parquet(path)
    count = int(pl.scan_parquet(path).select(pl.len()).collect().item())
    return Part(str(path), path.stat().st_size, count, partition)
