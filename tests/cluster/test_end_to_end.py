"""The platform as the chart installs it, as local processes: from `helm template` to tables and logs, with faults."""

from __future__ import annotations

import base64
import copy
import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import boto3
import psycopg2
import pytest

from tests.cluster.conftest import Timings
from tests.cluster.local_cluster import ROOT, LocalCluster, ask, wait_until
from tests.cluster.network import isolated_network
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels
from tests.unit.chart.rendered import NAMESPACE, RELEASE, render

pytestmark = [pytest.mark.integration, pytest.mark.thorough, pytest.mark.timeout(900)]

PROJECT = ROOT / "tests" / "cluster" / "project"
LOCATION = "small"
VALUES: dict[str, Any] = {
    "analytics": {
        # A sensor makes retries; it is on by default only in prod.
        "environment": "prod",
        "scheduleGroups": {
            "groups": [
                {"name": "hourly", "select": "tag:hourly", "default": True},
                {"name": "failing", "select": "tag:failing"},
                {
                    "name": "slow",
                    "select": "tag:slow",
                    "retries": 1,
                    "retry_delay": 0,
                    "resources": {"requests": {"memory": "3Gi"}},
                    "node_selector": {"pool": "memory"},
                    "tolerations": [{"key": "memory", "operator": "Exists", "effect": "NoSchedule"}],
                },
            ]
        },
    },
    "dagsterDaemon": {
        "runMonitoring": {"pollIntervalSeconds": 2, "cancelTimeoutSeconds": 30},
        "runCoordinator": {"config": {"queuedRunCoordinator": {"dequeueIntervalSeconds": 1}}},
    },
    "dagster-user-deployments": {
        "deployments": [
            {"name": LOCATION, "env": [{"name": "ANALYTICS_DBT_PROJECT_DIR", "value": str(PROJECT)}]},
            {"name": "broken", "port": 3031, "dagsterApiGrpcArgs": ["--module-name", "no_such_module"]},
        ]
    },
    "tests": {"location": LOCATION, "job": "hourly"},
}
GRAPHQL = "http://127.0.0.1/graphql"

LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
RUNS_OF_ROOT = """
query ($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags}) { ... on Runs { results { runId status } } } }
"""
TERMINATE = "mutation ($id: String!) { terminateRun(runId: $id) { __typename } }"
ASSETS = """
query ($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { id assetMaterializations(limit: 9) { runId } } }
"""
LOCATIONS = """
query { workspaceOrError { ... on Workspace { locationEntries { name updatedTimestamp locationOrLoadError {
  __typename ... on PythonError { message } } } } } }
"""
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@pytest.fixture(scope="module")
def fake_channels() -> Iterator[FakeChannels]:
    """Serve what alerts are sent to, in the cluster's network."""
    with isolated_network(), open_fake_channels() as opened:
        yield opened


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, fake_channels: FakeChannels, timings: Timings
) -> Iterator[LocalCluster]:
    """Start all containers of the chart."""
    folder = tmp_path_factory.mktemp("cluster")
    for path in (folder, *folder.parents[:3]):
        path.chmod(0o755)
    # The project is read-only in the cluster, and tests must not wait for a server that is to load no code.
    installed = LocalCluster(documents(fake_channels), NAMESPACE, folder, {"PYTHONPATH": str(ROOT)})
    try:
        installed.run_hook("-secret")
        for server in ("-postgresql", "-s3"):
            installed.start(server)
        for server in ("-postgresql", "-s3"):
            installed.wait_until_healthy(server)
        for workload in (f"-code-{LOCATION}", "-code-broken", "-webserver", "-daemon"):
            installed.start(workload)
        for workload in (f"-code-{LOCATION}", "-webserver", "-daemon"):
            timings[f"{workload.lstrip('-')}: start to healthy"] = installed.wait_until_healthy(workload)
        yield installed
        assert installed.api.faults == []
    finally:
        installed.close()


def documents(fake_channels: FakeChannels, **changed: Any) -> list[Any]:
    """Render the chart with the values; ``changed`` overrides some."""
    hook = {"name": "ANALYTICS_SLACK_WEBHOOKS__DEFAULT", "value": fake_channels.webhook_url}
    watch = {"enabled": True, "tolerance": 60, "env": [hook]}
    return render({**VALUES, "alertsWatch": watch, **changed})


def launch(job: str, **tags: str) -> str:
    selector = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__", "jobName": job}
    metadata = {"tags": [{"key": f"dagster/{name}", "value": value} for name, value in tags.items()]}
    params = {"selector": selector, "mode": "default", "executionMetadata": metadata}
    launched = ask(GRAPHQL, LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def status(run: str) -> str:
    return str(ask(GRAPHQL, RUN, id=run)["runOrError"]["status"])


def wait_for(run: str, *wanted: str, seconds: float = 180, cluster: LocalCluster | None = None) -> float:
    started = time.monotonic()

    def logs() -> str:
        return (
            "\n".join(path.read_text()[-3000:] for path in cluster.folder.glob(f"*{run}*/log.txt")) if cluster else ""
        )

    wait_until(lambda: status(run) in {*wanted, *ENDED}, seconds, f"run {run}", logs)
    assert status(run) in wanted, logs()
    return time.monotonic() - started


def rows(cluster: LocalCluster, sql: str) -> list[tuple[Any, ...]]:
    password = secret(cluster, "postgresql-password")
    connection = psycopg2.connect(host="127.0.0.1", user="dagster", password=password, dbname="warehouse")
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())
    finally:
        connection.close()


def secret(cluster: LocalCluster, key: str) -> str:
    data = cluster.secrets[f"{RELEASE}-analytics-dagster-generated"]["data"]
    return base64.b64decode(data[key]).decode()


def test_a_location_that_fails_to_load_is_reported_and_others_still_load(cluster: LocalCluster) -> None:
    (workspace,) = ask(GRAPHQL, LOCATIONS).values()
    loaded = {entry["name"]: entry["locationOrLoadError"] for entry in workspace["locationEntries"]}

    assert loaded[LOCATION]["__typename"] == "RepositoryLocation"
    # It never becomes ready, so an upgrade keeps the old pod. Kubernetes keeps the end of its log as the reason.
    assert "Could not reach user code server" in loaded["broken"]["message"]
    assert (
        "-> Set ANALYTICS_DBT_PROJECT_DIR to the folder of your dbt project." in cluster.running["-code-broken"].log()
    )
    (container,) = cluster.find("Deployment", "-code-broken")["spec"]["template"]["spec"]["containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_run_builds_tables_and_stores_its_logs(cluster: LocalCluster, timings: Timings) -> None:
    run = launch("hourly")
    timings["launch to success"] = wait_for(run, "SUCCESS", cluster=cluster)

    assert rows(cluster, "select name from analytics.shouted order by id") == [("JAFFLE",), ("COFFEE",)]
    (job,) = [one for one in cluster.api.jobs() if one["metadata"]["name"] == f"dagster-run-{run}"]
    wait_until(lambda: cluster.api.jobs()[-1]["status"].get("active") is None, 60, "the end of the run's process")
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == f"{RELEASE}-analytics-dagster-code"
    (asset,) = ask(GRAPHQL, ASSETS, keys=[{"path": ["shouted"]}])["assetNodes"]
    assert [one["runId"] for one in asset["assetMaterializations"]] == [run]
    s3 = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:8333",
        region_name="us-east-1",
        aws_access_key_id=secret(cluster, "access-key-id"),
        aws_secret_access_key=secret(cluster, "secret-access-key"),
    )
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="analytics", Prefix="dagster-logs/").get("Contents", [])]
    assert [key for key in keys if run in key], keys


def test_helm_test_launches_a_real_run(cluster: LocalCluster) -> None:
    cluster.run_hook("-test")


def test_the_job_of_a_failed_run_fails(cluster: LocalCluster) -> None:
    run = launch("failing")
    wait_for(run, "FAILURE", cluster=cluster)

    wait_until(lambda: _job(cluster, run)["status"].get("failed") == 1, 60, "the failed Job")


def test_a_retry_continues_a_run_whose_pod_was_killed(cluster: LocalCluster, timings: Timings) -> None:
    run = launch("slow")
    wait_for(run, "STARTED", cluster=cluster)
    wait_until(lambda: rows(cluster, "select to_regclass('analytics.quick')") != [(None,)], 120, "the first model")
    (pod,) = [one for one in cluster.api.pods() if one["metadata"]["labels"]["dagster/run-id"] == run]
    cluster.api.kill_pod(pod["metadata"]["name"])
    killed = time.monotonic()
    wait_for(run, "FAILURE", cluster=cluster)

    tags = [{"key": "dagster/root_run_id", "value": run}]
    wait_until(lambda: _retry(tags, run) is not None, 180, "the retry")
    retry = _retry(tags, run)
    assert retry is not None
    wait_for(retry, "SUCCESS", cluster=cluster)
    timings["pod killed, to success by a retry"] = time.monotonic() - killed
    assert rows(cluster, "select count(*) from analytics.slow") == [(1,)]
    pod = _job(cluster, retry)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"requests": {"memory": "3Gi"}}
    assert pod["nodeSelector"] == {"pool": "memory"}
    assert pod["tolerations"] == [{"key": "memory", "operator": "Exists", "effect": "NoSchedule"}]


def test_terminating_a_run_deletes_its_job(cluster: LocalCluster) -> None:
    run = launch("slow")
    wait_for(run, "STARTED", cluster=cluster)
    ask(GRAPHQL, TERMINATE, id=run)
    wait_for(run, "CANCELED", cluster=cluster)

    assert [one for one in cluster.api.jobs() if one["metadata"]["name"] == f"dagster-run-{run}"] == []


def test_the_daemon_ends_a_run_that_exceeds_its_maximum_runtime(cluster: LocalCluster) -> None:
    run = launch("slow", max_runtime="5", max_retries="0")
    wait_for(run, "FAILURE", cluster=cluster)

    assert [one for one in cluster.api.jobs() if one["metadata"]["name"] == f"dagster-run-{run}"] == []


def test_the_daemon_can_restart_during_a_run(cluster: LocalCluster, timings: Timings) -> None:
    run = launch("slow")
    wait_for(run, "STARTED", cluster=cluster)
    cluster.stop("-daemon")
    queued = launch("hourly")
    cluster.start("-daemon")
    timings["daemon: restart to healthy, in the middle of a run"] = cluster.wait_until_healthy("-daemon")

    wait_for(run, "SUCCESS", cluster=cluster)
    wait_for(queued, "SUCCESS", cluster=cluster)


def test_a_stopped_daemon_is_alerted_from_outside_and_so_is_its_recovery(
    cluster: LocalCluster, fake_channels: FakeChannels, timings: Timings
) -> None:
    cluster.stop("-daemon")
    stopped = time.monotonic()

    def is_silent() -> bool:
        code, said = cluster.run_cron_job("-alerts-watch")
        assert code in {0, 1}, said
        return code == 1

    wait_until(is_silent, 150, "the alerts watch reports a silent daemon")
    [message] = fake_channels.accepted("hook")
    timings["daemon stopped, to the message that it is silent"] = time.monotonic() - stopped
    assert "sent no heartbeat for" in message["text"]
    cluster.start("-daemon")
    cluster.wait_until_healthy("-daemon")
    wait_until(lambda: not is_silent(), 60, "the daemon's heartbeat")
    assert "Recovered after" in fake_channels.accepted("hook")[-1]["text"]


def test_postgresql_can_restart_during_a_run(cluster: LocalCluster, timings: Timings) -> None:
    run = launch("slow")
    wait_for(run, "STARTED", cluster=cluster)
    time.sleep(5)
    cluster.stop("-postgresql", grace=20)
    cluster.start("-postgresql")
    cluster.wait_until_healthy("-postgresql")
    restarted = time.monotonic()
    # Each of the three connection pools of the web server returns one error before it reconnects.
    wait_until(_is_connected, 60, "the web server's connections")

    tags = [{"key": "dagster/root_run_id", "value": run}]
    wait_until(lambda: "SUCCESS" in (status(run), status(_retry(tags, run) or run)), 300, "the run or its retry")
    timings["PostgreSQL restarted in the middle of a run, to success"] = time.monotonic() - restarted
    assert rows(cluster, "select count(*) from analytics.slow") == [(1,)]
    cluster.wait_until_healthy("-daemon")


def test_s3_can_be_unavailable_for_a_minute(cluster: LocalCluster) -> None:
    cluster.stop("-s3")
    run = launch("hourly")
    wait_for(run, "STARTED", cluster=cluster)
    time.sleep(30)
    cluster.start("-s3")
    cluster.wait_until_healthy("-s3")

    wait_for(run, "SUCCESS", cluster=cluster)


def test_an_upgrade_restarts_only_what_it_changes(
    cluster: LocalCluster, fake_channels: FakeChannels, timings: Timings
) -> None:
    secrets = copy.deepcopy(cluster.secrets)
    run = launch("slow")
    wait_for(run, "STARTED", cluster=cluster)
    groups = copy.deepcopy(VALUES["analytics"]["scheduleGroups"])
    groups["groups"][0]["resources"] = {"requests": {"memory": "2Gi"}}
    analytics = {**VALUES["analytics"], "scheduleGroups": groups}
    before = loaded()
    started = time.monotonic()

    assert cluster.upgrade(documents(fake_channels, analytics=analytics)) == {f"-code-{LOCATION}", "-code-broken"}
    cluster.wait_until_healthy(f"-code-{LOCATION}")
    wait_until(lambda: loaded() > before, 60, "the web server has loaded the new code")
    timings["upgrade with changed schedule groups, to the new code in the UI"] = time.monotonic() - started
    wait_for(run, "SUCCESS", cluster=cluster)
    after = launch("hourly")
    wait_for(after, "SUCCESS", cluster=cluster)
    pod = _job(cluster, after)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"requests": {"memory": "2Gi"}}

    daemon = copy.deepcopy(VALUES["dagsterDaemon"])
    daemon["runMonitoring"]["pollIntervalSeconds"] = 3
    changed = documents(fake_channels, analytics=analytics, dagsterDaemon=daemon)
    assert cluster.upgrade(changed) == {"-daemon", "-webserver"}
    for end in ("-webserver", "-daemon"):
        cluster.wait_until_healthy(end)
    assert cluster.upgrade(changed) == set()
    assert cluster.secrets == secrets, "an upgrade does not change passwords"
    wait_for(launch("hourly"), "SUCCESS", cluster=cluster)


@pytest.mark.usefixtures("cluster")
def test_two_groups_run_concurrently_and_runs_of_one_group_in_sequence() -> None:
    slow, hourly, again = launch("slow"), launch("hourly"), launch("hourly")
    seen: list[set[str]] = []

    def ended() -> bool:
        seen.append({job for job, run in runs.items() if status(run) in ("STARTING", "STARTED")})
        return all(status(run) in ENDED for run in runs.values())

    runs = {"slow": slow, "hourly": hourly, "hourly again": again}
    wait_until(ended, 400, "three runs")
    assert [status(run) for run in runs.values()] == ["SUCCESS"] * 3
    assert any({"slow"} < names for names in seen), seen
    assert not any({"hourly", "hourly again"} <= names for names in seen), seen


def test_every_permission_was_used(cluster: LocalCluster) -> None:
    # These calls are made when a run does not start in time; test_calls.py tests them.
    elsewhere = {("list", "jobs"), ("get", "pods/log")}
    unused = {
        permission for permission in cluster.api.unused if (permission.verb, permission.resource) not in elsewhere
    }

    # The Job that generates passwords reads the Secret only in a second installation.
    assert {permission for permission in unused if not permission.account.endswith("-secret")} == set()


def loaded() -> float:
    """Return the Unix time when the web server last loaded the location; 0 if it failed."""
    (workspace,) = ask(GRAPHQL, LOCATIONS).values()
    (entry,) = [one for one in workspace["locationEntries"] if one["name"] == LOCATION]
    is_there = entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
    return float(entry["updatedTimestamp"]) if is_there else 0


def _is_connected() -> bool:
    try:
        for _ in range(3):
            ask(GRAPHQL, ASSETS, keys=[{"path": ["shouted"]}])
            ask(GRAPHQL, RUNS_OF_ROOT, tags=[])
    except urllib.error.HTTPError:
        return False
    return True


def _job(cluster: LocalCluster, run: str) -> Any:
    (found,) = [one for one in cluster.api.jobs() if one["metadata"]["name"] == f"dagster-run-{run}"]
    return found


def _retry(tags: list[dict[str, str]], run: str) -> str | None:
    results = ask(GRAPHQL, RUNS_OF_ROOT, tags=tags)["runsOrError"]["results"]
    return next((str(one["runId"]) for one in results if one["runId"] != run), None)
