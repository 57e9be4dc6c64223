"""What only BigQuery has: a script in place of a transaction, staging tables, an account."""

import datetime as dt
import json
import sys
from pathlib import Path
from unittest.mock import create_autospec

import polars as pl
import pytest
from google.cloud.bigquery import Client, DatasetReference, SchemaField

from pipeline.errors import LoadError, SettingsError
from pipeline.publish.database import bigquery
from pipeline.publish.database.published_set import Field, SourceTable
from tests.databases.conftest import Desk, frames
from tests.databases.test_load import PAUSING, STEMS

STAGING = "pipeline_staging_"


def staging(bq: Desk) -> list[str]:
    assert bq.emulator
    names = [table.table_id for table in bq.emulator.tables(bq.dataset)]
    return [name for name in names if name.startswith(STAGING)]


def test_the_account_signs_for_a_token_and_no_staging_table_is_left(bq: Desk) -> None:
    assert bq.emulator
    before = len(bq.emulator.tokens)
    bq.publish(frames("23-24", 3), "first")
    assert bq.load().returncode == 0
    assert len(bq.emulator.tokens) > before
    assert staging(bq) == []


def test_readers_see_nothing_of_a_load_before_its_end(bq: Desk) -> None:
    """A killed load leaves its staging tables, which are in the way of none."""
    bq.publish(frames("23-24", 10), "first")
    assert bq.load().returncode == 0
    before = bq.everything()
    bq.publish(frames("23-24", 30), "second")
    with bq.start("-c", PAUSING) as process:
        for _ in STEMS:
            assert process.stdout
            assert process.stdin
            assert process.stdout.readline() == "replaced\n"
            assert bq.everything() == before
            if _ != STEMS[-1]:
                process.stdin.write("\n")
                process.stdin.flush()
        process.kill()
    assert bq.everything() == before
    left = staging(bq)
    assert len(left) == len(STEMS)
    assert bq.load().returncode == 0
    assert len(bq.content(STEMS[0])) == 30
    assert staging(bq) == left


def test_of_two_loads_at_once_the_slower_one_changes_nothing(bq: Desk, tmp_path: Path) -> None:
    elsewhere = Desk(tmp_path / "elsewhere", bq.database, bq.environment, bq.secrets, bq.emulator)
    bq.publish(frames("23-24", 2), "first")
    elsewhere.publish(frames("22-23", 5), "before", "22-23", source="the demo district")
    with bq.start("-c", PAUSING) as process:
        assert process.stdout
        assert process.stdout.readline() == "replaced\n"
        assert elsewhere.load("22-23").returncode == 0
        loaded = bq.everything()
        out, err = process.communicate("\n" * len(STEMS), timeout=60)
    assert process.returncode == 30
    assert "another load ended meanwhile" in out + err
    assert bq.everything() == loaded
    assert staging(bq) == []


def test_rows_that_are_lost_on_the_way_undo_everything(bq: Desk) -> None:
    """Another program adds to a table between its count and the end of the script."""
    bq.publish(frames("23-24", 4), "first")
    assert bq.load().returncode == 0
    before = bq.everything()
    bq.publish(frames("23-24", 6), "second")
    losing = PAUSING.replace(
        "from pipeline.__main__",
        "from pipeline.publish.database import bigquery\n"
        "real_insert = bigquery._BigQuery.insert_rows\n"
        "def insert(self, table, year):\n"
        "    rows = real_insert(self, table, year)\n"
        "    self._script[-2] += ' LIMIT 1'\n"
        "    return rows\n"
        "bigquery._BigQuery.insert_rows = insert\n"
        "from pipeline.__main__",
    )
    with bq.start("-c", losing) as process:
        out, err = process.communicate("\n" * len(STEMS), timeout=60)
    assert process.returncode == 30
    assert "a table would not have had all of its rows" in out + err
    assert bq.everything() == before


def test_a_name_that_bigquery_does_not_accept_is_refused(bq: Desk) -> None:
    content = frames("23-24", 2)
    content["growth_view"] = pl.DataFrame({"year": ["23-24"], "share in %": [1]})
    bq.publish(content, "first")
    done = bq.load()
    assert done.returncode == 30
    assert "Column share in % of growth_view has a name that BigQuery" in done.stdout + done.stderr
    assert not [rows for rows in bq.everything().values() if rows]


def test_a_date_that_bigquery_cannot_store_is_reported_without_it(bq: Desk) -> None:
    content = frames("23-24", 3)
    before_christ = pl.lit(-800_000).cast(pl.Date).alias("date_taken")
    content[STEMS[0]] = content[STEMS[0]].with_columns(before_christ)
    bq.publish(content, "first")
    done = bq.load()
    said = (done.stdout + done.stderr).replace("as of 2024-06-30", "")
    assert "-0" not in said


def test_what_a_district_added_to_a_description_is_kept(bq: Desk) -> None:
    """A description of ours is restored; a column of the district's own keeps its own."""
    assert bq.emulator
    bq.publish(frames("23-24", 2), "first")
    assert bq.load().returncode == 0
    bq.change(f"ALTER TABLE {STEMS[0]} ADD COLUMN own STRING")
    name = f"{bq.dataset}.{STEMS[0]}"
    table = bq.emulator.client.get_table(name)
    table.schema = [
        *(SchemaField(f.name, f.field_type, description="changed") for f in table.schema),
        SchemaField("own", "STRING", description="the district's own"),
    ]
    bq.emulator.client.update_table(table, ["schema"])
    bq.publish(frames("23-24", 3), "second")
    assert bq.load().returncode == 0
    meanings = {f.name: f.description for f in bq.emulator.client.get_table(name).schema}
    assert meanings["own"] == "the district's own"
    assert meanings["title"] == "Title of the assessment, as sent"


def test_a_dataset_is_never_created(bq: Desk) -> None:
    bq.publish(frames("23-24", 2), "first")
    url = bq.environment["PIPELINE_DATABASE_URL"].replace("district_", "nowhere_")
    done = bq.load(PIPELINE_DATABASE_URL=url)
    assert done.returncode == 30
    assert "there is no such project or dataset" in done.stdout + done.stderr
    assert bq.emulator
    assert bq.dataset in [each.dataset_id for each in bq.emulator.client.list_datasets()]
    assert not [x for x in bq.emulator.client.list_datasets() if "nowhere" in x.dataset_id]


# Without an emulator.


@pytest.mark.parametrize(
    "url", ["bigquery://", "bigquery://project", "bigquery://me:halibut-7@project/dataset"]
)
def test_an_invalid_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError) as error, bigquery.open_writable(url):
        pass
    assert "is like bigquery://project/dataset" in str(error.value)
    assert "halibut" not in str(error.value)


def test_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)
    monkeypatch.delattr("google.cloud.bigquery")
    with (
        pytest.raises(SettingsError, match="run make bigquery, then"),
        bigquery.open_read_only("bigquery://project/dataset"),
    ):
        pass


def test_an_account_without_a_key_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with (
        pytest.raises(LoadError, match="set GOOGLE_APPLICATION_CREDENTIALS"),
        bigquery.open_read_only("bigquery://project/dataset"),
    ):
        pass


def test_a_staging_table_expires_within_a_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The emulator does not keep when a table expires."""
    pl.DataFrame({"n": [1]}).write_parquet(tmp_path / "own.parquet")
    table = SourceTable("own", "", tmp_path / "own.parquet", (Field("n", "integer"),))
    client = create_autospec(Client, instance=True)
    bigquery._BigQuery(client, DatasetReference("project", "dataset"))._stage(table)
    (created,), _ = client.create_table.call_args
    left = created.expires - dt.datetime.now(dt.UTC)
    assert dt.timedelta(0) < left <= dt.timedelta(days=1)
    assert created.table_id.startswith(STAGING)


def test_what_is_tried_is_removed() -> None:
    client = create_autospec(Client, instance=True)
    database = bigquery._BigQuery(client, DatasetReference("project", "dataset"))
    database.try_creating()
    database.remove_staging()
    (created,), _ = client.create_table.call_args
    (removed,), _ = client.delete_table.call_args
    assert created.table_id == removed.table_id
    assert created.table_id.startswith(STAGING)
    assert created.expires is not None


TEXTS = ["plain", "it's", "back\\slash", "two\nlines\r", "\\'); DROP TABLE x; --", "Zoë 🙂", ""]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_quoted_as_json_would(text: str) -> None:
    """BigQuery has the escapes of JSON, and a text cannot end its own quotes."""
    quoted = bigquery._BigQuery.text(object(), text)  # type: ignore[arg-type]
    assert quoted[0] == quoted[-1] == "'"
    inside = quoted[1:-1].replace("\\'", "'")
    assert json.loads('"' + inside.replace('"', '\\"') + '"') == text
