"""A place to run the pipeline in: by its command line and environment, as anybody runs it."""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.counting import count
from benchmarks.trial import REPOSITORY, Trial, run
from benchmarks.work import ENDPOINTS, YEAR, Work

LUIGI = Path(sys.executable).with_name("luigi")
_RULES = REPOSITORY / "pipeline" / "inputs" / "title_rules.csv"
_LAST_DAY = "2024-06-30"
TODAY = "2024-07-15"
"""The day of a first run: the year is over, and until it settles it is fetched each night."""


@dataclass(frozen=True)
class Place:
    """A data folder of its own, for runs over some work; `folder` is new or of the same work.

    `today` is the day that runs take it for.
    """

    folder: Path
    work: Work
    today: str = TODAY

    @property
    def data(self) -> Path:
        """What the pipeline keeps."""
        return self.folder / "data"

    @property
    def snapshot(self) -> Path:
        """What it fetched and built on the day."""
        name = self.today if self.today <= _LAST_DAY else f"{_LAST_DAY}-on-{self.today}"
        return self.data / "work" / str(YEAR) / name

    @property
    def published(self) -> dict[str, Path]:
        """Its large tables as CSV; the Parquet files are beside them."""
        tables = self.data / "illuminate" / str(YEAR)
        views = self.data / "views" / str(YEAR)
        return {
            "combined": tables / "assessment_results_combined_historical.csv",
            "group": tables / "assessment_results_group_historical.csv",
            "view": views / "illuminate_assessment_results_historical.csv",
            "latest": views / "illuminate_latest_results_historical.csv",
        }

    @property
    def labels(self) -> Path:
        """The labels that it published."""
        return self.data / "illuminate" / str(YEAR) / "assessment_labels.csv"

    @property
    def rules(self) -> Path:
        """The title rules that it is given, a copy of those shipped."""
        return self.folder / "title_rules.csv"

    def run(
        self, base_url: str, threads: int = 16, strategy: str = "auto", task: str = "RunAll"
    ) -> Trial:
        """`luigi --module pipeline RunAll`, or another task, for the year of the work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.rules.exists():
            shutil.copyfile(_RULES, self.rules)
        return run(
            [
                *(LUIGI, "--module", "pipeline", task, "--year", str(YEAR), "--today", self.today),
                *("--illuminate-threads", str(threads), "--illuminate-strategy", strategy),
                *("--report-enabled", "false"),  # no peer draws one
            ],
            self._environment(base_url),
            self.folder,
        )

    def deliver(self, command: str, base_url: str, variables: Mapping[str, str]) -> Trial:
        """`python -m pipeline load`, `copy` or `report`, for the year of the work."""
        return run(
            [sys.executable, "-m", "pipeline", command, "--year", str(YEAR)],
            {**self._environment(base_url), **variables},
            self.folder,
        )

    def _environment(self, base_url: str) -> dict[str, str]:
        return {
            "LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg"),
            "PIPELINE_DATA_DIR": str(self.data),
            "ILLUMINATE_BASE_URL": base_url,
            "ILLUMINATE_CLIENT_ID": "demo",
            "ILLUMINATE_CLIENT_SECRET": "demo",
            "STUDENT_ROSTERS": str(self.work.roster.absolute()),
            "TITLE_RULES": str(self.rules),
        }

    def rows(self) -> dict[str, int]:
        """How many rows it published, by table."""
        return {table: count(path) for table, path in self.published.items()}

    def forget_tables(self) -> None:
        """Remove all that is built of shards, published or not; a run must build it again."""
        for folder in (self.snapshot / "results", self.data / "illuminate", self.data / "views"):
            shutil.rmtree(folder)
        (self.snapshot / "checks.json").unlink()

    def change_a_rule(self, text: str) -> None:
        """Give every assessment another test type."""
        header = "column,pattern,value\n"
        rules = _RULES.read_text(encoding="utf-8")
        changed = rules.replace(header, f"{header}test_type,.,{text}\n", 1)
        self.rules.write_text(changed, encoding="utf-8")

    def shards(self) -> dict[str, list[Path]]:
        """The shards that have rows, by endpoint, in the order of their names."""
        found: dict[str, list[Path]] = {}
        for endpoint in ENDPOINTS:
            paths = sorted((self.snapshot / "shards" / endpoint).glob("*.parquet"))
            found[endpoint] = [path for path in paths if count(path)]
        return found


def run_demo(folder: Path, strategy: str) -> tuple[int, int]:
    """Run the pipeline over its own demo: how many assessments there are, and its requests."""
    folder.mkdir()
    command: list[str | Path] = [LUIGI, "--module", "pipeline", "RunAll", "--year", str(YEAR)]
    run([*command, "--illuminate-strategy", strategy], {"PIPELINE_DATA_DIR": str(folder)}, folder)
    steps = _newest_record(folder / "demo")["steps"]
    requests = sum(facts.get("requests", 0) for facts in steps.values())
    return steps["FetchMetadata"]["assessments"], requests


def _newest_record(data: Path) -> dict[str, Any]:
    newest = max((data / "runs").glob("*-*.json"), key=lambda path: path.stat().st_mtime)
    record: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
    return record
