"""What doctor says of the places where results go beside the published folders."""

from types import SimpleNamespace

import pytest

from pipeline.commands.doctor import deliveries
from pipeline.commands.doctor.note import Note
from pipeline.config import settings
from pipeline.publish import copies


@pytest.mark.parametrize(
    ("why", "found"),
    [
        ("", "a file was written to s3://bucket/copies, read and removed"),
        (
            "permission denied",
            Note(
                "a file was written to s3://bucket/copies and read; it could not be deleted "
                "(permission denied), so .illuminate-pipeline-test stays there, and so will copies "
                "of earlier tables; allow deleting, if that is not wanted"
            ),
        ),
    ],
)
def test_copies_work_where_nothing_may_be_deleted(
    monkeypatch: pytest.MonkeyPatch, why: str, found: str | Note
) -> None:
    monkeypatch.setattr(settings, "read", lambda _: SimpleNamespace(copy_to="s3://bucket/copies"))
    monkeypatch.setattr(copies, "check_copy_destination", lambda _: why)
    assert deliveries.copies(SimpleNamespace()) == found  # type: ignore[arg-type]
