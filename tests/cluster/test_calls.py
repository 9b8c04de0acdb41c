"""The Kubernetes calls of the installed dagster-k8s: the Roles of the chart grant exactly these, to each caller."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import kubernetes
import pytest
import yaml

# Private names of Dagster: this test fails if they are removed.
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher

from scripts.chart_files import CHART
from scripts.local_process import LocalProcess
from tests.cluster.kubernetes_api import KubernetesApi, Object
from tests.cluster.permissions import Permission, granted_permissions
from tests.unit.chart.rendered import NAMESPACE, RELEASE, instance, rendered

WEBSERVER = f"{RELEASE}-analytics-dagster-webserver"
DAEMON = f"{RELEASE}-analytics-dagster-daemon"
SECRET = f"{RELEASE}-analytics-dagster-secret"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubernetesApi]:
    program = "import time; print('a first line'); print('a last line', flush=True); time.sleep(600)"

    def start(pod: Object) -> LocalProcess:
        return LocalProcess([sys.executable, "-c", program], tmp_path / f"{pod['metadata']['name']}.log")

    accounts = {f"token-{account}": account for account in (WEBSERVER, DAEMON, SECRET)}
    with KubernetesApi(NAMESPACE, start, accounts, granted_permissions(rendered("default"))) as served:
        yield served
    assert served.faults == []


@pytest.fixture
def launcher_of(api: KubernetesApi, tmp_path: Path) -> Callable[[str], K8sRunLauncher]:
    """Return a factory of the launcher in the chart's `dagster.yaml` for one account, with the URL of the test API."""

    def make(account: str) -> K8sRunLauncher:
        file = tmp_path / f"{account}.kubeconfig"
        file.write_text(yaml.safe_dump(_kubeconfig(api.url, f"token-{account}")), encoding="utf-8")
        configuration = instance(rendered("everything on"))["run_launcher"]
        config = {**configuration["config"], "load_incluster_config": False, "kubeconfig_file": str(file)}
        data = ConfigurableClassData(configuration["module"], configuration["class"], yaml.safe_dump(config))
        return data.rehydrate(as_type=K8sRunLauncher)

    return make


def test_the_roles_grant_exactly_the_calls_of_dagster_k8s(
    api: KubernetesApi, launcher_of: Callable[[str], K8sRunLauncher], tmp_path: Path
) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as storage:
        daemon, webserver = launcher_of(DAEMON), launcher_of(WEBSERVER)
        for launcher in (daemon, webserver):
            launcher.register_instance(storage)
        lost, maximum, cancelled = (_run(storage) for _ in range(3))

        for run in (lost, maximum, cancelled):
            _launch(daemon, run)
        assert daemon.check_run_worker_health(lost).status.value == "RUNNING"
        (pod,) = [pod for pod in api.pods() if pod["metadata"]["labels"]["dagster/run-id"] == lost.run_id]
        api.kill_pod(pod["metadata"]["name"])
        assert daemon.check_run_worker_health(lost).status.value == "FAILED"
        assert "a last line" in str(daemon.get_run_worker_debug_info(lost))
        assert _terminate(daemon, maximum)
        # If the Pods of a Job are deleted, only its events are left.
        assert daemon.get_run_worker_debug_info(maximum) is not None
        assert _terminate(webserver, cancelled)
    _make_secret(api)
    _make_secret(api)

    assert api.unused == frozenset()
    assert {permission.account for permission in api.used} == {WEBSERVER, DAEMON, SECRET}


def test_a_call_without_permission_is_refused(api: KubernetesApi, launcher_of: Callable[[str], K8sRunLauncher]) -> None:
    with pytest.raises(kubernetes.client.ApiException) as refused:
        launcher_of(WEBSERVER)._api_client.batch_api.list_namespaced_job(NAMESPACE)

    assert refused.value.status == 403
    assert api.faults.pop() == f"{WEBSERVER} may not list jobs in the group 'batch'"


def test_an_unsupported_request_is_an_error(api: KubernetesApi, launcher_of: Callable[[str], K8sRunLauncher]) -> None:
    with pytest.raises(kubernetes.client.ApiException) as refused:
        launcher_of(DAEMON)._api_client.core_api.list_namespaced_config_map(NAMESPACE)

    assert refused.value.status == 501
    assert "configmaps: not served" in api.faults.pop()


def test_an_invalid_job_is_refused(api: KubernetesApi, launcher_of: Callable[[str], K8sRunLauncher]) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"templte": {}}}

    with pytest.raises(kubernetes.client.ApiException) as refused:
        launcher_of(DAEMON)._api_client.batch_api.create_namespaced_job(NAMESPACE, job)

    assert refused.value.status == 422
    assert "templte" in api.faults.pop()


def test_an_unused_permission_is_detected(api: KubernetesApi) -> None:
    unused = Permission(DAEMON, "get", "batch", "jobs")
    api.permissions |= {unused}

    assert unused in api.unused


def _run(storage: dg.DagsterInstance) -> dg.DagsterRun:
    run: dg.DagsterRun = create_run_for_test(
        storage, job_name="hourly", status=dg.DagsterRunStatus.STARTED, job_code_origin=_code_origin()
    )
    return run


def _code_origin() -> Any:
    return JobPythonOrigin(
        "hourly",
        RepositoryPythonOrigin(
            executable_path="python",
            code_pointer=ModuleCodePointer("analytics_dagster.definitions", "defs"),
            container_image="analytics-dagster:0.1.0",
            entry_point=["dagster"],
            container_context=None,
        ),
    )


def _launch(launcher: K8sRunLauncher, run: dg.DagsterRun) -> None:
    launcher.launch_run(LaunchRunContext(run, workspace=None))


def _terminate(launcher: Any, run: dg.DagsterRun) -> bool:
    # The method has no type hints.
    return bool(launcher.terminate(run.run_id))


def _make_secret(api: KubernetesApi) -> None:
    """Run the script of the chart, like the Job of the hook."""
    source = (CHART / "files" / "generate_secret.py").read_text(encoding="utf-8")
    scope: dict[str, Any] = {"__name__": "generate_secret"}
    exec(compile(source, "generate_secret.py", "exec"), scope)  # noqa: S102 - our own file

    def load() -> None:
        kubernetes.config.load_kube_config_from_dict(_kubeconfig(api.url, f"token-{SECRET}"))

    with patch.object(kubernetes.config, "load_incluster_config", load):
        assert scope["main"](NAMESPACE, f"{RELEASE}-analytics-dagster-generated", ["a", "b"]) is None


def _kubeconfig(url: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": url}}],
        "users": [{"name": "local", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
        "current-context": "local",
    }
