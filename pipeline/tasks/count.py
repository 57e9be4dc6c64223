"""The task that counts what the server has, beside what is fetched."""

import datetime as dt

import msgspec

from pipeline.config import sections, settings
from pipeline.extract.fetch import Retries, once_more
from pipeline.extract.result_counts import ResultCounts, compare_counts
from pipeline.runs import context
from pipeline.storage import files
from pipeline.storage.receipts import BuildKey
from pipeline.tasks.base import IncrementalTask, YearTask, incremental
from pipeline.tasks.check_tables import score_tasks
from pipeline.tasks.extract import FetchScores
from pipeline.tasks.shared import open_client, open_counts, open_pool, unreached
from pipeline.tasks.targets import FilesTarget


class CountResults(YearTask, IncrementalTask):
    """Count the results that the server has, over all assessments, by requests for one row each.

    Those of the year, if it is settled or was fetched by assessment, which misses the assessments
    that the catalogue does not list; once for each snapshot, and of a settled year again when the
    last count is older than `[years] recheck_days`. And once those that no school year reaches.
    What fails is requested once more. A server that cannot count so fails nothing; the summary says
    why.
    """

    version = 2
    priority = 10  # before tables are built: then all requests of a run are made one after another

    def requires(self) -> list[FetchScores]:
        return list(score_tasks(self).values())

    def output(self) -> FilesTarget:
        """Return the counts."""
        return self.target(self.paths.counts)

    def build_key(self) -> BuildKey:
        """Return the request: a lost shard that is fetched again is no reason to count again."""
        window = [day.isoformat() for day in (self.paths.window.start, self.paths.window.end)]
        request = {"source": settings.source_name(), "window": window}
        return BuildKey(self.name, self.version, request, {})

    def has_output(self) -> bool:
        """Return True while no count is due."""
        return super().has_output() and not self._is_due()

    @incremental
    def run(self) -> None:
        run = context.current()
        client, pool = run.share(open_client), run.share(open_pool)
        counts = run.share(open_counts)
        before = files.read_json(self.paths.counts, ResultCounts)
        scores = score_tasks(self)
        wanted = unreached(self)
        if not self.paths.window.is_empty:
            wanted |= {
                name: (each.api_endpoint(), self.paths.window)
                for name, each in scores.items()
                if self.paths.is_settled or not each.is_by_page
            }
        retries = {
            name: Retries(f"{self.year} count of {name}", client.count_retry, client.take_retry)
            for name in wanted
        }
        begun = {
            name: pool.submit(once_more, retries[name], counts.get, each)
            for name, each in wanted.items()
        }
        found = compare_counts(begun, {n: each.declared() for n, each in scores.items()}, before)
        with self.output().build() as build:
            files.write_json(self.paths.counts, found)
            build.stats |= {
                **msgspec.structs.asdict(found),
                "changed": found.changed,
                "counted_on": self.today.isoformat(),
                **client.counts.take(),
            }

    def _is_due(self) -> bool:
        days: int = settings.read(sections.years).recheck_days
        receipt = self.receipt
        if receipt is None or days <= 0 or not self.paths.is_settled:
            return False
        return (self.today - dt.date.fromisoformat(receipt.stats["counted_on"])).days > days
