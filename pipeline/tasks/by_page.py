"""How FetchScores fetches the results of all assessments together, where the server can do that."""

import contextlib
import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.config import sections, settings
from pipeline.errors import ByPageError, FetchError, IlluminateError, StoppedError
from pipeline.extract import reread, shards
from pipeline.extract.by_page import RangeReader, Server, compare, write_shards
from pipeline.extract.early import Early
from pipeline.extract.fetch import Retries
from pipeline.extract.manifest import Manifest, ManifestEntry
from pipeline.extract.request_plan import largest_first, select_compared, select_early
from pipeline.ids import trim
from pipeline.publish.guards import GUARDED, guarded_rows
from pipeline.runs import context
from pipeline.runs.progress import ProgressReporter
from pipeline.schema import ENDPOINTS
from pipeline.storage import files
from pipeline.tasks.guards import published_counts
from pipeline.tasks.shared import open_counts, open_sample, unreached

if TYPE_CHECKING:
    import datetime as dt

    from pipeline.extract.catalogue import Catalogue
    from pipeline.extract.pool import Pool
    from pipeline.illuminate.client import Client
    from pipeline.illuminate.pages import Result
    from pipeline.tasks.extract import FetchScores

log = logging.getLogger(__name__)


_KEPT_ROWS = 10_000
"""The rows, as far as known, of assessments that are fetched before they can be compared."""

_SPECIAL_KINDS = 2

Lasting = dict[str, str | list[str]]
"""What the manifest of shards that are fetched by assessment has to say."""


def try_by_page(
    task: "FetchScores", catalogue: "Catalogue", client: "Client", pool: "Pool"
) -> Lasting | None:
    """Fetch every shard of an endpoint by page, if that is wanted and the server can do it.

    Otherwise return what holds for the shards that are now to be fetched by assessment.

    Raises:
        FetchError: the server cannot be reached, or may only be used by page and cannot; or the
            run was asked to stop.
        StorageError: something cannot be written.
    """
    if settings.read(sections.illuminate).strategy == "by_assessment":
        return _keep_unlisted(task, catalogue, "")
    try:
        try:
            _fetch_by_page(task, catalogue, client, pool)
        except ByPageError as error:
            _check_is_there(task, client, pool)
            return _note_fallback(task, catalogue, error)
    except FetchError:
        target, counts = task.output(), client.counts.take()
        Manifest(target.request, {}, counts, context.current().id).write(target.path)
        raise
    return None


def _fetch_by_page(
    task: "FetchScores", catalogue: "Catalogue", client: "Client", pool: "Pool"
) -> None:
    """Fetch every shard of an endpoint, and write the manifest.

    Raises:
        ByPageError: the server's results of all assessments together cannot be used.
        FetchError: the run was asked to stop.
    """
    run, target = context.current(), task.output()
    reader = _reader(task, client, pool)
    try:
        if days := _reread_days(task):
            count = functools.partial(client.count_results, task.api_endpoint())
            reread.take_over(reader, _other_nights(task), days, count)
        found = _read(task, catalogue, reader)
    except StoppedError:
        raise FetchError(
            f"{task.endpoint} stopped; the ranges of dates that were read are kept."
        ) from None
    entries = found.entries
    # Names of shards that the manifest has must survive a power cut.
    with files.wrap_os_errors(target.folder):
        files.fsync(files.make_folder(target.folder))
    # Hashed while they were written.
    run.verified.update(
        (path, stamp.sha256) for path, stamp in shards.stamps(target.folder, entries).items()
    )
    counts = client.counts.take()
    stats = {"fetched": len(entries), "compared": found.compared, "unlisted": found.unlisted}
    earlier = reread.not_reread(reader) if days else {}
    Manifest(target.request, entries, stats | earlier | counts, run.id).write(target.path)
    if not days:
        reader.discard()


def _reader(task: "FetchScores", client: "Client", pool: "Pool") -> RangeReader:
    return RangeReader(
        server=_server(task, client, pool),
        request=task.output().request,
        folder=task.paths.ranges(task.endpoint),
        show=_progress(task, client),
        today=task.today,
        may_be_none=_is_only_way() or _has_overall_by_page(task),
        likely=lambda: _days_of_overall(task),
    )


class _Found(NamedTuple):
    """The entries of all shards, the unlisted assessments, and how many were compared."""

    entries: dict[str, ManifestEntry]
    unlisted: list[str]
    compared: int


def _read(task: "FetchScores", catalogue: "Catalogue", reader: RangeReader) -> _Found:
    """Read all results, write them as shards, and compare some.

    If these differ, read also what another night has read.
    """
    from pipeline.extract.parts import Parts

    endpoint, server, window = task.api_endpoint(), reader.server, task.paths.window
    early = context.current().share(open_sample)
    columns = [endpoint.renames.get(name, name) for name in endpoint.fields]
    parts = Parts(reader.read(), columns)
    unlisted = catalogue.unlisted(parts.rows)
    wanted = task.select_ids(catalogue, unlisted)
    rows = {assessment_id: parts.rows.get(trim(assessment_id), 0) for assessment_id in wanted}
    special = (set(unlisted), parts.undated)
    chosen = select_compared(rows, special, task.sizes(), settings.sample(), _seed(task))
    begun = [each for each in wanted if (endpoint, each, window) in early]
    others = [each for each in chosen if each not in begun]

    def fetch(assessment_id: str) -> "Result":
        return server.fetch_one(assessment_id, rows[assessment_id])

    with Early(server.pool, fetch) as late:
        late.begin(_few_rows(others, rows))
        entries = write_shards(server, parts, wanted, task.writer())  # while these are fetched
        _begin_next(task, rows)
        try:
            compare(
                server,
                parts,
                [*others, *begun],
                early=lambda one: early.take((endpoint, one, window)) or late.take(one),
            )
        except ByPageError as error:
            if not reader.has_kept:
                raise
            # Perhaps a result was corrected since, which is no reason to distrust the server.
            log.info("%s %s: all ranges are read again: %s", task.year, task.endpoint, error)
            reader.discard()
            return _read(task, catalogue, reader)
    return _Found(entries, unlisted, len(others) + len(begun))


def _reread_days(task: "FetchScores") -> int:
    """Return how many of the most recent days are read every night; 0 if all are."""
    return 0 if task.paths.is_settled else settings.read(sections.illuminate).reread_days


def _other_nights(task: "FetchScores") -> Iterator[Path]:
    """Yield where other nights may have ranges, the newest first.

    None from before a night that kept none, as by assessment: it has later corrections.
    """
    paths = task.paths
    for other in task.other_snapshots():
        yield paths.counterpart(paths.ranges(task.endpoint), other)
        if paths.counterpart(paths.manifest(task.endpoint), other).exists():
            return


def _days_of_overall(task: "FetchScores") -> "dict[dt.date, int]":
    """Return how many overall results there are of each day, once they are fetched."""
    from pipeline.extract.parts import count_days

    overall = task.other(type(task), endpoint="overall")
    entries = overall.receipt.shards if task.endpoint != "overall" and overall.receipt else {}
    overall.output().verify(entries, context.current().verified)
    return count_days([*shards.stamps(task.paths.shards("overall"), entries)])


def _is_only_way() -> bool:
    return bool(settings.read(sections.illuminate).strategy == "by_page")


def _has_overall_by_page(task: "FetchScores") -> bool:
    """Return whether the server can do this, so that it may be believed if it has none.

    What it has of some assessments is compared all the same.
    """
    overall = task.other(type(task), endpoint="overall")
    return task.endpoint != "overall" and overall.is_by_page and overall.declared() > 0


def _check_is_there(task: "FetchScores", client: "Client", pool: "Pool") -> None:
    """Raise FetchError if the server gives nothing at all, which is no matter of pages."""
    try:
        pool.submit(client.count_assessments).result()
    except (IlluminateError, StoppedError) as error:
        todo = error.todo if isinstance(error, IlluminateError) else "Run the same command again."
        raise FetchError(
            f"{task.endpoint} could not be read: {error}. The ranges of dates that were read are "
            f"kept and nothing was published. {todo}"
        ) from None


def _note_fallback(task: "FetchScores", catalogue: "Catalogue", error: ByPageError) -> Lasting:
    """Say why an endpoint is fetched by assessment; return it for the record.

    Raises:
        FetchError: it may only be fetched by page.
    """
    if _is_only_way():
        raise FetchError(
            f"The server's {task.endpoint} results of all assessments together cannot be used: "
            f"{error}. Nothing was published. Set [illuminate] strategy=auto, which then fetches "
            "them by assessment, and run the same command again."
        ) from None
    log.warning("%s %s is fetched by assessment, not by page: %s", task.year, task.endpoint, error)
    return _keep_unlisted(task, catalogue, str(error))


def _keep_unlisted(task: "FetchScores", catalogue: "Catalogue", reason: str) -> Lasting:
    """Return what is published of assessments that the catalogue does not list.

    It is not to be lost because an endpoint is now fetched by assessment, for a `reason` if it
    should not be.
    """
    before = published_counts(task)
    published = {i for table in GUARDED for i in guarded_rows(before, table)} if before else set()
    return {"not by page": reason, "unlisted": catalogue.unlisted(published)}


def _server(task: "FetchScores", client: "Client", pool: "Pool") -> Server:
    endpoint, window = task.api_endpoint(), task.paths.window
    run = context.current()
    counts = run.share(open_counts)
    return Server(
        count=lambda: pool.submit(counts.get, (endpoint, window)).result(),
        fetch=functools.partial(client.all_results, endpoint),
        fetch_one=lambda one, likely_rows: client.results(endpoint, one, window, likely_rows),
        page_limit=settings.limits().page_limit,
        pool=pool,
        stop=run.stop,
        retries=Retries(f"{task.year} {task.endpoint}", client.count_retry, client.take_retry),
    )


def _progress(
    task: "FetchScores", client: "Client"
) -> Callable[[int], "contextlib.AbstractContextManager[Callable[[int], None]]"]:
    @contextlib.contextmanager
    def show(rows: int) -> Iterator[Callable[[int], None]]:
        client.expect(rows // settings.limits().page_limit)
        with ProgressReporter(f"{task.year} {task.endpoint} rows", rows, task.report) as steps:
            yield lambda read: steps.step(failed=False, steps=read)

    return show


def _begin_next(task: "FetchScores", rows: Mapping[str, int]) -> None:
    """Request what the next endpoint needs in any case, so that no thread is idle until then.

    Args:
        task: of the endpoint whose results were read.
        rows: how many it has of every assessment that is wanted.
    """
    run = context.current()
    if task.endpoint == "overall":  # not before its results were read, or there could be more
        run.share(open_counts).begin(unreached(task).values())
    for endpoint in ENDPOINTS[ENDPOINTS.index(task.endpoint) + 1 :][:1]:
        after = task.other(type(task), endpoint=endpoint)
        if after.is_to_begin:
            chosen = select_early(rows, _SPECIAL_KINDS, settings.sample(), _seed(after))
            wanted = _few_rows(chosen, rows)
            run.share(open_sample).begin(
                (after.api_endpoint(), each, task.paths.window) for each in wanted
            )


def _few_rows(assessment_ids: Iterable[str], rows: Mapping[str, int]) -> list[str]:
    """Return assessments without the largest of them, so that all of their rows fit in memory."""
    smallest_first = largest_first(assessment_ids, rows)[::-1]
    totals = itertools.accumulate(rows.get(each, 0) for each in smallest_first)
    return [each for each, total in zip(smallest_first, totals, strict=True) if total <= _KEPT_ROWS]


def _seed(task: "FetchScores") -> str:
    return f"{task.endpoint} {task.paths.window.end}"
