"""The location: a project is prepared only where allowed, and garbage collection is paused while it loads."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from analytics_dagster.location import build_location, gc_paused

if TYPE_CHECKING:
    from tests.conftest import Library, Preparation


@pytest.mark.integration
def test_dagster_dev_prepares_a_stale_project_and_announces_it(
    prepared: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    path = prepared.project / "transformations" / "shelf.sql"
    path.write_text(path.read_text() + "-- changed\n")
    project = build_location(prepared.settings(is_dev_cli=True)).project
    assert "-- changed" in project.manifest["nodes"]["model.lending_library.shelf"]["raw_code"]
    output = capsys.readouterr()
    assert output.err == f"Preparing the dbt project {prepared.project} ({path} changed)\n"
    assert output.out == ""
    build_location(prepared.settings())


def test_dagster_dev_does_not_prepare_a_prepared_project_again(preparation: Preparation) -> None:
    before = preparation.library.manifest.stat()
    build_location(preparation.library.settings(is_dev_cli=True))
    after = preparation.library.manifest.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_garbage_collection_is_paused_and_later_excludes_the_definitions() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.set_threshold(700)
    try:
        with gc_paused():
            assert not gc.isenabled()
            kept = [[number] for number in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() - frozen >= len(kept)
        assert gc.get_threshold()[0] > 700
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
