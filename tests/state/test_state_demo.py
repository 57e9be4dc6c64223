"""The demo of many districts, with the command that people type."""

import re
from pathlib import Path

from tests.functional.conftest import REPOSITORY, Workplace


def shown_by(place: Workplace, line: str) -> str:
    """Return what a line prints that the demo says to type."""
    return place.finish(place.start("sh", "-c", line)).stdout


def test_it_succeeds_twice_and_leaves_the_real_tables_alone(tmp_path: Path) -> None:
    real = tmp_path / "real"
    config = (REPOSITORY / "luigi.cfg").read_text(encoding="utf-8")
    # The reports take most of the time.
    config = config.replace("\nenabled=true\n", "\nenabled=false\n")
    (tmp_path / "luigi.cfg").write_text(config, encoding="utf-8")
    place = Workplace(tmp_path, {"PIPELINE_LAKEHOUSE": str(real)})
    for new in (3, 0):
        done = place.look("state", "demo", "--year", "23-24")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"3 of 3 published, {new} with something new." in done.stdout
        assert "Everybody in northfield, lakeside, westbrook is made up." in done.stdout
    status, tables = re.findall("^  (PIPELINE_.*)$", done.stdout, re.MULTILINE)
    assert "3 published" in shown_by(place, status)
    assert "/data/state-demo/tables/" in shown_by(place, tables)
    assert (place.data / "state-demo" / "published.json").exists()
    assert not real.exists()
