"""The demo of many districts, with the command that people type."""

from pathlib import Path

from tests.functional.conftest import REPOSITORY, Workplace


def test_it_succeeds_twice_and_leaves_the_real_tables_alone(tmp_path: Path) -> None:
    real = tmp_path / "real"
    place = Workplace(
        tmp_path,
        {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg"), "PIPELINE_LAKEHOUSE": str(real)},
    )
    for new in (3, 0):
        done = place.look("state", "demo", "--year", "23-24")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"3 of 3 published, {new} with something new." in done.stdout
        assert "Everybody in northfield, lakeside, westbrook is made up." in done.stdout
    assert (place.data / "state-demo" / "published.json").exists()
    assert not real.exists()
