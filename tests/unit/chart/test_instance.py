"""Dagster accepts the configuration in the chart: `dagster.yaml`, and the container context of code locations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes
import kubernetes_validate
import pytest
import yaml

# Private names of Dagster: this test fails if they are removed.
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job

from analytics_dagster.automation.jobs import run_tags
from analytics_dagster.planning.groups import ScheduleGroup
from tests.unit.chart.rendered import CASES, Document, instance, of_kind, rendered


def reference(case: str, folder: Path) -> InstanceRef:
    """Return the instance reference that Dagster reads from the `dagster.yaml` of a case."""
    configuration = instance(rendered(case))
    configuration["run_launcher"]["config"]["load_incluster_config"] = False
    # Use a separate kubeconfig, so that tests never call the developer's cluster.
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "a", "user": {}}],
                "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                "current-context": "a",
            }
        ),
        encoding="utf-8",
    )
    configuration["run_launcher"]["config"]["kubeconfig_file"] = str(kubeconfig)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return InstanceRef.from_dir(str(folder))


@pytest.mark.parametrize("case", CASES)
def test_dagster_accepts_the_configuration(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DAGSTER_PG_PASSWORD"):
        monkeypatch.setenv(name, "test")
    read = reference(case, tmp_path)

    assert isinstance(read.run_launcher, K8sRunLauncher)
    assert isinstance(read.run_coordinator, QueuedRunCoordinator)
    assert type(read.compute_log_manager).__name__ == (
        "NoOpComputeLogManager" if case == "everything off" else "S3ComputeLogManager"
    )
    settings: Any = read.settings
    assert settings["concurrency"]["pools"] == {"granularity": "op"}
    assert settings["telemetry"] == {"enabled": case == "everything on"}


@pytest.mark.parametrize("case", CASES)
def test_dagster_k8s_accepts_the_container_context_of_a_location(case: str) -> None:
    for deployment in _locations(case):
        (context,) = _variables(deployment, "DAGSTER_CONTAINER_CONTEXT")
        K8sContainerContext.create_from_config(json.loads(context))


def test_a_run_gets_the_environment_and_volumes_of_its_location(tmp_path: Path) -> None:
    with_bank = {deployment["metadata"]["name"]: deployment for deployment in _locations("several locations")}
    context = _variables(with_bank["shop-analytics-dagster-code-bank"], "DAGSTER_CONTAINER_CONTEXT")[0]
    other = next(deployment for name, deployment in with_bank.items() if "code-a-" in name)

    job = _job("several locations", tmp_path, json.loads(context))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "GREETING", "value": "hello"} in container["env"]
    assert "DAGSTER_PG_PASSWORD" in {variable["name"] for variable in container["env"]}
    assert container["envFrom"] == [
        {"configMapRef": {"name": "given-config"}},
        {"secretRef": {"name": "given-secret"}},
    ]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/certificates"}  # noqa: S108
    assert json.loads(_variables(other, "DAGSTER_CONTAINER_CONTEXT")[0]) == {"k8s": {}}


def test_the_run_of_every_case_is_a_valid_job(tmp_path: Path) -> None:
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        kubernetes_validate.validate(_job(case, folder), "1.37", strict=True)


@pytest.mark.parametrize("case", [case for case in CASES if case != "everything off"])
def test_the_resources_of_a_group_replace_only_those_of_the_chart(case: str, tmp_path: Path) -> None:
    # More memory than the limit of the chart, which must not apply.
    asked = {"requests": {"cpu": "2", "memory": "8Gi"}}
    for number, deployment in enumerate(_locations(case)):
        context = json.loads(_variables(deployment, "DAGSTER_CONTAINER_CONTEXT")[0])
        for folder in ("without", "with"):
            (tmp_path / f"{folder}{number}").mkdir()
        without = _job(case, tmp_path / f"without{number}", context)
        made = _job(case, tmp_path / f"with{number}", context, _tags(resources=asked))

        (container,) = made["spec"]["template"]["spec"]["containers"]
        assert container["resources"] == asked
        container["resources"] = without["spec"]["template"]["spec"]["containers"][0]["resources"]
        assert _sorted(made) == _sorted(without)


@pytest.mark.parametrize("case", [case for case in CASES if case != "everything off"])
def test_the_placement_of_a_group_replaces_only_that_of_the_chart(case: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "node_selector": {"example.com/memory": "high"},
        "tolerations": [{"key": "memory", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        "priority_class_name": "batch",
    }
    given = {"nodeSelector": asked["node_selector"], "tolerations": asked["tolerations"], "priorityClassName": "batch"}
    for number, deployment in enumerate(_locations(case)):
        context = json.loads(_variables(deployment, "DAGSTER_CONTAINER_CONTEXT")[0])
        for folder in ("without", "with"):
            (tmp_path / f"{folder}{number}").mkdir()
        without = _job(case, tmp_path / f"without{number}", context)
        made = _job(case, tmp_path / f"with{number}", context, _tags(**asked))

        kubernetes_validate.validate(made, "1.37", strict=True)
        spec, before = (job["spec"]["template"]["spec"] for job in (made, without))
        assert {key: spec.pop(key) for key in given} == given
        for key in given:
            before.pop(key, None)
        assert _sorted(made) == _sorted(without)


def test_a_group_without_resources_uses_those_of_the_chart(tmp_path: Path) -> None:
    (container,) = _job("default", tmp_path)["spec"]["template"]["spec"]["containers"]

    assert container["resources"] == {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


def test_a_run_can_write_only_to_volumes_and_has_no_permissions(tmp_path: Path) -> None:
    spec = _job("default", tmp_path)["spec"]["template"]["spec"]

    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "shop-analytics-dagster-code"


def test_kubernetes_never_restarts_the_pod_of_a_run(tmp_path: Path) -> None:
    job = _job("default", tmp_path)["spec"]

    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")


def _job(case: str, folder: Path, context: Any = None, tags: dict[str, str] | None = None) -> Document:
    """Return the Job of a run, as dagster-k8s builds it from launcher, code location and tags."""
    launcher = reference(case, folder).run_launcher
    assert isinstance(launcher, K8sRunLauncher)
    pointer = ModuleCodePointer("analytics_dagster.definitions", "defs")
    repository = RepositoryPythonOrigin("python", pointer, "analytics-dagster:0.1.0", ["dagster"], context)
    run = dg.DagsterRun("hourly", run_id="1", tags=tags, job_code_origin=JobPythonOrigin("hourly", repository))
    merged = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    job = construct_dagster_k8s_job(
        job_config=merged.get_k8s_job_config(repository.container_image, launcher),
        args=["dagster", "api", "execute_run"],
        job_name="dagster-run-1",
        user_defined_k8s_config=merged.run_k8s_config,
        component="run_worker",
    )
    made: Document = kubernetes.client.ApiClient().sanitize_for_serialization(job)
    return made


def _tags(**asked: Any) -> dict[str, str]:
    group = ScheduleGroup(name="hourly", select="*", **asked)
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in run_tags(group, "a").items()}


def _locations(case: str) -> list[Document]:
    return [one for one in of_kind(rendered(case), "Deployment") if "-code-" in one["metadata"]["name"]]


def _variables(deployment: Document, name: str) -> list[str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return [variable["value"] for variable in container["env"] if variable["name"] == name]


def _sorted(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _sorted(value) for key, value in part.items()}
    return sorted(map(_sorted, part), key=repr) if isinstance(part, list) else part
