"""The platform as the chart installs it, in a box: from `helm template` to tables and logs, and through faults."""

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

from tests.cluster.box import ROOT, Box, ask, wait_until
from tests.cluster.conftest import Timings
from tests.cluster.network import own_network
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels
from tests.unit.chart.rendered import NAMESPACE, RELEASE, render

pytestmark = [pytest.mark.integration, pytest.mark.thorough, pytest.mark.timeout(900)]

PROJECT = ROOT / "tests" / "cluster" / "project"
LOCATION = "box"
VALUES: dict[str, Any] = {
    "analytics": {
        # Retries are made by a sensor, which is on there.
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
    """Serve what alerts are sent to, in the box's network."""
    with own_network(), open_fake_channels() as opened:
        yield opened


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, fake_channels: FakeChannels, told: Timings) -> Iterator[Box]:
    """Install the chart."""
    folder = tmp_path_factory.mktemp("box")
    for path in (folder, *folder.parents[:3]):
        path.chmod(0o755)
    # The project is read-only in the box, and tests must not wait for a server that is to load no code.
    installed = Box(documents(fake_channels), NAMESPACE, folder, {"PYTHONPATH": str(ROOT)})
    try:
        installed.run_hook("-secret")
        for server in ("-postgresql", "-s3"):
            installed.start(server)
        for server in ("-postgresql", "-s3"):
            installed.wait_until_healthy(server)
        for workload in (f"-code-{LOCATION}", "-code-broken", "-webserver", "-daemon"):
            installed.start(workload)
        for workload in (f"-code-{LOCATION}", "-webserver", "-daemon"):
            told[f"{workload.lstrip('-')}: start to healthy"] = installed.wait_until_healthy(workload)
        yield installed
        assert installed.api.faults == []
    finally:
        installed.close()


def documents(fake_channels: FakeChannels, **changed: Any) -> list[Any]:
    """Return what the chart makes of the values, some of them changed."""
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


def wait_for(run: str, *wanted: str, seconds: float = 180, box: Box | None = None) -> float:
    started = time.monotonic()

    def logs() -> str:
        return "\n".join(path.read_text()[-3000:] for path in box.folder.glob(f"*{run}*/log.txt")) if box else ""

    wait_until(lambda: status(run) in {*wanted, *ENDED}, seconds, f"run {run}", logs)
    assert status(run) in wanted, logs()
    return time.monotonic() - started


def rows(box: Box, sql: str) -> list[tuple[Any, ...]]:
    password = secret(box, "postgresql-password")
    connection = psycopg2.connect(host="127.0.0.1", user="dagster", password=password, dbname="warehouse")
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())
    finally:
        connection.close()


def secret(box: Box, key: str) -> str:
    data = box.secrets[f"{RELEASE}-analytics-dagster-generated"]["data"]
    return base64.b64decode(data[key]).decode()


def test_a_location_that_fails_to_load_is_told_and_the_others_go_on(box: Box) -> None:
    (workspace,) = ask(GRAPHQL, LOCATIONS).values()
    loaded = {entry["name"]: entry["locationOrLoadError"] for entry in workspace["locationEntries"]}

    assert loaded[LOCATION]["__typename"] == "RepositoryLocation"
    # It does not become ready, so that an upgrade leaves the old pod; why is what Kubernetes keeps of its log.
    assert "Could not reach user code server" in loaded["broken"]["message"]
    assert "-> Set ANALYTICS_DBT_PROJECT_DIR to the folder of your dbt project." in box.running["-code-broken"].log()
    (container,) = box.find("Deployment", "-code-broken")["spec"]["template"]["spec"]["containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_run_goes_all_the_way(box: Box, told: Timings) -> None:
    run = launch("hourly")
    told["launch to success"] = wait_for(run, "SUCCESS", box=box)

    assert rows(box, "select name from analytics.shouted order by id") == [("JAFFLE",), ("COFFEE",)]
    (job,) = [one for one in box.api.jobs() if one["metadata"]["name"] == f"dagster-run-{run}"]
    wait_until(lambda: box.api.jobs()[-1]["status"].get("active") is None, 60, "the end of the run's process")
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == f"{RELEASE}-analytics-dagster-code"
    (asset,) = ask(GRAPHQL, ASSETS, keys=[{"path": ["shouted"]}])["assetNodes"]
    assert [one["runId"] for one in asset["assetMaterializations"]] == [run]
    s3 = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:8333",
        region_name="us-east-1",
        aws_access_key_id=secret(box, "access-key-id"),
        aws_secret_access_key=secret(box, "secret-access-key"),
    )
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="analytics", Prefix="dagster-logs/").get("Contents", [])]
    assert [key for key in keys if run in key], keys


def test_helm_test_launches_a_real_run(box: Box) -> None:
    box.run_hook("-test")


def test_a_run_that_fails_is_a_failed_job_too(box: Box) -> None:
    run = launch("failing")
    wait_for(run, "FAILURE", box=box)

    wait_until(lambda: _job(box, run)["status"].get("failed") == 1, 60, "the failed Job")


def test_a_run_whose_pod_is_killed_is_continued_by_a_retry(box: Box, told: Timings) -> None:
    run = launch("slow")
    wait_for(run, "STARTED", box=box)
    wait_until(lambda: rows(box, "select to_regclass('analytics.quick')") != [(None,)], 120, "the first model")
    (pod,) = [one for one in box.api.pods() if one["metadata"]["labels"]["dagster/run-id"] == run]
    box.api.kill_pod(pod["metadata"]["name"])
    killed = time.monotonic()
    wait_for(run, "FAILURE", box=box)

    tags = [{"key": "dagster/root_run_id", "value": run}]
    wait_until(lambda: _retry(tags, run) is not None, 180, "the retry")
    retry = _retry(tags, run)
    assert retry is not None
    wait_for(retry, "SUCCESS", box=box)
    told["pod killed, to success by a retry"] = time.monotonic() - killed
    assert rows(box, "select count(*) from analytics.slow") == [(1,)]
    pod = _job(box, retry)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"requests": {"memory": "3Gi"}}
    assert pod["nodeSelector"] == {"pool": "memory"}
    assert pod["tolerations"] == [{"key": "memory", "operator": "Exists", "effect": "NoSchedule"}]


def test_a_run_that_is_terminated_ends_with_its_pod(box: Box) -> None:
    run = launch("slow")
    wait_for(run, "STARTED", box=box)
    ask(GRAPHQL, TERMINATE, id=run)
    wait_for(run, "CANCELED", box=box)

    assert [one for one in box.api.jobs() if one["metadata"]["name"] == f"dagster-run-{run}"] == []


def test_a_run_that_takes_longer_than_it_may_is_ended_by_the_daemon(box: Box) -> None:
    run = launch("slow", max_runtime="5", max_retries="0")
    wait_for(run, "FAILURE", box=box)

    assert [one for one in box.api.jobs() if one["metadata"]["name"] == f"dagster-run-{run}"] == []


def test_the_daemon_may_be_restarted_in_the_middle_of_a_run(box: Box, told: Timings) -> None:
    run = launch("slow")
    wait_for(run, "STARTED", box=box)
    box.stop("-daemon")
    queued = launch("hourly")
    box.start("-daemon")
    told["daemon: restart to healthy, in the middle of a run"] = box.wait_until_healthy("-daemon")

    wait_for(run, "SUCCESS", box=box)
    wait_for(queued, "SUCCESS", box=box)


def test_a_daemon_that_is_silent_is_told_from_outside_and_that_it_is_back(
    box: Box, fake_channels: FakeChannels, told: Timings
) -> None:
    box.stop("-daemon")
    stopped = time.monotonic()

    def is_silent() -> bool:
        code, said = box.run_cron_job("-alerts-watch")
        assert code in {0, 1}, said
        return code == 1

    wait_until(is_silent, 150, "the watch says that the daemon is silent")
    [message] = fake_channels.accepted("hook")
    told["daemon stopped, to the message that it is silent"] = time.monotonic() - stopped
    assert "sent no heartbeat for" in message["text"]
    box.start("-daemon")
    box.wait_until_healthy("-daemon")
    wait_until(lambda: not is_silent(), 60, "the daemon's heartbeat")
    assert "Recovered after" in fake_channels.accepted("hook")[-1]["text"]


def test_postgresql_may_be_restarted_in_the_middle_of_a_run(box: Box, told: Timings) -> None:
    run = launch("slow")
    wait_for(run, "STARTED", box=box)
    time.sleep(5)
    box.stop("-postgresql", grace=20)
    box.start("-postgresql")
    box.wait_until_healthy("-postgresql")
    restarted = time.monotonic()
    # Each of the web server's three pools of connections answers once by an error before it connects anew.
    wait_until(_is_connected, 60, "the web server's connections")

    tags = [{"key": "dagster/root_run_id", "value": run}]
    wait_until(lambda: "SUCCESS" in (status(run), status(_retry(tags, run) or run)), 300, "the run or its retry")
    told["PostgreSQL restarted in the middle of a run, to success"] = time.monotonic() - restarted
    assert rows(box, "select count(*) from analytics.slow") == [(1,)]
    box.wait_until_healthy("-daemon")


def test_s3_may_be_away_for_a_minute(box: Box) -> None:
    box.stop("-s3")
    run = launch("hourly")
    wait_for(run, "STARTED", box=box)
    time.sleep(30)
    box.start("-s3")
    box.wait_until_healthy("-s3")

    wait_for(run, "SUCCESS", box=box)


def test_an_upgrade_restarts_what_it_changes_and_nothing_else(
    box: Box, fake_channels: FakeChannels, told: Timings
) -> None:
    secrets = copy.deepcopy(box.secrets)
    run = launch("slow")
    wait_for(run, "STARTED", box=box)
    groups = copy.deepcopy(VALUES["analytics"]["scheduleGroups"])
    groups["groups"][0]["resources"] = {"requests": {"memory": "2Gi"}}
    analytics = {**VALUES["analytics"], "scheduleGroups": groups}
    before = loaded()
    started = time.monotonic()

    assert box.upgrade(documents(fake_channels, analytics=analytics)) == {f"-code-{LOCATION}", "-code-broken"}
    box.wait_until_healthy(f"-code-{LOCATION}")
    wait_until(lambda: loaded() > before, 60, "the web server has loaded the new code")
    told["upgrade with changed schedule groups, to the new code in the UI"] = time.monotonic() - started
    wait_for(run, "SUCCESS", box=box)
    after = launch("hourly")
    wait_for(after, "SUCCESS", box=box)
    pod = _job(box, after)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"requests": {"memory": "2Gi"}}

    daemon = copy.deepcopy(VALUES["dagsterDaemon"])
    daemon["runMonitoring"]["pollIntervalSeconds"] = 3
    changed = documents(fake_channels, analytics=analytics, dagsterDaemon=daemon)
    assert box.upgrade(changed) == {"-daemon", "-webserver"}
    for end in ("-webserver", "-daemon"):
        box.wait_until_healthy(end)
    assert box.upgrade(changed) == set()
    assert box.secrets == secrets, "the passwords are those of the first installation"
    wait_for(launch("hourly"), "SUCCESS", box=box)


@pytest.mark.usefixtures("box")
def test_two_groups_run_at_once_and_two_of_one_group_one_after_the_other() -> None:
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


def test_every_right_was_needed(box: Box) -> None:
    # Asked for when a run does not start in time; test_calls.py sees these calls.
    elsewhere = {("list", "jobs"), ("get", "pods/log")}
    unused = {right for right in box.api.unused if (right.verb, right.resource) not in elsewhere}

    # A second installation would ask for the Secret that is there.
    assert {right for right in unused if not right.account.endswith("-secret")} == set()


def loaded() -> float:
    """Return when the web server last loaded the location, in seconds since 1970; 0 if it could not."""
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


def _job(box: Box, run: str) -> Any:
    (found,) = [one for one in box.api.jobs() if one["metadata"]["name"] == f"dagster-run-{run}"]
    return found


def _retry(tags: list[dict[str, str]], run: str) -> str | None:
    results = ask(GRAPHQL, RUNS_OF_ROOT, tags=tags)["runsOrError"]["results"]
    return next((str(one["runId"]) for one in results if one["runId"] != run), None)
