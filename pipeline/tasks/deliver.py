"""The tasks that deliver what is published: into a database, and to other places.

They are complete when the destination holds what is published now, and fetch or build nothing.
"""

import functools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

import luigi

from pipeline.config import sections, settings
from pipeline.errors import LoadError, SettingsError, printable
from pipeline.publish.commit import Publication
from pipeline.runs import context
from pipeline.storage.paths import ALL_YEARS, AllYears, Snapshot, how_to_publish, in_words
from pipeline.tasks.base import PipelineTask, incremental
from pipeline.tasks.guards import published_years
from pipeline.tasks.parameters import PublishedParameter
from pipeline.tasks.targets import DestinationTarget, PublicationTarget
from pipeline.words import counted
from pipeline.years import SchoolYear

if TYPE_CHECKING:
    from pipeline.publish.database.base import Database


class DeliveryTask(PipelineTask):
    """A task that belongs to a delivery, which has run records of its own."""

    delivers = True
    year = PublishedParameter()

    @property
    def paths(self) -> Snapshot | AllYears:
        """Where the tables of the year, or of all years, are published."""
        if isinstance(self.year, SchoolYear):
            return settings.snapshot(self.year, self.as_of, self.today)
        return AllYears(settings.folders(), published_years(settings.folders()))

    @property
    def partition(self) -> str:
        """The school year and the task that delivers it."""
        return f"{self.year}-{self.name}"


class PublishedYear(DeliveryTask):
    """What is published of a school year, as of whatever day, or of all years."""

    delivery = luigi.Parameter(description="the task that delivers it")

    @property
    def partition(self) -> str:
        """The school year and the task that delivers it."""
        return f"{self.year}-{self.delivery}"

    def publication(self) -> Publication | None:
        """Return the manifest of what is published now."""
        return Publication.read(self.paths.publication)

    def output(self) -> PublicationTarget:
        """Return the publication, complete while all its files are there."""
        build = publication.build if (publication := self.publication()) else None
        return PublicationTarget(self.paths.publication, build)

    @incremental
    def run(self) -> None:
        """Say why there is nothing to deliver, unless the run restored it when it began.

        Raises:
            LoadError: nothing is published, or it was changed.
        """
        folder, year = self.paths.publication.parent, str(self.year)
        what = (
            f"A published file of {in_words(year)} in {folder} was changed or removed"
            if self.publication()
            else f"Nothing of {in_words(year)} is published in {folder}, or published.json cannot "
            "be read"
        )
        years = self.paths.years if isinstance(self.paths, AllYears) else ()
        todo = f"Run `{how_to_publish(year, years)}`, then run the same command again."
        raise LoadError(f"{what}; nothing was delivered. {todo}")


class DeliverYear(DeliveryTask):
    """A task that brings what is published to a destination."""

    def requires(self) -> PublishedYear:
        return self.other(PublishedYear, delivery=self.name)

    def summary(self) -> str:
        """Return that it was there already; what a run delivers is among its notes."""
        publication = self.requires().publication()
        of_run = f" of run {publication.run}" if publication else ""
        what = f"All years{of_run} are" if self.year == ALL_YEARS else f"{self.year}{of_run} is"
        return printable(f"{what} already in {self.output().path}; nothing was changed.")


class LoadYear(DeliverYear):
    """Load the published tables of a school year, or of all, into a database."""

    def output(self) -> DestinationTarget:
        """Return the year in the database, complete while it is what is published."""
        database = _database()
        return DestinationTarget(database.name, functools.partial(self._is_loaded, database))

    def _is_loaded(self, place: "_DatabasePlace") -> bool:
        from pipeline.publish.database import load

        publication = self.requires().publication()
        if publication is None:
            return False
        with place.open_read_only() as database:
            return load.is_loaded(database, publication)

    @incremental
    def run(self) -> None:
        """Replace the year, or the tables of all years, in the database, in one transaction.

        Raises:
            LoadError: the database cannot take it, and is unchanged.
        """
        from pipeline.publish.database import load
        from pipeline.publish.database.published_set import read_published_set

        place = _database()
        found = read_published_set(self.paths.publication, str(self.year))
        with place.open_writable() as database:
            loaded = load.load(database, found)
        head = f"Loaded {in_words(str(self.year))}, run {found.publication.run}, into {place.name}:"
        lines = [
            f"  {table:<42}{counted(now, 'row'):>17}, {before:,} before"
            for table, before, now in loaded
        ]
        context.current().notes[self.partition] = "\n".join(map(printable, [head, *lines]))


class CopyYear(DeliverYear):
    """Copy the published files of a school year, or of all, to [paths] copy_to."""

    def output(self) -> DestinationTarget:
        """Return the copy, complete while it is what is published."""
        from pipeline.publish import copies

        url, folder = self._place()
        return DestinationTarget(
            f"{url}/{folder}",
            functools.partial(copies.is_copied, self.paths.publication, url, folder),
        )

    @incremental
    def run(self) -> None:
        """Upload what is not there yet.

        Raises:
            CopyError: it could not be copied; the copy that readers see is unchanged.
        """
        from pipeline.publish import copies

        copied = copies.copy(self.paths.publication, *self._place())
        uploaded = counted(copied.uploaded, "file")
        text = f"{copied.place}: {uploaded} uploaded, {copied.reused} reused"
        context.current().notes[self.partition] = printable(text)

    def _place(self) -> tuple[str, str]:
        """Return the URL and the folder there.

        Raises:
            SettingsError: no place is configured.
        """
        url = settings.read(sections.paths).copy_to
        if not url:
            raise SettingsError(
                "No place for copies is configured. Set PIPELINE_COPY_TO or [paths] copy_to to "
                "s3://bucket/folder, gs://bucket/folder or a folder, then run the same command "
                "again."
            )
        return url, f"demo/{self.year}" if settings.is_demo() else str(self.year)


class _DatabasePlace(NamedTuple):
    """The configured database: its name for people, and how to open it."""

    name: str
    open_writable: Callable[[], AbstractContextManager["Database"]]
    open_read_only: Callable[[], AbstractContextManager["Database"]]


def _database() -> _DatabasePlace:
    from pipeline.config.credentials import find_secret
    from pipeline.publish.database import bigquery, duckdb_file, postgresql

    url = find_secret(postgresql.VARIABLE, os.environ)
    if url:
        kind = bigquery if url.startswith(bigquery.SCHEME) else postgresql
        return _DatabasePlace(
            f"the database of {postgresql.VARIABLE}",
            functools.partial(kind.open_writable, url),
            functools.partial(kind.open_read_only, url),
        )
    path = settings.folders().database
    return _DatabasePlace(
        str(path),
        functools.partial(duckdb_file.open_writable, path),
        functools.partial(duckdb_file.open_read_only, path),
    )
