"""The report of a run: when it is made, what it says, and how it looks in a browser."""

import base64
import datetime as dt
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.simulator import District, Server
from pipeline.years import SchoolYear
from tests.functional.conftest import LUIGI, REPOSITORY, YEAR, Workplace
from tests.functional.test_reruns import newest_record

SCREENSHOTS = REPOSITORY / "build"
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
CHARTS = ("curricula", "grades", "cells", "years", "units", "schools")


def page_of(place: Workplace) -> Path:
    return next(place.data.rglob("reports/*.html"))


def text_of(page: Path) -> str:
    """Return the text of the page, without tags."""
    return re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8"))


def run(place: Workplace, *options: str) -> str:
    """Run with the report, as shipped; return standard output."""
    done = place.run("--report-enabled", "true", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Run two years of the demo district."""
    folder = tmp_path_factory.mktemp("report")
    place = Workplace(folder, {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg")})
    for year in ("22-23", "23-24"):
        command = (LUIGI, "--module", "pipeline", "RunAll", "--year", year)
        done = place.finish(place.start(*command))
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"report      {Path('data/demo/reports/23-24.html')}" in done.stdout
    return place


def test_the_report_is_rebuilt_only_if_something_changed(place: Workplace) -> None:
    run(place)
    page = page_of(place)
    before = page.stat()
    assert stat.S_IMODE(before.st_mode) == 0o600
    assert "no table was changed" in run(place)
    assert page.stat().st_mtime_ns == before.st_mtime_ns
    run(place, "--report-smallest-group", "25")
    assert "fewer than 25 students" in text_of(page)
    page.unlink()
    run(place)
    assert "fewer than 10 students" in text_of(page)
    assert not place.leftovers()


def test_assessments_that_the_catalogue_does_not_list_are_named(demo: Workplace) -> None:
    hidden = District.make().unlisted_ids(SchoolYear(2023))
    assert hidden
    listed = text_of(demo.data / "demo/reports/23-24.html").partition(
        "that the catalogue does not list"
    )[2]
    assert not [each for each in hidden if f" {each}" not in listed]


def test_a_smallest_group_that_is_too_small_is_refused_before_any_request(
    place: Workplace, server: Server
) -> None:
    done = place.run("--report-smallest-group", "4")
    assert done.returncode == 30
    assert "it must be 5 or more" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.log == []


def test_no_report_is_made_if_reports_are_disabled(place: Workplace) -> None:
    done = place.run()
    assert done.returncode == 0
    assert not (place.data / "reports" / f"{YEAR}.html").exists()
    assert "  report " not in done.stdout


def test_the_report_command_uses_the_newest_records(place: Workplace) -> None:
    assert place.look("report", "--year", YEAR).returncode == 1
    run(place)
    assert "The latest run is complete." in text_of(page_of(place))
    for shard in place.shards("overall").glob("*.parquet"):
        shard.unlink()
    failed = place.run(ILLUMINATE_BASE_URL="http://127.0.0.1:1/live")
    assert failed.returncode == 30
    done = place.look("report", "--year", YEAR)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(page_of(place).relative_to(place.folder)) in done.stdout
    assert "The latest run is not complete." in text_of(page_of(place))


def alter(view: Path) -> None:
    """Change a byte of a published file, but neither its size nor its modification time."""
    status = view.stat()
    altered = bytearray(view.read_bytes())
    altered[len(altered) // 2] ^= 1
    # Written into another file, because the published one is also the one that was built.
    view.unlink()
    view.write_bytes(altered)
    os.utime(view, ns=(status.st_atime_ns, status.st_mtime_ns))


def view_of(place: Workplace, year: str) -> Path:
    return next((place.data / "views" / year).glob("illuminate_latest_results*.parquet"))


def test_a_report_says_nothing_of_a_view_that_was_altered(place: Workplace) -> None:
    """The next run restores it."""
    run(place)
    before, page = place.published(), page_of(place).read_bytes()
    view = view_of(place, YEAR)
    alter(view)
    done = place.look("report", "--year", YEAR)
    assert done.returncode == 1
    assert f"{view.name} was changed or damaged after it was published" in done.stderr
    assert page_of(place).read_bytes() == page
    assert place.run().returncode == 0
    assert place.published() == before
    assert place.look("report", "--year", YEAR).returncode == 0


def test_a_report_compares_with_years_that_were_reported_of_its_own_district(
    place: Workplace,
) -> None:
    def compares() -> bool:
        """What the page follows from is in its receipt."""
        return '"figures of 22-23"' in (place.work / "receipts/Report.json").read_text("utf-8")

    earlier = place.finish(place.start_run("--year", "22-23"))
    assert earlier.returncode == 0, earlier.stdout
    run(place)
    assert not compares()  # nothing of it has been shown

    assert place.look("report", "--year", "22-23").returncode == 0
    run(place)
    assert compares()

    manifest = place.data / "illuminate/22-23/published.json"
    about = json.loads(manifest.read_bytes())
    about["about"]["source"] = "https://another.illuminateed.com/live"
    manifest.write_text(json.dumps(about))
    run(place)
    assert not compares()


def test_a_published_report_follows_what_an_earlier_year_of_the_same_run_may_show(
    place: Workplace,
) -> None:
    """It was up to date when the run began, and is not once the earlier year is disclosed."""
    run(place)
    receipt = place.work / "receipts/Report.json"
    assert '"figures of 22-23"' not in receipt.read_text("utf-8")
    command = (LUIGI, "--module", "pipeline", "RunYears", "--years", f"22-23,{YEAR}")
    done = place.finish(place.start(*command))
    assert done.returncode == 0, done.stdout
    assert '"figures of 22-23"' in receipt.read_text("utf-8")
    assert (
        f"School year {YEAR} as of 2024-06-30: no table was changed; the report was rebuilt."
    ) in done.stdout
    page = place.data / "reports" / f"{YEAR}.html"
    before = page.read_bytes()
    again = place.finish(place.start(*command))
    assert again.stdout.count("everything is up to date; no table was changed.") == 3
    run(place)  # alone
    assert page.read_bytes() == before


def test_a_year_that_has_not_begun_gets_a_report(place: Workplace) -> None:
    """The year before it is not over either."""
    year = str(SchoolYear(dt.date.today().year + 1))  # noqa: DTZ011  as the command sees it
    place.environment["STUDENT_ROSTERS"] = ""
    command = (LUIGI, "--module", "pipeline", "RunAll", "--year", year, "--checks-allow-empty")
    done = place.finish(place.start(*command))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " begins on " in done.stdout.splitlines()[1]
    assert place.look("report", "--year", year).returncode == 0
    assert "No group of students is large enough to show" in text_of(page_of(place))


def test_the_tables_are_published_even_if_the_report_cannot_be_written(
    place: Workplace, undisturbed: dict[str, bytes]
) -> None:
    (place.data / "reports").mkdir(parents=True)
    (place.data / "reports" / f"{YEAR}.html").mkdir()
    done = place.run("--report-enabled", "true")
    assert done.returncode == 30
    assert "published, but the report FAILED" in done.stdout
    assert f"{YEAR}.html cannot be written" in done.stdout
    assert json.loads(newest_record(place))["outcome"] == "not reported"
    assert place.published() == undisturbed


def test_the_page_says_what_it_covers(demo: Workplace) -> None:
    text = text_of(demo.data / "demo/reports/23-24.html")
    assert "every student and every result on this page is made up" in text
    assert "The latest run is complete." in text
    assert "22-23" in text
    for title in (
        "Which grades are reaching mastery?",
        "Are we improving?",
        "How did each assessment go?",
    ):
        assert title in text


def test_no_student_appears_on_the_page(demo: Workplace) -> None:
    """Neither student numbers nor names appear in text, markup or charts."""
    page = (demo.data / "demo/reports/23-24.html").read_text(encoding="utf-8")
    table = next(demo.data.rglob("23-24/assessment_results_combined_historical.csv"))
    import polars as pl

    people = pl.read_csv(table, infer_schema=False).select("local_student_id", "last_name")
    ids = set(people["local_student_id"].drop_nulls())
    assert len(ids) > 1000
    assert not ids & set(re.findall(r"[A-Za-z0-9]+", page))
    names = {name for name in people["last_name"].drop_nulls() if len(name) > 5}
    assert not names & set(re.findall(r"\w+", text_of(demo.data / "demo/reports/23-24.html")))


def test_every_number_in_a_chart_is_in_its_table(demo: Workplace) -> None:
    """So attacks on the tables are attacks on the whole page."""
    page = (demo.data / "demo/reports/23-24.html").read_text(encoding="utf-8")
    axes = {"0", "25", "50", "75", "100"}
    names = "|".join(CHARTS)
    for section in re.findall(f'<section id="(?:{names})".*?</section>', page, re.DOTALL):
        drawn, table = section.split("<details", 1)
        labels = re.findall(r"<text[^>]*>([^<]+)</text>", drawn)
        said = set(re.findall(r"[\d,]+", table))
        numbers = {n for label in labels for n in re.findall(r"[\d,]*\d", label)} - axes
        numbers |= set(re.findall(r"\d+", " ".join(re.findall("<title>(.*?)</title>", drawn))))
        assert numbers
        assert numbers <= said | set(re.findall(r"\d+", " ".join(re.findall("<th.*?</th>", table))))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not (BROWSER and DRIVER):
        message = "Debian's chromium and chromium-driver are not installed: apt-get install them"
        # Set by .ci/run, so that the check can never be skipped there.
        if os.environ.get("PIPELINE_TESTS_IN_CI"):
            pytest.fail(message)
        pytest.skip(message)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


# A busy Chromium says that a page is there when it has only begun to read it.
IS_LOADED = "return document.readyState === 'complete' && location.href === arguments[0]"
LOOK = """
const wide = document.documentElement.clientWidth, out = [];
for (const e of document.querySelectorAll('body *')) {
  if (e.closest('.scroll') && !e.matches('.scroll')) continue;
  const box = e.getBoundingClientRect();
  if (box.width && (box.right > wide + 1 || box.left < -1)) out.push(e.tagName + '.' + e.className);
}
const charts = [...document.querySelectorAll('.chart')].map(chart => {
  const svg = [...chart.querySelectorAll('svg')].find(s => s.getBoundingClientRect().width);
  const box = svg.getBoundingClientRect();
  const marks = [...svg.querySelectorAll('.mark-rect path, .mark-symbol path, .mark-text text')];
  return {name: chart.parentElement.id, width: box.width, height: box.height,
          drawn: marks.filter(m => m.getBoundingClientRect().width > 0).length,
          rows: chart.parentElement.querySelectorAll('tbody tr').length};
});
const root = document.documentElement;
return {out, charts, overflow: root.scrollWidth - root.clientWidth,
        scripts: document.scripts.length};
"""


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_a_browser_draws_everything_and_loads_nothing_else(
    browser: Any, demo: Workplace, width: int
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    page = demo.data / "demo/reports/23-24.html"
    browser.get("about:blank")
    for log in ("performance", "browser"):  # requests of Chromium's own first page
        browser.get_log(log)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(IS_LOADED, page.as_uri()))
    seen = browser.execute_script(LOOK)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 12_000), "scale": 1}
    shot = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    SCREENSHOTS.mkdir(exist_ok=True)
    (SCREENSHOTS / f"report-{width}.png").write_bytes(base64.b64decode(shot["data"]))
    assert (seen["overflow"], seen["out"], seen["scripts"]) == (0, [], 1)
    assert tuple(chart["name"] for chart in seen["charts"]) == CHARTS
    for chart in seen["charts"]:
        assert chart["width"] > 200, chart
        assert chart["height"] > 60, chart
        assert chart["drawn"] >= 2, chart
        assert chart["rows"] >= 1, chart
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    requested = {url for url in requested if not url.startswith(("data:", "about:", "chrome:"))}
    assert requested == {page.as_uri()}
    # Anything that the page's own policy blocked would be logged here.
    assert browser.get_log("browser") == []
