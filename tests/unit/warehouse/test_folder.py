"""Folders of results: atomic writes, paths and URLs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analytics_dagster.errors import FolderError
from analytics_dagster.execution.failures.classification import FailureKind, classify
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse.folder import Folder, reports_folder


@pytest.mark.parametrize("kind", ["folder", "file URL", "memory URL"])
def test_a_file_is_written_once_for_the_same_bytes_without_temporary_files(kind: str, tmp_path: Path) -> None:
    urls = {"folder": str(tmp_path), "file URL": tmp_path.as_uri(), "memory URL": f"memory://{tmp_path.name}"}
    folder = Folder(urls[kind]) / "exports"
    assert folder.names() == set()
    assert folder.write("a/b.txt", b"one")
    assert not folder.write("a/b.txt", b"one")
    assert folder.write("a/b.txt", b"two")
    assert folder.names() == {"a/b.txt"}
    folder.delete("a/b.txt")
    assert folder.names() == set()


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(str(tmp_path))
    folder.write("a.txt", b"old")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FolderError, match="No space left") as raised:
        folder.write("a.txt", b"new")
    assert classify(str(raised.value)) is FailureKind.DISK_FULL
    assert folder.names() == {"a.txt"}
    assert (tmp_path / "a.txt").read_bytes() == b"old"


def test_options_are_not_in_the_repr_of_a_folder() -> None:
    assert "hush" not in repr(Folder("s3://bucket", {"secret": "hush"}))


def test_a_link_is_the_files_url_unless_there_is_a_web_url(tmp_path: Path) -> None:
    local = Folder(str(tmp_path)) / "pages"
    assert (local.path("a.html"), local.link("a.html")) == (
        str(tmp_path / "pages" / "a.html"),
        (tmp_path / "pages" / "a.html").as_uri(),
    )
    bucket = Folder("s3://bucket/reports/")
    assert bucket.path("a.html") == bucket.link("a.html") == "s3://bucket/reports/a.html"
    found = Folder("s3://bucket/reports", web_url="https://reports.example.com/") / "pages"
    assert found.path("a.html") == "s3://bucket/reports/pages/a.html"
    assert found.link("a.html") == "https://reports.example.com/pages/a.html"


def test_the_folder_of_reports_follows_the_settings() -> None:
    folder = reports_folder(
        Settings(
            reports_url="s3://reports", reports_web_url="https://reports", landing_storage_options={"profile": "shop"}
        )
    )
    assert folder == Folder("s3://reports", {"profile": "shop"}, web_url="https://reports")
    assert reports_folder(Settings(data_dir=Path("/data"))) == Folder("/data/reports")
