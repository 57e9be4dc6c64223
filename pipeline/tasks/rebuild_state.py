"""The task that rebuilds published school years of all districts, after a change of the rules."""

import dataclasses
import datetime as dt
import functools
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from pipeline.config import sections, settings
from pipeline.errors import SettingsError, StateError, redact_unexpected
from pipeline.publish.commit import Publication
from pipeline.state.districts import District
from pipeline.state.outcomes import Outcome, now
from pipeline.state.parts import Partition
from pipeline.state.publish import StateResult
from pipeline.state.published import DistrictYear
from pipeline.state.rebuild import Source, rebuild_state
from pipeline.storage.paths import Folders, Snapshot
from pipeline.tasks import state_run
from pipeline.tasks.publish_state import open_lakehouse, state_tables, summary
from pipeline.tasks.state import StateYearsTask
from pipeline.words import counted
from pipeline.years import SchoolYear, today

log = logging.getLogger("pipeline")


class RebuildState(StateYearsTask):
    """Rebuild what is published of school years by the rules and overrides as they are now.

    Nothing is requested. It is done once this run has rebuilt every district.
    """

    def complete(self) -> bool:
        """Return True if this run has rebuilt all that is published."""
        run = state_run.under_way()
        tried = run.outcomes if run and run.id == self.run_id else []
        return bool(tried) and all(each.is_published for each in tried)

    @redact_unexpected()
    def run(self) -> None:
        """Rebuild each district and year that has something published, and publish all together.

        Raises:
            SettingsError: a setting or districts.csv is wrong; nothing was changed.
            StateError: nothing was published; or all but some districts, which the result names.
        """
        rebuilt, started = state_run.state_folders().rebuilt, time.monotonic()
        run = state_run.current(self.run_id, latest=rebuilt)
        chosen, lakehouse = settings.read(sections.state), open_lakehouse()
        result = rebuild_state(
            lakehouse,
            self._sources(),
            state_tables(),
            run=self.run_id,
            keep_versions=chosen.keep_versions,
            batch_rows=chosen.batch_rows,
            work=run.folders.rebuilding(self.run_id),
            run_all=run.run_all,
            check=run.check,
        )
        run.outcomes.extend(self._outcomes(result, round(time.monotonic() - started, 1)))
        log.info("%s", summary(lakehouse, result))
        if result.failed or not result.published:
            failed = counted(len(result.failed), "district and year", "districts and years")
            raise StateError(
                f"{failed} could not be rebuilt, and "
                f"{counted(len(result.missing), 'has', 'have')} nothing published; of these, "
                "readers see what was published before. Do what is said of each, then run the same "
                "command again."
            )

    def _sources(self) -> list[Source]:
        state_run.refuse_forks()
        districts = self.listed()
        _refuse_variable(districts)
        return [_source(each, year) for year in self.years for each in districts]

    def _outcomes(self, result: StateResult, seconds: float) -> list[Outcome]:
        """Return how it ended for each district and year that has something published."""
        ended = {**dict.fromkeys(result.published, ""), **result.failed}
        return [
            Outcome(
                run=self.run_id,
                district=district,
                year=year,
                outcome="failed" if reason else "published",
                exit_code=30 if reason else 0,
                seconds=seconds,
                finished_at=now(),
                reason=reason,
                log="",
            )
            for (district, year), reason in ended.items()
        ]


def _source(district: District, year: SchoolYear) -> Source:
    """Return what a district's school year is rebuilt from; the rules are those of its own run."""
    folders = state_run.state_folders().folders(district.district)
    shared = settings.read(sections.paths).title_rules or settings.DEFAULT_RULES
    return Source(
        DistrictYear(Partition(district.district, str(year)), folders.publication(str(year))),
        functools.partial(_snapshot, folders, year),
        Path(district.title_rules or shared),
        Path(district.manual_changes) if district.manual_changes else None,
    )


def _snapshot(folders: Folders, year: SchoolYear, publication: Publication) -> Snapshot:
    """Return the paths of the snapshot that a district has published."""
    as_of, fetched_on = (publication.metadata.get(name) for name in ("as_of", "fetched_on"))
    day = dt.date.fromisoformat(fetched_on) if fetched_on else today()
    end = dt.date.fromisoformat(as_of) if as_of else day
    return dataclasses.replace(settings.snapshot(year, end, day), folders=folders)


def _refuse_variable(districts: Iterable[District]) -> None:
    """Refuse rules from the environment, which a district's own run does not get.

    Raises:
        SettingsError: there are some, for a district without rules of its own.
    """
    if os.environ.get("TITLE_RULES") and not all(each.title_rules for each in districts):
        raise SettingsError(
            "TITLE_RULES is set, and the districts' own runs would not use it. Unset it, and name "
            "the rules in districts.csv or [paths] title_rules, then run the same command again. "
            "Nothing was changed."
        )
