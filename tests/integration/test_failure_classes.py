"""Each class of failures, produced for real on DuckDB: what is retried, what is rebuilt, and who is alerted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psutil
import pytest
from pydantic import SecretStr

from analytics_dagster.alerting.definitions import Alerting
from analytics_dagster.automation.retry_decision import DECISION
from analytics_dagster.cli.home import prepare_home
from analytics_dagster.cli.runs.execution import JobRequest, JobResult, execute_jobs, make_retrier
from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import read_report
from analytics_dagster.location import Location, build_location, prepare_location
from analytics_dagster.process_identity import CHILD_TAG, Process
from analytics_dagster.settings import Settings
from tests.conftest import COMMAND
from tests.failure_classes import CLASSES, FailureClass, project_files
from tests.processes import wait_for
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels

pytestmark = [pytest.mark.integration, pytest.mark.thorough, pytest.mark.timeout(600)]

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@dataclass
class Faults:
    """A location with a schedule group for each class of failures, and fake alert channels."""

    folder: Path
    settings: Settings
    location: Location
    instance: dg.DagsterInstance
    fake_channels: FakeChannels
    stack: ExitStack
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def tick_alerts(self) -> None:
        """Run one tick of the alert sensor."""
        one = self.location
        alerting = Alerting(self.settings, one.project, one.plan, one.report_reader)
        alerting.monitor(self.instance, alerting.context(one.definitions.get_repository_def(), None)).tick()

    def built(self, run_id: str | None) -> list[str]:
        """Return the names of the assets that a run built."""
        entries = self.instance.all_logs(str(run_id), of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        keys = [entry.dagster_event.asset_key for entry in entries if entry.dagster_event]
        return [key.path[-1] for key in keys if key]

    # --- producing the failures -----------------------------------------------------------------------------

    def arrange(self, name: str) -> Callable[[], None]:
        """Arrange a failure; return a function that repairs it."""
        arranged = {"lock": self._hold, "killed": self._kill, "memory": self._flag}.get(name)
        return arranged(name) if arranged else lambda: None

    def _flag(self, name: str) -> Callable[[], None]:
        flag = self.folder / name
        flag.touch()
        return flag.unlink

    def _hold(self, _: str) -> Callable[[], None]:
        command = [sys.executable, "-c", HOLD, str(self.folder / "faults" / "faults.duckdb")]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"

        def end() -> None:
            process.communicate(timeout=30)

        self.stack.callback(process.kill)
        return end

    def _kill(self, name: str) -> Callable[[], None]:
        repair = self._flag(name)
        thread = threading.Thread(target=self._kill_dbt)
        thread.start()

        def joined() -> None:
            thread.join(60)
            repair()

        return joined

    def _kill_dbt(self) -> None:
        def running_dbt() -> list[Process]:
            logs = " ".join(path.read_text() for path in self.settings.project_dir.glob("target/runs/*/dbt.log"))
            runs = self.instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            texts = [run.tags.get(CHILD_TAG, "").partition(" of run ")[0] for run in runs]
            found = [process for process in map(Process.from_text, texts) if process]
            return found if "START sql table model main.killed " in logs else []

        for victim in wait_for("dbt builds the model", running_dbt, 120):
            psutil.Process(victim.pid).kill()

    # --- running a group ------------------------------------------------------------------------------------

    def run(self, one: FailureClass) -> JobResult:
        """Run the group of a class, with its retries."""
        if one.name == "permission":
            return self._run_without_overrides(one)
        repair = self.arrange(one.name)
        retrier = make_retrier(self.location, self.instance, lambda _: repair())
        [result] = execute_jobs(
            self.location.definitions, [JobRequest(one.name)], instance=self.instance, retrier=retrier
        )
        return result

    def _run_without_overrides(self, one: FailureClass) -> JobResult:
        """Run the group in the command line. Root may read any file unless it lacks the capabilities for it."""
        secret = self.folder / "secret.csv"
        secret.write_text("id\n1\n")
        secret.chmod(0)
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        variables = {
            "ANALYTICS_DBT_PROJECT_DIR": self.settings.project_dir,
            "ANALYTICS_DBT_PROFILES_DIR": self.settings.dbt_profiles_dir,
            "ANALYTICS_SCHEDULE_GROUPS_FILE": self.settings.schedule_groups_file,
            "DAGSTER_HOME": self.settings.home,
        }
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        done = subprocess.run(
            [*prefix, str(COMMAND), "build", "--group", one.name],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 1, done.stdout + done.stderr
        [run] = self.instance.get_runs(filters=dg.RunsFilter(job_name=one.name))
        return JobResult(one.name, run.run_id, succeeded=False)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    folder = tmp_path_factory.mktemp("faults")
    for name, content in project_files(str(folder)).items():
        file = folder / "faults" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    with open_fake_channels() as fake_channels, pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("DAGSTER_HOME", "put back when the test has ended")
        settings = Settings(
            dbt_project_dir=folder / "faults",
            dbt_profiles_dir=folder / "faults" / "profiles",
            schedule_groups_file=folder / "faults" / "schedule_groups.yaml",
            alerts_file=folder / "faults" / "alerts.yaml",
            data_dir=folder / "data",
            dagster_home=folder / "home",
            warehouse_lock_timeout=1.0,
            slack_webhooks={
                "default": SecretStr(fake_channels.webhook_url),
                "finance": SecretStr(fake_channels.webhook_url),
            },
            pagerduty_keys={"default": SecretStr("hunter2-key")},
            pagerduty_url=fake_channels.pagerduty_url,
        )
        prepare_location(settings, print)
        location = build_location(settings)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(prepare_home(settings))))
        found = Faults(folder, settings, location, instance, fake_channels, stack)
        found.tick_alerts()
        yield found
        for row in found.rows:
            sys.stdout.write(f"| {' | '.join(row)} |\n")


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.name)
def test_transient_failures_are_retried_and_owners_are_alerted_of_others(faults: Faults, one: FailureClass) -> None:
    before = len(faults.fake_channels.requests)
    result = faults.run(one)
    first = (*result.earlier, str(result.run_id))[0]
    record = faults.instance.get_run_record_by_id(first)
    assert record is not None
    report = read_report(faults.instance, record, AssetCatalog([]), DeploymentInfo())
    kinds = {
        *(node.kind for node in report.nodes),
        *(check.kind for check in report.errors),
        *(step.kind for step in report.steps),
    }
    faults.tick_alerts()
    channels = {"finance": "*rule*: finance", "data": "*rule*: all the rest"}
    said = faults.fake_channels.requests[before:]
    texts = [message.body["text"] for message in said if message.method == "hook"]
    alerted = [name for name, rule in channels.items() for text in texts if rule in text]
    alerted += ["on_call" for message in said if message.method == "pager"]
    rebuilt = faults.built(result.run_id) if result.earlier else []
    faults.rows.append(
        (
            ", ".join(kind.value for kind in kinds),
            one.produced,
            record.dagster_run.tags[DECISION],
            ", ".join(rebuilt) or "nothing",
            ", ".join(alerted) or "nobody",
        )
    )

    assert kinds == {one.kind}, report
    assert result.succeeded is bool(one.rebuilt)
    assert sorted(rebuilt) == sorted(one.rebuilt)
    assert not set(rebuilt) & set(faults.built(first)), "completed assets are not rebuilt"
    assert tuple(alerted) == one.alerted
    if one.alerted:
        assert all(one.name in text for text in texts)
        assert record.dagster_run.tags[DECISION].startswith("not retried: it would fail again")
