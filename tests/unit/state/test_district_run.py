"""What a district's own process gets of the environment."""

from pathlib import Path

import pytest

from pipeline.state.district_run import environment
from pipeline.state.districts import District


@pytest.fixture
def north(tmp_path: Path) -> District:
    (tmp_path / "ILLUMINATE_CLIENT_ID").write_text("me", encoding="utf-8")
    (tmp_path / "ILLUMINATE_CLIENT_SECRET").write_text("mine", encoding="utf-8")
    (tmp_path / "README").write_text("how to renew them", encoding="utf-8")
    return District(
        district="north",
        base_url="https://north.example/live",
        rosters="/exports/north_{year}.txt",
        title_rules="",
        manual_changes="",
        secrets_folder=str(tmp_path),
        time_zone="America/Denver",
    )


def test_it_is_that_of_the_district_and_of_no_other(north: District, tmp_path: Path) -> None:
    parent = {
        "PATH": "/bin",
        "PYTHONPATH": "/code",
        "LUIGI_CONFIG_PATH": "/etc/luigi.cfg",
        "TZ": "UTC",
        "ILLUMINATE_BASE_URL": "https://other.example/live",
        "ILLUMINATE_CLIENT_SECRET": "another's",
        "PIPELINE_DATA_DIR": "/data",
        "SAVE_PATH": "/tables",
        "STUDENT_ROSTERS": "/other.txt",
        "TITLE_RULES": "/rules.csv",
        "PIPELINE_WEBHOOK_URL": "https://hooks.example",
        "AWS_SECRET_ACCESS_KEY": "the state's",
    }
    assert environment(north, Path("/state/districts/north"), parent) == {
        "PATH": "/bin",
        "PYTHONPATH": "/code",
        "LUIGI_CONFIG_PATH": "/etc/luigi.cfg",
        "TZ": "America/Denver",
        "PIPELINE_DATA_DIR": "/state/districts/north",
        "ILLUMINATE_BASE_URL": "https://north.example/live",
        "STUDENT_ROSTERS": "/exports/north_{year}.txt",
        "ILLUMINATE_CLIENT_ID_FILE": f"{tmp_path}/ILLUMINATE_CLIENT_ID",
        "ILLUMINATE_CLIENT_SECRET_FILE": f"{tmp_path}/ILLUMINATE_CLIENT_SECRET",
    }
