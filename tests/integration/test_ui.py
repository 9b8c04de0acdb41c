"""`make dev`: the location loads, a launch runs, history is kept, the shop sells on, and Ctrl-C ends all of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.shop import BIN, ROOT
from tests.integration.ui import Ui, free_port, opened
from tests.workshop import wait_for

pytestmark = pytest.mark.integration

LIBRARY = ROOT / "tests" / "projects" / "lending_library"


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _make_dev(environment: Mapping[str, str], log: Path) -> Iterator[Ui]:
    port = free_port()
    command = [
        # The environment is there already: make is told not to look whether it is older than its requirements.
        *("make", "dev", f"VENV={BIN.parent}", "--old-file", f"{BIN.parent}/shop"),
        *(f"PORT={port}", f"LANDING={log.parent / 'landing'}"),
    ]
    with opened(command, port=port, environment=environment, folder=ROOT, log=log) as ui:
        yield ui
    wait_for("all that make started has ended", lambda: not _is_alive(ui.process.pid), 60)


def test_a_job_launched_from_the_ui_builds_its_group_and_its_run_outlives_a_restart(tmp_path: Path) -> None:
    project = shutil.copytree(LIBRARY, tmp_path / "library")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ANALYTICS_", "DAGSTER_"))},
        "ANALYTICS_DBT_PROJECT_DIR": str(project),
        "ANALYTICS_DBT_PROFILES_DIR": str(project / "profiles"),
        "ANALYTICS_SCHEDULE_GROUPS_FILE": str(project / "schedule_groups.yaml"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    log = tmp_path / "dev.log"
    with _make_dev(environment, log) as ui:
        run = ui.launch("opening_time")
        wait_for("the run has ended", lambda: ui.status(run) in {"SUCCESS", "FAILURE", "CANCELED"}, 150)
        assert ui.status(run) == "SUCCESS", log.read_text()
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
    assert list((tmp_path / "landing").rglob("*.parquet"))
    with _make_dev(environment, log) as ui:
        assert ui.status(run) == "SUCCESS"
