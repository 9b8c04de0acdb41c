"""Dagster's home is checked and never created."""

from __future__ import annotations

from pathlib import Path

from analytics_dagster.cli.doctor import dagster_storage
from analytics_dagster.cli.doctor.result import CheckStatus
from analytics_dagster.settings import Settings


def test_a_missing_home_is_not_created(tmp_path: Path) -> None:
    [ours] = dagster_storage.check_storage(Settings(dbt_project_dir=tmp_path / "dbt"))
    assert ours.status is CheckStatus.OK
    [named] = dagster_storage.check_storage(Settings(dagster_home=tmp_path / "home"))
    assert named.status is CheckStatus.WARNING
    assert named.remedy == f"mkdir -p {tmp_path / 'home'}"
    [relative] = dagster_storage.check_storage(Settings(dagster_home=Path("home")))
    assert relative.status is CheckStatus.ERROR
    assert list(tmp_path.iterdir()) == []
