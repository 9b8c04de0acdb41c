"""`make dev`: the location loads, a launched run succeeds, history is kept, sample data arrives, Ctrl-C stops all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.integration.shop import ROOT
from tests.integration.ui import make_dev

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

LIBRARY = ROOT / "tests" / "projects" / "lending_library"


def test_a_job_launched_in_the_ui_builds_its_group_and_its_run_survives_a_restart(tmp_path: Path) -> None:
    project = shutil.copytree(LIBRARY, tmp_path / "library")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ANALYTICS_", "DAGSTER_"))},
        "ANALYTICS_DBT_PROJECT_DIR": str(project),
        "ANALYTICS_DBT_PROFILES_DIR": str(project / "profiles"),
        "ANALYTICS_SCHEDULE_GROUPS_FILE": str(project / "schedule_groups.yaml"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    log = tmp_path / "dev.log"
    landing = tmp_path / "landing"
    with make_dev(environment, landing=landing, log=log) as ui:
        run = ui.launch("opening_time")
        assert ui.wait_for_end(run) == "SUCCESS", log.read_text()
        schedules = ui.ask(
            '{schedulesOrError(repositorySelector: {repositoryLocationName: "analytics_dagster", '
            'repositoryName: "__repository__"}) {... on Schedules {results {name cronSchedule executionTimezone '
            "scheduleState {status}}}}}",
        )["schedulesOrError"]["results"]
        assert {one["name"]: (one["cronSchedule"], one["executionTimezone"]) for one in schedules} == {
            "closing_time_schedule": ("30 18 * * 1-6", "Europe/Berlin"),
            "opening_time_schedule": ("['0 8 * * *', '0 13 * * *']", "UTC"),
        }
        assert {one["scheduleState"]["status"] for one in schedules} == {"STOPPED"}
    assert list(landing.rglob("*.parquet"))
    with make_dev(environment, landing=landing, log=log) as ui:
        assert ui.status(run) == "SUCCESS"
