"""Proof that the tests can fail: one-line breaks, each of which a named test must notice.

`make mutants` applies each break to a copy of the code, runs the tests named beside it, and
reports which breaks were noticed. It exits 1 when one was not, or when a line to break is gone.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(
    ".venv*", ".bench", ".git", "data", "build", "__pycache__", ".*_cache", ".hypothesis"
)


@dataclass(frozen=True)
class Mutant:
    """A break: what it does, the line before and after it, and the tests that must notice."""

    what: str
    file: str
    before: str
    after: str
    tests: str


MUTANTS = (
    Mutant(
        "write in place",
        "storage/files.py",
        "    temporary = temp_path(path)\n    make_folder(path.parent)",
        "    temporary = path\n    path.unlink(missing_ok=True)\n    make_folder(path.parent)",
        "tests/unit/storage/test_files.py",
    ),
    Mutant(
        "skip fsync",
        "storage/files.py",
        "        os.fsync(handle)\n",
        "        pass\n",
        "tests/unit/storage/test_files.py tests/unit/extract/test_shards.py",
    ),
    Mutant(
        "never sync a name",
        "storage/files.py",
        "    try:\n        os.fsync(handle)\n",
        "    try:\n        pass\n",
        "tests/unit/storage/test_files.py",
    ),
    Mutant(
        "acknowledge an entry before it is synced",
        "extract/manifest.py",
        "                os.fsync(self._file.fileno())\n",
        "                pass\n",
        "tests/unit/extract/test_manifest.py",
    ),
    Mutant(
        "believe num_pages",
        "illuminate/pages.py",
        "    if rows.height != declared:",
        "    if False:",
        "tests/unit/illuminate/test_pages.py",
    ),
    Mutant(
        "never advance the page",
        "illuminate/client.py",
        '"page": str(number)',
        '"page": "1"',
        "tests/unit/illuminate/test_client.py",
    ),
    Mutant(
        "drop a page",
        "illuminate/pages.py",
        "range(2, first.num_pages + 1)",
        "range(2, first.num_pages)",
        "tests/unit/illuminate/test_pages.py",
    ),
    Mutant(
        "believe __count",
        "illuminate/pages.py",
        "    if not counts <= {str(total)}:",
        "    if False:",
        "tests/unit/illuminate/test_pages.py",
    ),
    Mutant(
        "take a repeated page",
        "illuminate/pages.py",
        "if any(_same_rows(page.rows, other.rows) for other in alike):",
        "if False:",
        "tests/unit/illuminate/test_pages.py",
    ),
    Mutant(
        "take rows that moved between pages",
        "illuminate/pages.py",
        "        if sum(page.rows.n_unique() for page in pages) > distinct.height:",
        "        if False:",
        "tests/unit/illuminate/test_pages.py",
    ),
    Mutant(
        "drop duplicates uncounted",
        "illuminate/pages.py",
        "declared - kept.height",
        "0",
        "tests/unit/illuminate/test_pages.py",
    ),
    Mutant(
        "renew a token without comparing it",
        "illuminate/auth.py",
        "            if auth is not self._bearer:\n                return\n",
        "",
        "tests/unit/illuminate/test_auth.py",
    ),
    Mutant(
        "request nothing once more",
        "extract/fetch.py",
        "            if outcome.may_pass:",
        "            if False:",
        "tests/unit/extract/test_fetch.py",
    ),
    Mutant(
        "request everything once more while the server is down",
        "extract/fetch.py",
        "                if outcome.failed and not take_retry():",
        "                if False:",
        "tests/unit/extract/test_fetch.py",
    ),
    Mutant(
        "blame the address for every web page",
        "illuminate/client.py",
        "            self._has_sent_data = True",
        "            pass",
        "tests/unit/illuminate/test_client.py",
    ),
    Mutant(
        "take an informational reply for the response",
        "illuminate/wire.py",
        "    connection.response_class = _FinalResponse\n",
        "",
        "tests/unit/illuminate/test_wire.py",
    ),
    Mutant(
        "let an error quote line breaks",
        "errors.py",
        "map(printable, lines)",
        "lines",
        "tests/unit/test_errors.py",
    ),
    Mutant(
        "leave white space around the ids of the API",
        "transform/scan.py",
        ".with_columns(pl.col(padded).str.strip_chars(ids.WHITE_SPACE))",
        "",
        "tests/unit/transform/test_combine.py",
    ),
    Mutant(
        "pause one thread only",
        "illuminate/retry.py",
        "            self._until = max(self._until, time.monotonic() + seconds)",
        "            self._stop.wait(seconds)",
        "tests/unit/illuminate/test_retry.py",
    ),
    Mutant(
        "wait however long Retry-After says",
        "illuminate/retry.py",
        "        if seconds > self._max_seconds:",
        "        if False:",
        "tests/unit/illuminate/test_retry.py -k longer_than",
    ),
    Mutant(
        "print the text of a reply",
        "illuminate/pages.py",
        'raise TransientError("the reply is not complete JSON in UTF-8") from None',
        'raise TransientError(f"not JSON: {content!r}") from None',
        "tests/unit/illuminate/test_client.py tests/unit/illuminate/test_pages.py",
    ),
    Mutant(
        "show the text of an unexpected error",
        "errors.py",
        "UnexpectedError(type(error).__name__)",
        "UnexpectedError(str(error))",
        "tests/functional/faults/test_leaks.py",
    ),
    Mutant(
        "believe the dates of rows",
        "illuminate/requested.py",
        "    if ((days < first) | (days > last)).any():",
        "    if False:",
        "tests/unit/illuminate/test_client.py",
    ),
    Mutant(
        "plain open",
        "storage/files.py",
        "SimpleNamespace(file=0o600",
        "SimpleNamespace(file=0o644",
        "tests/unit/storage/test_files.py",
    ),
    Mutant(
        "skip the digest of a shard",
        "extract/shards.py",
        "        return files.sha256(path) == digest",
        "        return bool(files.sha256(path))",
        "tests/unit/extract/test_shards.py -k single_byte",
    ),
    Mutant(
        "skip the checksum of a line",
        "extract/manifest.py",
        '    if checksum != b"%08x " % zlib.crc32(text):',
        "    if not checksum:",
        "tests/unit/extract/test_manifest.py -k single_byte",
    ),
    Mutant(
        "skip the digest of a file",
        "storage/files.py",
        "            return self.is_current(path) or self.has_content(path)",
        "            return True",
        "tests/unit/storage/test_files.py",
    ),
    Mutant(
        "complete by existence only",
        "tasks/targets.py",
        "            and receipt.key == self.key()\n",
        "",
        "tests/unit/tasks/test_targets.py",
    ),
    Mutant(
        "use a shard of another source",
        "tasks/targets.py",
        "return found if found and found.request == self.request else None",
        "return found",
        "tests/unit/tasks/test_targets.py",
    ),
    Mutant(
        "publish before the checks",
        "tasks/publish.py",
        "        checked = [self.other(CheckTables), *self.table_tasks()]\n",
        "        checked = [*self.table_tasks()]\n",
        "tests/functional/test_failures.py -k record_reports",
    ),
    Mutant(
        "let a failed check pass",
        "tasks/check_tables.py",
        'for check in found if not check["ok"]]',
        "for check in found if False]",
        "tests/functional/test_commands.py -k failed_check",
    ),
    Mutant(
        "sign what was read after the step",
        "tasks/targets.py",
        "        self.write_receipt(key, build, context.current().id)\n",
        "        self.write_receipt(self.key() or key, build, context.current().id)\n",
        "tests/unit/tasks/test_base.py",
    ),
    Mutant(
        "ignore the shrink guard",
        "publish/guards.py",
        "    wrong = [result for result in results if not result.ok]\n",
        "    wrong: list[CheckResult] = []\n",
        "tests/functional/test_guards.py -k lost",
    ),
    Mutant(
        "compare totals only",
        "publish/guards.py",
        "    total = sum(lost.values())",
        "    total = max(0, sum(before.values()) - sum(now.values()))",
        "tests/unit/publish/test_guards.py",
    ),
    Mutant(
        "begin a run when a task is checked for completeness",
        "tasks/base.py",
        "        run = context.under_way()\n        known",
        "        context.current().begin()\n        run = context.under_way()\n        known",
        "tests/functional/test_graph.py -k leaves_no_trace",
    ),
    Mutant(
        "never end a run when its build ends",
        "runs/build.py",
        "            end()\n",
        "            pass\n",
        "tests/functional/test_graph.py -k folder_is_free",
    ),
    Mutant(
        "acknowledge what a failed run published",
        "runs/record.py",
        'and of_all["succeeded"] ',
        "",
        "tests/functional/test_graph.py -k failed_report",
    ),
    Mutant(
        "count a failure that was retried",
        "runs/build.py",
        "        self._failed.pop(task.task_id, None)\n",
        "",
        "tests/functional/test_graph.py -k retried",
    ),
    Mutant(
        "acknowledge what a stopped run published",
        "runs/record.py",
        ' and of_all["succeeded"] and not run.stop.is_set():',
        ' and of_all["succeeded"]:',
        "tests/functional/test_graph.py -k notified",
    ),
    Mutant(
        "never end the run of a step called by hand",
        "runs/context.py",
        "        if is_own:\n            run.end()\n",
        "        pass\n",
        "tests/functional/test_graph.py -k by_hand",
    ),
    Mutant(
        "keep a folder that could not be taken",
        "runs/context.py",
        "            lock.release()\n",
        "",
        "tests/functional/test_graph.py -k could_not_be_taken",
    ),
    Mutant(
        "end a host by the second interrupt",
        "runs/signals.py",
        "        if self._is_command:\n",
        "        if True:\n",
        "tests/functional/test_graph.py -k second_interrupt",
    ),
    Mutant(
        "let the threads of an interrupted run wait for silent servers",
        "illuminate/wire.py",
        "            watched.cut()\n            watched.close()\n",
        "            watched.close()\n",
        "tests/functional/test_graph.py -k second_interrupt",
    ),
    Mutant(
        "let a delivery replace the result of the run",
        "runs/record.py",
        " and not (sets and all(each.delivers for each in sets)):",
        ":",
        "tests/functional/test_load.py -k not_delivered",
    ),
    Mutant(
        "fail where a refresh changes nothing",
        "commands/refresh.py",
        "    return 0 if code == NOTHING_NEW else code\n",
        "    return code\n",
        "tests/functional/test_commands.py -k refresh",
    ),
    Mutant(
        "let files stay readable for the group",
        "storage/files.py",
        " if allowed else (0o600, 0o700)",
        " if allowed else (_modes.file, _modes.folder)",
        "tests/unit/storage/test_files.py -k group_can_read",
    ),
    Mutant(
        "do not undo a failed publication",
        "storage/replacement.py",
        '        _undo(intent, marker, f"Publishing failed ({files.reason(error)})")\n',
        "        del error\n",
        "tests/unit/publish/test_every_operation.py -k failed_operation",
    ),
    Mutant(
        "rename over old files that are not kept",
        "storage/replacement.py",
        "        _keep_old(intent, marker.parent)\n",
        "",
        "tests/unit/publish/test_every_operation.py -k failed_operation",
    ),
    Mutant(
        "restore the marker last",
        "storage/replacement.py",
        "    for path in (first, *(path for path in backups if path != first)):\n",
        "    for path in (*(path for path in backups if path != first), first):\n",
        "tests/unit/publish/test_every_operation.py",
    ),
    Mutant(
        "take what an intent removed by hand left for an old file",
        "storage/replacement.py",
        "            _backup(path).unlink(missing_ok=True)\n",
        "            pass\n",
        "tests/unit/publish/test_every_operation.py -k by_hand",
    ),
    Mutant(
        "leave it to the next run to recover",
        "__main__.py",
        "            if command in _RECOVERING:\n",
        "            if False:\n",
        "tests/crash/test_publication.py -k any_kind",
    ),
    Mutant(
        "recover while a run is at work",
        "runs/recovery.py",
        "        lock = Lock(folders.lock)\n",
        "        lock = Lock(folders.lock.with_name('other'))\n",
        "tests/crash/test_publication.py -k under_way",
    ),
    Mutant(
        "recover what another data folder's run is publishing",
        "storage/replacement.py",
        "            is_alone = False\n",
        "            pass\n",
        "tests/unit/publish/test_every_operation.py -k under_way",
    ),
    Mutant(
        "say unchanged whatever is on the disk",
        "runs/summary.py",
        '    if record["is_half_published"]:\n',
        "    if False:\n",
        "tests/crash/test_publication.py -k cannot_be_undone",
    ),
    Mutant(
        "send whatever bytes there are",
        "publish/copies.py",
        "    is_intact = known.has_content(file)\n"
        "    if not is_intact or store.upload(file, target) != known.sha256:\n",
        "    is_intact = known.matches(file)\n"
        "    if not (is_intact and store.upload(file, target)):\n",
        "tests/copies/test_copy.py -k hide_a_change",
    ),
    Mutant(
        "draw a report of altered tables",
        "tasks/report.py",
        "        if find_damaged(manifest, [name]):\n",
        "        if False:\n",
        "tests/functional/test_report.py -k altered",
    ),
    Mutant(
        "replace tables of any source",
        "tasks/guards.py",
        "    if found == context.current().replaced_source:\n",
        "    if True:\n",
        "tests/functional/test_guards.py -k not_replaced",
    ),
    Mutant(
        "call a district by the spelling of its address",
        "illuminate/address.py",
        "        if not self.is_loopback:\n",
        "        if True:\n",
        "tests/functional/test_guards.py -k spelling",
    ),
    Mutant(
        "guard drafts like assessments with results",
        "publish/guards.py",
        "    if table != CATALOGUE:\n",
        "    if True:\n",
        "tests/functional/test_guards.py -k draft",
    ),
    Mutant(
        "take credentials without an address for the demo",
        "runs/context.py",
        "        settings.check_address()\n",
        "",
        "tests/functional/test_failures.py -k publish_the_demo",
    ),
    Mutant(
        "believe a second reading of the same pages",
        "illuminate/pages.py",
        "            if max(page.rows.height for page in again) > smaller:\n",
        "            if False:\n",
        "tests/unit/illuminate/test_pages.py -k not_smaller",
    ),
    Mutant(
        "leave requests running after an error",
        "extract/pool.py",
        "                wait([future for _, future in futures if not future.cancel()])\n",
        "                [future.cancel() for _, future in futures]\n",
        "tests/unit/extract/test_pool.py -k nothing_is_running",
    ),
    Mutant(
        "take a file for whole that was put in the place of ours",
        "transform/output.py",
        "    if file.tell() != stamp.size:\n",
        "    if False:\n",
        "tests/unit/transform/test_output.py -k in_the_place",
    ),
    Mutant(
        "allow several workers",
        "runs/context.py",
        "        if self._worker is not None and forks(self._worker):\n",
        "        if False:\n",
        "tests/functional/test_graph.py -k steps_in_processes",
    ),
    Mutant(
        "stop at an assessment without performance bands",
        "publish/guards.py",
        "            if column in _OF_SOME_ASSESSMENTS:",
        "            if False:",
        "tests/unit/publish/test_guards.py -k without_performance_bands",
    ),
    Mutant(
        "replace grades by nulls when the roster is gone",
        "publish/guards.py",
        "GuardResult((before or 0.0) <= drop, ",
        "GuardResult(True, ",
        "tests/functional/test_guards.py -k not_configured_any_more",
    ),
    Mutant(
        "take a finished year for final at once",
        "config/settings.py",
        "today > _settles_on(year)",
        "today > year.last_day",
        "tests/functional/test_settling.py -k late_correction",
    ),
    Mutant(
        "never count a settled year again",
        "tasks/count.py",
        ".days > days",
        ".days > 10_000",
        "tests/functional/test_settling.py -k counts_are_checked",
    ),
    Mutant(
        "forget what was counted at first",
        "extract/result_counts.py",
        "        first={**first, **at_first},\n",
        "        first=known,\n",
        "tests/functional/test_settling.py -k counts_are_checked",
    ),
    Mutant(
        "believe a server that counts less than it delivers",
        "extract/result_counts.py",
        "any(count < fetched[name] for name, count in at_first.items())",
        "False",
        "tests/unit/extract/test_result_counts.py",
    ),
    Mutant(
        "leave the day of fetching in the marker as it was",
        "tasks/targets.py",
        "and all(publication.metadata.get(name) == fact for",
        "and all(True for",
        "tests/functional/test_settling.py -k with_that_day",
    ),
    Mutant(
        "give up a count that failed once",
        "tasks/count.py",
        "for name in failed}",
        "for name in []}",
        "tests/functional/test_settling.py -k requested_once_more",
    ),
    Mutant(
        "leave out the command for the year that rows moved to",
        "tasks/publish.py",
        "raise_on_failure(found, self.year, fetched_before(self))",
        "raise_on_failure(found, self.year)",
        "tests/functional/test_settling.py -k moved_to_an_earlier",
    ),
    Mutant(
        "read the clock in each step",
        "tasks/base.py",
        "settings.snapshot(self.year, self.as_of, self.today)",
        'settings.snapshot(self.year, self.as_of, __import__("datetime").date.today())',
        "tests/functional/test_graph.py -k clock",
    ),
    Mutant(
        "take a fixed school year for that of today",
        "tasks/parameters.py",
        '"year": SchoolYear.of(day)}',
        '"year": SchoolYear(2024)}',
        "tests/unit/tasks/test_parameters.py -k without_a_year",
    ),
    Mutant(
        "take an option for the short form of others",
        "config/sections.py",
        "        parser.allow_abbrev = False\n",
        "        pass\n",
        "tests/unit/tasks/test_parameters.py -k without_a_year",
    ),
    Mutant(
        "have results of days to come in the demo",
        "simulator/district/district.py",
        "if not self._is_to_come(row)",
        "if True",
        "tests/simulator/test_simulator_district.py -k results_end",
    ),
    Mutant(
        "let the demo's later years change its earlier ones",
        "simulator/district/people.py",
        "years[-1].start + 1)",
        "years[-1].start + 1 + len(later))",
        "tests/simulator/test_simulator_district.py -k known_on_a_day",
    ),
    Mutant(
        "let a time zone that is not known mean UTC",
        "runs/context.py",
        "        settings.check_time_zone()\n",
        "",
        "tests/functional/test_years.py -k time_zone",
    ),
    Mutant(
        "leave the district out of task ids",
        "tasks/parameters.py",
        '"the district\'s name in task ids; default the configured source",',
        '"", significant=False,',
        "tests/unit/tasks/test_base.py -k district",
    ),
    Mutant(
        "never give up on a scheduler",
        "config/settings.py",
        '"rpc_retry_wait": "1"',
        '"rpc_retry_wait": "30"',
        "tests/functional/test_graph.py -k unreachable",
    ),
    Mutant(
        "no lock",
        "runs/lock.py",
        "            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "            pass",
        "tests/functional/test_failures.py -k second_run",
    ),
    Mutant(
        "let a failed shard pass",
        "tasks/extract.py",
        "        if len(fetched) < len(missing):",
        "        if False:",
        "tests/functional/test_failures.py -k do_not_stop",
    ),
    Mutant(
        "believe that nobody without overall results has others",
        "publish/checks.py",
        "    wrong = [assessment for assessment in sampled if shards[assessment].rows]\n",
        "    wrong: list[str] = []\n",
        "tests/functional/test_request_plan.py -k stops_the_run",
    ),
    Mutant(
        "show what a stop left out as done",
        "tasks/extract.py",
        "            if outcome.attempted:\n",
        "            if outcome:\n",
        "tests/functional/test_failures.py -k stopping_while",
    ),
    Mutant(
        "ignore unknown fields",
        "illuminate/pages.py",
        "forbid_unknown_fields=True",
        "forbid_unknown_fields=False",
        "tests/unit/illuminate/test_pages.py",
    ),
    Mutant(
        "make unparseable numbers zero",
        "transform/values.py",
        "is_finite()).then(number)",
        "is_finite()).then(number).otherwise(0.0)",
        "tests/unit/transform/test_values.py",
    ),
    Mutant(
        "read titles as they are spelled",
        "inputs/rules.py",
        "        simple = simplify(text)\n",
        "        simple = text\n",
        "tests/unit/transform/test_labels.py -k spellings",
    ),
    Mutant(
        "sort unit 10 before unit 2",
        "inputs/rules.py",
        """r"0\\g<0>", label)""",
        """r"\\g<0>", label)""",
        "tests/unit/transform/test_labels.py -k order_of_teaching",
    ),
    Mutant(
        "let spreadsheets run text",
        "storage/formulas.py",
        "pl.when(text.str.contains(FORMULA))",
        'pl.when(text.str.contains("never"))',
        "tests/unit/transform/test_values.py",
    ),
    Mutant(
        "let spreadsheets run the titles of labels",
        "tasks/transform.py",
        "frames = (labels.escape(listed), labels.escape(unmapped), by_grade)",
        "frames = (listed, unmapped, by_grade)",
        "tests/functional/test_tables.py -k no_spreadsheet",
    ),
    Mutant(
        "load the apostrophe of a CSV",
        "publish/database/duckdb_file.py",
        "{formulas.unescape_sql(name)} AS {name}",
        "{name}",
        "tests/databases/test_load.py -k apostrophe",
    ),
    Mutant(
        "take any of equal rows for the latest",
        "transform/attempts.py",
        '.sort(*rule, "position")',
        '.sort(*rule, -pl.col("position"))',
        "tests/unit/transform/test_attempts.py",
    ),
    Mutant(
        "compare percentages and points as text",
        "transform/attempts.py",
        "percent, points, version = map(parse_number, numbers)",
        "percent, points, version = (*numbers[:2], parse_number(numbers[-1]))",
        "tests/functional/test_latest.py -k best",
    ),
    Mutant(
        "compare versions as text",
        "transform/attempts.py",
        '        "version_number": version,\n',
        "",
        "tests/functional/test_latest.py -k best",
    ),
    Mutant(
        "lose one of two standards that share a code",
        "transform/attempts.py",
        ".otherwise(guid)",
        ".otherwise(guid.max().over(standard))",
        "tests/functional/test_latest.py -k best",
    ),
    Mutant(
        "split attempts where one lacks the guid",
        "transform/attempts.py",
        "is_only = guid.drop_nulls().n_unique().over(standard) == 1",
        "is_only = False",
        "tests/unit/transform/test_attempts.py",
    ),
    Mutant(
        "distinguish attempts by what the tables do not have",
        "transform/attempts.py",
        "if name not in CONSTANT_COLUMNS[endpoint]]",
        "if name]",
        "tests/unit/transform/test_attempts.py",
    ),
    Mutant(
        "cut an assessment in two",
        "transform/attempts.py",
        "        .group_by(_ASSESSMENT)",
        "        .group_by(*_ASSESSMENT, position // 2 * 2)",
        "tests/unit/transform/test_attempts.py",
    ),
    Mutant(
        "let SQL open any file",
        "transform/sql_views.py",
        "SET enable_external_access = false",
        "SET enable_external_access = true",
        "tests/unit/transform/test_sql_views.py -k no_other_file",
    ),
    Mutant(
        "show the value that cannot be cast",
        "transform/sql_views.py",
        "reason = EXPLANATIONS.get(\n",
        "reason = str(error) or (\n",
        "tests/unit/transform/test_sql_views.py -k shows_no_value",
    ),
    Mutant(
        "let SQL read the views of DuckDB itself",
        "transform/sql_rules.py",
        "WHERE own.internal AND",
        "WHERE NOT own.internal AND",
        "tests/unit/transform/test_sql_views.py -k invalid_sql",
    ),
    Mutant(
        "let SQL run on when the run is to stop",
        "transform/interrupt.py",
        "if is_late or stop.is_set():",
        "if is_late:",
        "tests/unit/transform/test_sql_views.py -k a_stop_interrupts",
    ),
    Mutant(
        "leave the order of rows to chance",
        "transform/sql_views.py",
        'order = "" if has_order else " ORDER BY ALL"',
        'order = ""',
        "tests/unit/transform/test_sql_views.py -k order",
    ),
    Mutant(
        "compare ids of assessments as text",
        "report/aggregates.py",
        '.sort("date_taken", number, "assessment_id"',
        '.sort("date_taken", "assessment_id"',
        "tests/unit/report/test_suppression.py -k one_day",
    ),
    Mutant(
        "cover suppressed groups",
        "report/findings.py",
        "tested = aggregates.tested(view, groups)",
        "tested = aggregates.tested(view, bands)",
        "tests/unit/report/test_suppression.py -k coverage",
    ),
    Mutant(
        "take ids that a spreadsheet damaged",
        "inputs/roster.py",
        "    _refuse(path, cells[ids.str.contains(_DAMAGED)], damaged, export_as_text)\n",
        "",
        "tests/unit/inputs/test_roster.py -k damaged",
    ),
    Mutant(
        "take the first of two columns with the grade",
        "inputs/roster.py",
        "names.count(name.casefold()) > 1]",
        "names.count(name.casefold()) > 2]",
        "tests/unit/inputs/test_roster.py -k repeated_heading",
    ),
    Mutant(
        "count no near misses of the roster",
        "transform/views.py",
        "(is_near & is_on_it.is_null()).sum()",
        "(is_near & is_on_it).sum()",
        "tests/unit/transform/test_views.py -k near_miss",
    ),
    Mutant(
        "list no override for a grade that nobody is in",
        "transform/views.py",
        'wanted.join(matched, on=key, how="anti", maintain_order="left")',
        'wanted.join(matched, on=key, how="semi", maintain_order="left")',
        "tests/unit/transform/test_views.py -k no_student_is_in",
    ),
    Mutant(
        "take a year of prior files twice",
        "tasks/years.py",
        "            if other != path:\n",
        "            if False:\n",
        "tests/functional/test_all_years.py -k overlapping",
    ),
    Mutant(
        "take every row of the earlier scripts for one by standard",
        "inputs/prior_years.py",
        'cells[code_at] == "percent"',
        "False",
        "tests/unit/inputs/test_prior_years.py -k response_type",
    ),
    Mutant(
        "count titles of suppressed groups",
        "report/aggregates.py",
        'without_unit = _of_groups(_rows(view).filter(pl.col("unit").is_null()), groups)',
        'without_unit = _rows(view).filter(pl.col("unit").is_null())',
        "tests/unit/report/test_suppression.py -k any_size",
    ),
    Mutant(
        "show every attempt as the latest",
        "transform/views.py",
        'labelled.filter(pl.col("attempts").is_not_null())',
        "labelled.with_columns(pl.col(ATTEMPTS).fill_null(1))",
        "tests/unit/transform/test_attempts.py -k plain_python",
    ),
    Mutant(
        "take any time of day for a date",
        "schema.py",
        "([ T]00:00(:00",
        "([ T][0-9]{2}:[0-9]{2}(:00",
        "tests/unit/transform/test_values.py -k date",
    ),
    Mutant(
        "overlook midnights outside of the window",
        "illuminate/requested.py",
        "dates.filter(dates.str.contains(DATE))",
        "dates.filter(dates.str.len_chars() == 10)",
        "tests/unit/illuminate/test_client.py -k window",
    ),
    Mutant(
        "publish less of a column that was published before",
        "publish/guards.py",
        "most = max(rows * (share + drop), ",
        "most = max(rows, ",
        "tests/unit/publish/test_guards.py -k readable",
    ),
    Mutant(
        "publish columns without asking how much of them can be read",
        "tasks/publish.py",
        "        found += compare_columns(self, now)\n",
        "",
        "tests/functional/test_guards.py -k half",
    ),
    Mutant(
        "request a year that has not begun",
        "tasks/extract.py",
        "        check_has_begun(self)\n",
        "",
        "tests/functional/test_years.py -k refused_before",
    ),
    Mutant(
        "publish a finished year without results",
        "tasks/guards.py",
        "if has_results or not task.paths.is_of_whole_year or",
        "if True or",
        "tests/functional/test_guards.py -k finished",
    ),
    Mutant(
        "remove a newer snapshot with the old ones",
        "storage/snapshots.py",
        "if _days(each) < _days(snapshot)]",
        "if each != snapshot]",
        "tests/unit/storage/test_snapshots.py",
    ),
    Mutant(
        "remove a snapshot under its own name",
        "storage/snapshots.py",
        "        snapshot.rename(hidden)\n",
        "        hidden = snapshot\n",
        "tests/unit/storage/test_snapshots.py",
    ),
    Mutant(
        "remove old snapshots though nothing was published",
        "runs/record.py",
        "        if is_published and isinstance(tables.paths, Snapshot):",
        "        if isinstance(tables.paths, Snapshot):",
        "tests/functional/test_retention.py -k publishes_nothing",
    ),
    Mutant(
        "clean the published snapshot away",
        "commands/clean_snapshots.py",
        'return {resumed, as_of, f"{as_of}-on-{fetched_on}"}',
        "return {resumed}",
        "tests/functional/test_retention.py -k clean",
    ),
    Mutant(
        "link a shard by its size",
        "extract/shards.py",
        "path.stat().st_size == len(content) and path.read_bytes() == content",
        "path.stat().st_size == len(content)",
        "tests/functional/test_nights.py -k damaged",
    ),
    Mutant(
        "link a table unread",
        "tasks/targets.py",
        "receipt.outputs[path.name].has_content(old) for",
        "receipt.outputs[path.name].matches(old) for",
        "tests/functional/test_nights.py -k damaged",
    ),
    Mutant(
        "take what another district has",
        "tasks/base.py",
        'if receipt and receipt.key.parameters.get("source") == source',
        "if receipt",
        "tests/functional/test_nights.py -k another_source",
    ),
    Mutant(
        "leave published files as readers of yesterday may read them",
        "publish/commit.py",
        "    if not all(files.has_mode(folder / name) for name in earlier.files):",
        "    if False:",
        "tests/unit/publish/test_commit.py -k something_else",
    ),
    Mutant(
        "link a file that others may read",
        "storage/files.py",
        "        if not has_mode(existing):",
        "        if False:",
        "tests/unit/storage/test_files.py",
    ),
    Mutant(
        "believe ranges that are not the whole year",
        "extract/by_page.py",
        "            if rows == declared:",
        "            if rows:",
        "tests/unit/extract/test_by_page.py",
    ),
    Mutant(
        "compare counts and not rows",
        "extract/by_page.py",
        "if here != there or (one is not None and not same_rows(one, other)):",
        "if here != there:",
        "tests/unit/extract/test_by_page.py",
    ),
    Mutant(
        "give up instead of halving a range that fails",
        "extract/by_page.py",
        "        if ranges.days(window) == 1:\n            raise",
        "        if True:\n            raise",
        "tests/unit/extract/test_by_page.py",
    ),
    Mutant(
        "forget what was found by page on a day when that does not work",
        "tasks/by_page.py",
        "catalogue.unlisted(published)}",
        "[]}",
        "tests/functional/test_by_page.py -k lost_on_a_day",
    ),
    Mutant(
        "take no results for an answer",
        "extract/by_page.py",
        "        if not declared and not self.may_be_none:",
        "        if False:",
        "tests/unit/extract/test_by_page.py",
    ),
    Mutant(
        "request each assessment unless told otherwise",
        "../luigi.cfg",
        "strategy=auto",
        "strategy=by_assessment",
        "tests/functional/test_reruns.py -k by_page_one_request",
    ),
    Mutant(
        "note shards made of pages before their names are safe",
        "tasks/by_page.py",
        "        files.fsync(files.make_folder(target.folder))",
        "        files.make_folder(target.folder)",
        "tests/crash/test_power_cut.py -k pages",
    ),
    Mutant(
        "count rows without a date in each range that has them",
        "extract/by_page.py",
        "rows = _rows(found) - sum(repeats(paths).values())",
        "rows = _rows(found)",
        "tests/unit/extract/test_by_page.py",
    ),
    Mutant(
        "keep rows without a date as often as ranges have them",
        "extract/parts.py",
        "return rows.filter(~_UNDATED) if path in self._repeats else rows",
        "return rows",
        "tests/unit/extract/test_by_page.py",
    ),
    Mutant(
        "read every range before rows without a date are compared",
        "extract/by_page.py",
        "                if some == planned[:1] and planned[1:]:",
        "                if False:",
        "tests/unit/extract/test_by_page.py",
    ),
    Mutant(
        "name a title that few students have results under",
        "report/findings.py",
        "in titles.items() if not rule.suppressed(of))",
        "in titles.items())",
        "tests/unit/report/test_suppression.py",
    ),
)


def main() -> int:
    """Try every break; 0 when each was noticed."""
    missed = [mutant.what for mutant in MUTANTS if not noticed(mutant)]
    print(f"{len(MUTANTS) - len(missed)} of {len(MUTANTS)} breaks were noticed.")
    if missed:
        print("Not noticed: " + ", ".join(missed))
    return 1 if missed else 0


def noticed(mutant: Mutant) -> bool:
    """Whether the tests fail on a copy of the code with the break in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(REPOSITORY, copy, ignore=LEFT_OUT)
        file = copy / "pipeline" / mutant.file
        text = file.read_text(encoding="utf-8")
        if mutant.before not in text:
            print(f"gone     {mutant.what}: the line to break is not in {mutant.file}")
            return False
        file.write_text(text.replace(mutant.before, mutant.after, 1), encoding="utf-8")
        found = run_tests(copy, mutant.tests)
    print(f"{'noticed' if found else 'MISSED '}  {mutant.what} ({mutant.tests})", flush=True)
    return found


def run_tests(copy: Path, tests: str) -> bool:
    """Whether at least one of the tests fails, or hangs, on the copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy)},
            capture_output=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in {0, 1}:
        raise SystemExit(f"the tests {tests} could not be run:\n{done.stdout.decode()}")
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
