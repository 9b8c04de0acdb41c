"""A Dagster home that an earlier version wrote keeps working: configuration, sensors, cursors, runs and incidents.

`tests/fixtures/earlier_home` was recorded with commit ac34ff7: `analytics-dagster dev` with the project below, whose
landing sensor started an ingestion, whose hourly run succeeded, and whose nightly run failed twice: with a permanent
failure (an incident), and with a transient one (a retry an hour later). Some sensors and schedules were turned on or
off in the UI. Ticks of both schedules were evaluated afterwards. The files are SQL dumps of the SQLite databases, with
all times one year earlier, ``{folder}`` in place of the folder, and without the events that nothing reads.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from pydantic import SecretStr

from analytics_dagster.alerting.store import AlertState, AlertStore
from analytics_dagster.automation.build import order_groups
from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.landing_cursor import SENSOR as LANDING_SENSOR
from analytics_dagster.automation.landing_cursor import LandingCursor
from analytics_dagster.automation.pending_run_store import Outcome, PendingRunStore, Resolution, Trigger
from analytics_dagster.automation.pending_runs import check_pending_runs
from analytics_dagster.automation.retry_decision import PARENT, due_at
from analytics_dagster.automation.retry_sensors import RetryEvaluation, find_failed_runs
from analytics_dagster.cli.home import CONFIGURATION, prepare_home
from analytics_dagster.location import Location, build_location
from analytics_dagster.planning.groups import PROJECT_TAG
from analytics_dagster.settings import Settings
from tests.conftest import ProjectCopy
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

RECORDED = Path(__file__).parents[1] / "fixtures" / "earlier_home"
DATABASES = {"history-runs.sql": "history/runs.db", "schedules-schedules.sql": "schedules/schedules.db"}
PERMANENT, TRANSIENT = "7ac0092f-9771-419c-8af2-7af038b760db", "c39c0f74-5742-4ae1-b081-8b7d6f330336"
INGESTION = "9f3fd521-5d1b-4857-b261-b4fe313152d5"
REMAINING = {dg.AssetKey("summary"), dg.AssetKey("report")}
TICK = Trigger(datetime(2025, 1, 1, 6, tzinfo=timezone.utc))

GROUP = 'name: {0}, select: "{1}", cron: "{2}", after_ingestion: true, retries: 2, retry_delay: 3600'
FILES = {
    "dbt_project.yml": "name: upgraded\nversion: '1.0'\nprofile: upgraded\nflags: {send_anonymous_usage_stats: false}\n"
    "models: {+materialized: table}\n",
    "profiles/profiles.yml": "upgraded: {target: dev, outputs: {dev: {type: duckdb, path: upgraded.duckdb}}}\n",
    "schedule_groups.yaml": f"groups:\n  - {{{GROUP.format('hourly', 'orders', '0 * 1 1 *')}}}\n"
    f"  - {{{GROUP.format('nightly', 'summary report', '0 6 1 1 *')}, default: true}}\n",
    "models/sources.yml": """
sources:
  - name: shop
    schema: raw
    tables:
      - name: orders
        config: {meta: {landing: {path: orders/*.jsonl, format: jsonl, primary_key: [id]}}}
        columns: [{name: id, data_tests: [unique]}]
""",
    "models/orders.sql": "select id from {{ source('shop', 'orders') }}",
    "models/summary.sql": "select count(*) as n from {{ ref('orders') }}",
    "models/report.sql": "select * from {{ ref('summary') }}",
}


@dataclass(frozen=True)
class UpgradedSite:
    """A site whose home an earlier version wrote, with its location as this version builds it."""

    copy: ProjectCopy
    settings: Settings
    location: Location
    instance: dg.DagsterInstance
    channels: FakeChannels

    @property
    def repository(self) -> dg.RepositoryDefinition:
        """The repository of the location."""
        return self.location.definitions.get_repository_def()

    @property
    def snapshot(self) -> InstanceSnapshot:
        """What a sensor of this location reads from the instance."""
        location = self.location
        groups = order_groups(self.settings, location.plan, location.dbt_assets, location.project.name)
        return InstanceSnapshot(self.instance, groups, location="analytics_dagster")

    def cursor(self, sensor: str) -> str | None:
        """Return the stored cursor of a sensor."""
        states = {state.instigator_name: state.instigator_data for state in self.instance.all_instigator_state()}
        cursor: str | None = getattr(states[sensor], "cursor", None)
        return cursor

    def evaluate(self, sensor: str) -> tuple[list[dg.RunRequest], str]:
        """Evaluate a sensor with its stored cursor; return its run requests and its skip reason."""
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor(sensor), repository_def=self.repository, sensor_name=sensor
        )
        found = self.repository.get_sensor_def(sensor).evaluate_tick(context)
        return list(found.run_requests or []), found.skip_message or ""

    def alerts(self) -> AlertState:
        """Return the stored state of the alerts."""
        return AlertStore(self.instance.daemon_cursor_storage, "upgraded").read(0.0)


def restore(folder: Path) -> None:
    """Write the recorded home below a folder."""
    for dump in RECORDED.glob("*.sql"):
        name = DATABASES.get(dump.name, f"history/runs/{dump.stem.removeprefix('history-runs-')}.db")
        database = folder / "home" / name
        database.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(database)
        connection.executescript(dump.read_text(encoding="utf-8").replace("{folder}", str(folder)))
        connection.close()
    configuration = (RECORDED / "dagster.yaml").read_text(encoding="utf-8").replace("{folder}", str(folder))
    (folder / "home" / "dagster.yaml").write_text(configuration, encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpgradedSite]:
    folder = tmp_path_factory.mktemp("upgrade")
    restore(folder)
    copy = ProjectCopy(folder, "upgraded", profiles="profiles")
    for name, content in FILES.items():
        file = copy.project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    (folder / "landing" / "orders").mkdir(parents=True)
    (folder / "landing" / "orders" / "1.jsonl").write_text('{"id": 1}\n{"id": 2}\n', encoding="utf-8")
    with duckdb.connect(str(copy.project / "upgraded.duckdb")) as warehouse:
        warehouse.execute("create table orders as select unnest([1, 2]) as id")
    prepared = copy.run("prepare")
    assert prepared.returncode == 0, prepared.stderr
    with open_fake_channels() as channels, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "home"))
        settings = copy.settings(
            landing_url=str(folder / "landing"),
            landing_settle_seconds=0,
            slack_webhooks={"default": SecretStr(channels.webhook_url)},
        )
        location = build_location(settings)
        with dg.DagsterInstance.from_config(str(folder / "home")) as instance:
            yield UpgradedSite(copy, settings, location, instance, channels)


def test_the_earlier_configuration_works_and_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    restore(tmp_path)
    configuration = tmp_path / "home" / "dagster.yaml"
    assert "analytics_dagster.headless.event_log" in configuration.read_text(encoding="utf-8")
    with dg.DagsterInstance.from_config(str(configuration.parent)) as instance:
        assert instance.all_logs(PERMANENT, of_type=dg.DagsterEventType.RUN_FAILURE)
    prepare_home(Settings(dagster_home=configuration.parent))
    renewed = configuration.read_text(encoding="utf-8")
    event_log = json.dumps(str(configuration.parent / "history" / "runs"))
    assert renewed.replace(event_log, "EVENT_LOG") == CONFIGURATION.read_text(encoding="utf-8")


def test_schedules_and_sensors_keep_their_names_and_statuses(site: UpgradedSite) -> None:
    states = {state.instigator_name: state for state in site.instance.all_instigator_state()}
    sensors = {sensor.name for sensor in site.repository.sensor_defs}
    schedules = {schedule.name for schedule in site.repository.schedule_defs}
    assert sensors == states.keys() - {"hourly_schedule"}
    assert schedules == {"hourly_schedule", "nightly_schedule"}
    statuses = {name: state.status.value for name, state in states.items()}
    assert statuses == {
        "landing_sensor": "RUNNING",
        "after_ingestion_sensor": "RUNNING",
        "alerts_sensor": "RUNNING",
        "hourly_schedule": "RUNNING",
        "ad_hoc_retries_sensor": "STOPPED",
        "retries_sensor": "DECLARED_IN_CODE",
        "due_runs_sensor": "DECLARED_IN_CODE",
        "dead_runs_sensor": "DECLARED_IN_CODE",
    }
    for name in ("retries_sensor", "due_runs_sensor", "dead_runs_sensor"):
        assert site.repository.get_sensor_def(name).default_status is dg.DefaultSensorStatus.RUNNING
    # Dagster finds the state by the names of location, repository and sensor.
    assert {state.origin.repository_origin.repository_name for state in states.values()} == {site.repository.name}
    assert site.snapshot.is_on("hourly_schedule", default=False)
    assert not site.snapshot.is_on("ad_hoc_retries_sensor", default=True)


def test_the_cursor_of_the_landing_sensor_continues(site: UpgradedSite) -> None:
    assert LandingCursor.from_text(site.cursor(LANDING_SENSOR)).round == 1
    requests, _ = site.evaluate(LANDING_SENSOR)
    # The files are others than those of the earlier cursor. The run key is not an earlier one.
    assert [str(request.run_key).rpartition("-")[0] for request in requests] == ["landing-2"]


def test_the_records_of_pending_runs_are_read(site: UpgradedSite) -> None:
    store = PendingRunStore(site.instance.daemon_cursor_storage, "upgraded", ["hourly", "nightly"])
    assert [(one.trigger, one.outcome) for one in store["hourly"].ticks] == [(TICK, Outcome.LAUNCHED)]
    joined = Trigger(TICK.moment + timedelta(days=1))
    assert [(one.trigger, one.outcome) for one in store["nightly"].ticks] == [
        (TICK, Outcome.PENDING),
        (joined, Outcome.JOINED),
    ]
    [ingested] = store["nightly"].ingestions
    assert ingested.trigger.ingestion == INGESTION
    assert ingested.waits[0].group == "hourly"
    assert store["nightly"].resolutions == (Resolution(ingested.trigger),)


def test_a_pending_run_starts(site: UpgradedSite) -> None:
    result = check_pending_runs(site.snapshot)
    assert [(request.job_name, request.tags.items() >= TICK.tags.items()) for request in result.requests] == [
        ("nightly", True)
    ]


def test_a_retry_is_requested_when_it_is_due_with_the_remaining_work(site: UpgradedSite) -> None:
    run = site.instance.get_run_by_id(TRANSIENT)
    assert run is not None
    due = due_at(run)
    assert due is not None
    location = site.location
    report = partial(location.report_reader.read, site.instance, repository=site.repository)
    records = find_failed_runs(site.instance, due, tags={PROJECT_TAG: "upgraded"})
    early = RetryEvaluation(site.instance, location.policies, report, due - 1).run(records)
    assert early == ([], [])
    [request], _ = RetryEvaluation(site.instance, location.policies, report, due + 1).run(records)
    assert (request.job_name, request.tags[PARENT]) == ("nightly", TRANSIENT)
    assert set(request.asset_selection or ()) == REMAINING


def test_an_open_incident_is_open_until_the_failed_run_is_retried(site: UpgradedSite) -> None:
    [incident] = site.alerts().incidents
    assert incident.is_open
    site.evaluate("alerts_sensor")
    assert is_open(site, incident.id)
    retried = site.copy.run("retry", PERMANENT)
    assert retried.returncode == 0, retried.stdout + retried.stderr
    [retry] = site.instance.get_runs(filters=dg.RunsFilter(tags={PARENT: PERMANENT}))
    assert retry.asset_selection == REMAINING
    assert not recoveries(site)
    site.evaluate("alerts_sensor")
    assert not is_open(site, incident.id)
    assert recoveries(site)


def is_open(site: UpgradedSite, identity: str) -> bool:
    return any(one.is_open for one in site.alerts().incidents if one.id == identity)


def recoveries(site: UpgradedSite) -> list[str]:
    """Return the messages which say that the summary has recovered."""
    messages = [str(message["text"]) for message in site.channels.accepted("hook")]
    return [text for text in messages if "Recovered" in text and "summary" in text]
