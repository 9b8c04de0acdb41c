"""Retries and alerts with Dagster's daemon: transient failures are retried without alerts, permanent ones alert."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest

from analytics_dagster.automation.jobs import AD_HOC
from analytics_dagster.automation.retry_decision import DECISION
from analytics_dagster.process_identity import CHILD_TAG, PROCESS_TAG, Process
from tests.conftest import COMMAND, Library
from tests.integration.ui import Ui, free_port, opened
from tests.processes import wait_for
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200), pytest.mark.thorough]

SELECT = "select"
FAULT = "case when (select count(*) from glob('FOLDER/{0}')) > 0 then error('{1}') else 1 end"
FILES = {
    "dbt_project.yml": "name: tiny\nversion: '1.0'\nprofile: tiny\nflags: {send_anonymous_usage_stats: false}\n"
    "models: {+materialized: table}\n",
    "profiles/profiles.yml": "tiny: {target: laptop, outputs: {laptop: {type: duckdb, path: tiny.duckdb}}}\n",
    "schedule_groups.yaml": "groups:\n  - {name: only, select: '*', default: true, retries: 2, retry_delay: 3}\n",
    "models/first.sql": "select 1 as one",
    "models/second.sql": f"{SELECT} {FAULT.format('lost', 'server closed the connection unexpectedly')} as a, "
    f"{FAULT.format('wrong', 'no such thing')} as b from {{{{ ref('first') }}}}",
    "models/third.sql": "select * from {{ ref('second') }}",
    # It runs until it is killed while a file of this name exists.
    "models/slow.sql": "select count(*) as n from range((select case when count(*) > 0 then 100000000000 else 1 end "
    "from glob('FOLDER/slow'))) as numbers(n), {{ ref('first') }}",
}


@dataclass(frozen=True)
class Site:
    """An open UI with its daemon, and the server that receives the alerts."""

    library: Library
    ui: Ui
    fake_channels: FakeChannels
    instance: dg.DagsterInstance

    def breaks(self, how: str) -> Path:
        """Create the file that makes a model fail while it exists."""
        path = self.library.folder / how
        path.touch()
        return path

    def runs(self) -> list[dg.DagsterRun]:
        """Return all runs, oldest first."""
        return list(reversed(self.instance.get_runs()))

    def built(self, run_id: str) -> set[str]:
        """Return the assets that a run has built."""
        entries = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        keys = [entry.dagster_event.asset_key for entry in entries if entry.dagster_event]
        return {key.to_user_string() for key in keys if key}

    def ended(self, number: int) -> dg.DagsterRun:
        """Wait for the end of a run; runs are numbered from 0."""

        def found() -> list[dg.DagsterRun]:
            runs = self.runs()
            return runs[number : number + 1] if len(runs) > number and runs[number].is_finished else []

        return wait_for(f"run {number} has ended", found, 240)[0]

    def alerts(self) -> list[str]:
        """Return the texts of the sent messages."""
        return [message["text"] for message in self.fake_channels.accepted("hook")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    library = Library(tmp_path_factory.mktemp("daemon"))
    for name, content in FILES.items():
        file = library.project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.replace("FOLDER", str(library.folder)))
    port = free_port()
    with open_fake_channels() as fake_channels:
        environment = {
            **os.environ,
            **library.environment,
            "ANALYTICS_SCHEDULES_RUNNING": "true",
            "ANALYTICS_SLACK_WEBHOOKS__DEFAULT": fake_channels.webhook_url,
        }
        command: list[str | Path] = [COMMAND, "dev", "--port", str(port)]
        log = library.folder / "dev.log"
        with (
            opened(command, port=port, environment=environment, folder=library.folder, log=log) as ui,
            dg.DagsterInstance.from_config(str(library.folder / "home")) as instance,
        ):
            yield Site(library, ui, fake_channels, instance)


def test_a_transient_failure_is_retried_from_where_it_failed(site: Site) -> None:
    fault = site.breaks("lost")
    first = site.ui.launch("only")
    assert site.ended(0).status is dg.DagsterRunStatus.FAILURE
    fault.unlink()
    retry = site.ended(1)
    assert retry.status is dg.DagsterRunStatus.SUCCESS
    assert retry.tags["dagster/parent_run_id"] == first
    assert site.built(first) == {"first", "slow"}
    assert site.built(retry.run_id) == {"second", "third"}
    assert site.runs()[0].tags[DECISION].startswith("retry 1 of 2 at")


def kill(site: Site, number: int) -> None:
    """Kill the process of a run, and its dbt, while dbt builds the slow model."""

    def processes() -> list[Process]:
        runs = site.runs()[number:]
        texts = [run.tags.get(tag, "").partition(" of run ")[0] for run in runs for tag in (PROCESS_TAG, CHILD_TAG)]
        found = [process for process in map(Process.from_text, texts) if process]
        return (
            found if len(found) == len((PROCESS_TAG, CHILD_TAG)) and "second" in dbt_log(site, runs[0].run_id) else []
        )

    for victim in wait_for("dbt is running", processes, 240):
        psutil.Process(victim.pid).kill()


def test_a_run_whose_process_was_killed_is_retried_with_the_remaining_work(site: Site) -> None:
    fault = site.breaks("slow")
    run_id = site.ui.launch("only")
    kill(site, 2)
    fault.unlink()
    assert site.ended(2).status is dg.DagsterRunStatus.FAILURE
    retry = site.ended(3)
    assert retry.status is dg.DagsterRunStatus.SUCCESS
    assert site.built(run_id) | site.built(retry.run_id) == {"first", "second", "third", "slow"}
    assert "slow" in site.built(retry.run_id)
    assert "killed" in site.runs()[2].tags[DECISION]


def dbt_log(site: Site, run_id: str) -> str:
    return " ".join(path.read_text() for path in site.library.project.glob(f"target/runs/{run_id}*/dbt.log"))


def test_a_permanent_failure_alerts_once_and_again_on_recovery(site: Site) -> None:
    assert site.alerts() == [], "a run that was retried successfully sends no alert"
    fault = site.breaks("wrong")
    site.ui.launch("only")
    assert site.ended(4).status is dg.DagsterRunStatus.FAILURE
    [message] = wait_for("an alert is sent", site.alerts, 120)
    assert "second failed" in message
    assert "no such thing" in message
    assert "third" in message
    fault.unlink()
    site.ui.launch("only")
    assert site.ended(5).status is dg.DagsterRunStatus.SUCCESS
    [_, recovery] = wait_for("a recovery is sent", lambda: site.alerts() if len(site.alerts()) > 1 else [], 120)
    assert "Recovered after" in recovery
    assert len(site.runs()) == 6, "a permanent failure is not retried"


def test_a_run_of_materialize_in_the_ui_is_retried_from_where_it_failed(site: Site) -> None:
    fault = site.breaks("lost")
    launched = site.ui.ask(MATERIALIZE, assets=[{"path": [name]} for name in ("first", "second", "third")])["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    failed = site.ended(6)
    assert failed.status is dg.DagsterRunStatus.FAILURE
    fault.unlink()
    retry = site.ended(7)
    assert retry.status is dg.DagsterRunStatus.SUCCESS
    assert retry.job_name == failed.job_name == AD_HOC
    assert retry.tags["dagster/parent_run_id"] == failed.run_id
    assert site.built(failed.run_id) == {"first"}
    assert site.built(retry.run_id) == {"second", "third"}


def test_a_killed_build_of_the_command_line_is_retried_by_the_daemon(site: Site) -> None:
    fault = site.breaks("slow")
    with site.library.start("build") as process:
        kill(site, 8)
        process.communicate(timeout=60)
    fault.unlink()
    killed, retry = site.ended(8), site.ended(9)
    assert killed.status is dg.DagsterRunStatus.FAILURE
    assert retry.status is dg.DagsterRunStatus.SUCCESS
    assert retry.tags["dagster/parent_run_id"] == killed.run_id
    assert not site.built(killed.run_id) & site.built(retry.run_id)
    assert site.built(killed.run_id) | site.built(retry.run_id) == {"first", "second", "third", "slow"}
    assert len(site.alerts()) == 2, "a run that was retried successfully sends no alert"


def test_from_failure_in_the_ui_builds_only_the_failed_and_skipped_nodes(site: Site) -> None:
    fault = site.breaks("wrong")
    failed = site.ui.launch("only")
    assert site.ended(10).status is dg.DagsterRunStatus.FAILURE
    fault.unlink()
    launched = site.ui.ask(RE_EXECUTE, parent=failed)["launchRunReexecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    again = site.ended(11)
    assert again.status is dg.DagsterRunStatus.SUCCESS
    assert again.tags["dagster/parent_run_id"] == failed
    assert site.built(failed) == {"first", "slow"}
    assert site.built(again.run_id) == {"second", "third"}


RE_EXECUTE = """
mutation ($parent: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $parent, strategy: FROM_FAILURE}) {
    __typename
    ... on PythonError { message }
  }
}
"""

MATERIALIZE = """
mutation ($assets: [AssetKeyInput!]) {
  launchRun(executionParams: {selector: {repositoryLocationName: "analytics_dagster",
                                         repositoryName: "__repository__", jobName: "__ASSET_JOB",
                                         assetSelection: $assets, assetCheckSelection: []}}) {
    __typename
    ... on PythonError { message }
  }
}
"""
