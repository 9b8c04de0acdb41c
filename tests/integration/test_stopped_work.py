"""With Dagster's daemon: a run that waits too long is an incident, and so is a code location that can't be loaded."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from analytics_dagster.cli.home_processes import home_processes
from analytics_dagster.process_identity import CHILD_TAG, PROCESS_TAG, tagged_process
from tests.conftest import COMMAND, Library
from tests.integration.ui import free_port, opened
from tests.processes import wait_for
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200), pytest.mark.thorough]

GROUPS = 'groups:\n  - {name: only, select: "*", default: true, cron: "* * * * *"}\n'
FILES = {
    "dbt_project.yml": "name: tiny\nversion: '1.0'\nprofile: tiny\nflags: {send_anonymous_usage_stats: false}\n"
    "models: {+materialized: table}\n",
    "profiles/profiles.yml": "tiny: {target: laptop, outputs: {laptop: {type: duckdb, path: tiny.duckdb}}}\n",
    "schedule_groups.yaml": GROUPS,
    # It runs until it is killed while a file of this name exists.
    "models/slow.sql": "select count(*) as n from range((select case when count(*) > 0 then 100000000000 else 1 end "
    "from glob('FOLDER/slow'))) as numbers(n)",
}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path)
    for name, content in FILES.items():
        file = library.project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.replace("FOLDER", str(tmp_path)))
    return library


@pytest.fixture
def channels() -> Iterator[FakeChannels]:
    with open_fake_channels() as found:
        yield found


def test_what_does_not_start_is_reported(library: Library, channels: FakeChannels) -> None:
    slow, port = library.folder / "slow", free_port()
    environment = {
        **os.environ,
        **library.environment,
        "ANALYTICS_SCHEDULES_RUNNING": "true",
        "ANALYTICS_SLACK_WEBHOOKS__DEFAULT": channels.webhook_url,
        "ANALYTICS_WAITING_ALERT_HOURS": "0.005",
    }

    def sent(text: str) -> list[str]:
        return [message["text"] for message in channels.accepted("hook") if text in message["text"]]

    def watch() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "alerts", "watch", "--tolerance", "60"],
            env=environment,
            cwd=library.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    slow.touch()
    command: list[str | Path] = [COMMAND, "dev", "--port", str(port)]
    log = library.folder / "dev.log"
    with opened(command, port=port, environment=environment, folder=library.folder, log=log):
        waits = "a run of only has been waiting for more than 0.005 h"
        [message] = wait_for("the waiting run is an incident", lambda: sent(waits), 240)
        assert "the group's own run" in message
        slow.unlink()
        end_runs(library)
        wait_for("a run starts, and the incident is over", lambda: "Recovered" in str(sent(waits)[1:]), 240)
        healthy = watch()
        assert healthy.returncode == 0, healthy

        # The location can't be loaded when its code server starts again.
        (library.project / "schedule_groups.yaml").write_text(GROUPS.replace("cron:", "crom:"))
        for server in home_processes(library.folder / "home"):
            if "dagster code-server" in server.command or "dagster api grpc" in server.command:
                psutil.Process(server.process.pid).kill()
        unloaded = wait_for("the watch reports it", lambda: one if (one := watch()).returncode else None, 300)
        assert unloaded is not None
        assert "code location analytics_dagster has no ticks for" in unloaded.stdout
        assert "crom: there is no such key" in unloaded.stdout
        assert sent("code location analytics_dagster has no ticks")


def end_runs(library: Library) -> None:
    """Kill the processes of the run in progress, and its dbt."""
    with dg.DagsterInstance.from_config(str(library.folder / "home")) as instance:
        [run] = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    for process in (tagged_process(run, PROCESS_TAG), tagged_process(run, CHILD_TAG)):
        assert process is not None
        psutil.Process(process.pid).kill()
