"""All documents of the chart, for every case of values: valid for Kubernetes, and consistent with each other."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils
from pydantic import SecretStr

from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.settings import Settings
from tests.unit.chart.rendered import (
    CASES,
    LONGEST,
    NAMESPACE,
    RELEASE,
    Document,
    instance,
    name_of,
    named,
    of_kind,
    render,
    rendered,
    templates,
)

KUBERNETES = ("1.30", "1.34", "1.37")

SERVICE_MONITOR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "ServiceMonitor"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["selector", "endpoints"],
            "properties": {
                "selector": {"type": "object", "required": ["matchLabels"]},
                "endpoints": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "port": {"type": "string"},
                            "path": {"type": "string", "pattern": "^/"},
                            "interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"},
                        },
                    },
                },
            },
        },
    },
}
"""The part of this custom kind that the chart uses."""

GENERATED = "-generated"

JOBS = {"Job", "CronJob"}
"""Kinds without a pod selector, whose pods end."""

cases = pytest.mark.parametrize("case", CASES)


@pytest.fixture(scope="module", autouse=True)
def _cache_schemas() -> Iterator[None]:
    read = utils.schema_contents
    utils.schema_contents = cache(read)
    yield
    utils.schema_contents = read


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_document_is_valid_in_kubernetes(version: str) -> None:
    # Most documents are the same in several cases.
    documents = {json.dumps(document, sort_keys=True) for case in CASES for document in rendered(case)}
    for text in sorted(documents):
        document = json.loads(text)
        if document["kind"] == "ServiceMonitor":
            jsonschema.validate(document, SERVICE_MONITOR)
        else:
            kubernetes_validate.validate(document, version, strict=True)


def test_an_unknown_key_fails_the_kubernetes_schema() -> None:
    (document,) = of_kind(rendered("dev"), "Deployment")[:1]
    wrong = {**document, "spec": {**document["spec"], "replica": 1}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)


@cases
def test_no_two_documents_of_a_kind_have_the_same_name(case: str) -> None:
    assert [name for name, number in Counter(map(name_of, rendered(case))).items() if number > 1] == []


@cases
def test_every_document_is_in_the_namespace_of_the_release(case: str) -> None:
    assert {document["metadata"].get("namespace", NAMESPACE) for document in rendered(case)} == {NAMESPACE}


@cases
def test_names_and_labels_are_short_enough_for_the_longest_release_name(case: str) -> None:
    documents = rendered(case, LONGEST)

    for document in documents:
        name = document["metadata"]["name"]
        # The pods of a StatefulSet have a label with its name, a dash and ten characters.
        assert len(name) <= (52 if document["kind"] in {"StatefulSet", "CronJob"} else 63), name
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name), name
    for labels in map(dict, _labels(documents)):
        for key, value in labels.items():
            assert len(value) <= 63, f"{key}: {value}"
            assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?", value), f"{key}: {value}"


@cases
def test_two_releases_in_one_namespace_share_nothing(case: str) -> None:
    one, other = rendered(case), rendered(case, "other")

    assert {name_of(document) for document in one} & {name_of(document) for document in other} == set()
    pods = [_labels_of(template) for _, template in templates(other)]
    for document, selector in _selectors(one):
        assert not any(_selects(selector, labels) for labels in pods), name_of(document)


def test_long_release_names_with_the_same_start_share_nothing() -> None:
    one, other = rendered("default", LONGEST), rendered("default", LONGEST[:-1] + "x")

    assert {name_of(document) for document in one} & {name_of(document) for document in other} == set()


@cases
def test_a_workload_selects_its_own_pods(case: str) -> None:
    for document, template in templates(rendered(case)):
        if document["kind"] not in JOBS:
            assert _selects(document["spec"]["selector"]["matchLabels"], _labels_of(template)), name_of(document)


@cases
def test_no_workload_selects_the_pods_of_another(case: str) -> None:
    documents = rendered(case)
    for document, _ in templates(documents):
        for other, template in templates(documents):
            if document["kind"] not in JOBS and other is not document:
                selector = document["spec"]["selector"]["matchLabels"]
                assert not _selects(selector, _labels_of(template)), f"{name_of(document)}, {name_of(other)}"


@cases
def test_every_pod_selector_matches_a_pod(case: str) -> None:
    documents = rendered(case)
    pods = [_labels_of(template) for _, template in templates(documents)]
    pods.append(_labels_of_a_run(documents))
    for document, selector in _selectors(documents):
        # The network policies of code locations exist even without code locations.
        if not (case == "everything off" and document["kind"] == "NetworkPolicy"):
            assert any(_selects(selector, labels) for labels in pods), name_of(document)


@cases
def test_the_ports_of_a_service_are_ports_of_its_pods(case: str) -> None:
    documents = rendered(case)
    for service in of_kind(documents, "Service"):
        (template,) = _selected(documents, service["spec"]["selector"])
        (container,) = template["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name_of(service)


@cases
def test_a_network_policy_allows_exactly_the_ports_of_its_pods(case: str) -> None:
    documents = rendered(case)
    for policy in of_kind(documents, "NetworkPolicy"):
        allowed = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        for template in _selected(documents, policy["spec"]["podSelector"]["matchLabels"]):
            (container,) = template["spec"]["containers"]
            assert {port["name"] for port in container.get("ports", [])} == allowed, name_of(policy)


def test_every_pod_with_a_port_has_a_network_policy() -> None:
    documents = rendered("default")
    covered = [policy["spec"]["podSelector"]["matchLabels"] for policy in of_kind(documents, "NetworkPolicy")]

    for document, template in templates(documents):
        if any("ports" in container for container in template["spec"]["containers"]):
            assert any(_selects(selector, _labels_of(template)) for selector in covered), name_of(document)


@cases
def test_the_workspace_names_existing_services(case: str) -> None:
    documents = rendered(case)
    services = {one["metadata"]["name"]: one["spec"]["ports"][0]["port"] for one in of_kind(documents, "Service")}
    workspace = yaml.safe_load(named(documents, "ConfigMap", "-workspace")["data"]["workspace.yaml"])

    for server in (location["grpc_server"] for location in workspace["load_from"]):
        assert services[server["host"]] == server["port"]


@cases
def test_an_ingress_names_an_existing_service(case: str) -> None:
    documents = rendered(case)
    services = {
        one["metadata"]["name"]: {port["name"] for port in one["spec"]["ports"]} for one in _services(documents)
    }
    for ingress in of_kind(documents, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                assert backend["port"]["name"] in services[backend["name"]]


@cases
def test_an_autoscaler_names_an_existing_deployment_without_replicas(case: str) -> None:
    documents = rendered(case)
    deployments = {document["metadata"]["name"]: document for document in of_kind(documents, "Deployment")}
    for scaler in of_kind(documents, "HorizontalPodAutoscaler"):
        scaled = deployments[scaler["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in scaled["spec"], "the autoscaler sets the replicas"
        (container,) = scaled["spec"]["template"]["spec"]["containers"]
        assert "cpu" in container["resources"]["requests"]


@cases
def test_every_config_map_and_secret_of_a_pod_exists(case: str) -> None:
    documents = rendered(case)
    config_maps = {document["metadata"]["name"] for document in of_kind(documents, "ConfigMap")}
    made = any("generate_secret.py" in str(template) for _, template in templates(documents))
    for document, kind, name in _references(documents):
        there = _is_given(name, case) or (
            name in config_maps if kind == "configMap" else (made and name.endswith(GENERATED))
        )
        assert there, f"{name_of(document)}: {kind} {name}"


@cases
def test_the_generated_secret_has_exactly_the_keys_that_pods_use(case: str) -> None:
    documents = rendered(case)
    made = {
        key
        for job in of_kind(documents, "Job")
        for container in job["spec"]["template"]["spec"]["containers"]
        if "/scripts/generate_secret.py" in container["args"]
        for key in container["args"][-1].split(",")
    }
    taken = {
        reference["key"]
        for reference in _found(_with_instance(documents), "secretKeyRef")
        if reference["name"].endswith(GENERATED)
    }
    assert taken == made


@cases
def test_every_service_account_exists_and_only_those_with_permissions_have_a_token(case: str) -> None:
    documents = rendered(case)
    accounts = {document["metadata"]["name"] for document in of_kind(documents, "ServiceAccount")}
    bound = {subject["name"] for one in of_kind(documents, "RoleBinding") for subject in one["subjects"]}
    for document, template in templates(documents):
        spec = template["spec"]
        account = spec.get("serviceAccountName", "default")
        assert account in accounts | {"default"}, name_of(document)
        if case != "everything off" and spec["automountServiceAccountToken"]:
            assert account in bound, name_of(document)
    run = instance(documents)["run_launcher"]["config"]
    assert run["run_k8s_config"]["pod_spec_config"]["automountServiceAccountToken"] is False
    assert run["service_account_name"] not in bound


@cases
def test_no_role_has_wildcards_or_is_cluster_wide(case: str) -> None:
    for role in of_kind(rendered(case), "Role"):
        assert "*" not in str(role["rules"]), name_of(role)
    assert of_kind(rendered(case), "ClusterRole", "ClusterRoleBinding") == []


@cases
def test_every_container_has_limits_and_a_restricted_security_context(case: str) -> None:
    for document, template in templates(rendered(case)):
        pod = template["spec"]["securityContext"]
        assert pod["runAsNonRoot"] is True, name_of(document)
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert template["spec"]["enableServiceLinks"] is False
        for container in template["spec"]["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False, name_of(document)
            assert rights["readOnlyRootFilesystem"] is True, name_of(document)
            assert rights["capabilities"] == {"drop": ["ALL"]}, name_of(document)
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name_of(document)
            assert "memory" in container["resources"]["limits"], name_of(document)


@cases
def test_a_run_has_requests_and_a_restricted_security_context(case: str) -> None:
    launcher = instance(rendered(case))["run_launcher"]["config"]
    deployment = of_kind(rendered(case), "Deployment")[0]["spec"]["template"]["spec"]

    assert launcher["security_context"] == deployment["containers"][0]["securityContext"]
    assert launcher["run_k8s_config"]["pod_spec_config"]["securityContext"] == deployment["securityContext"]
    assert {"cpu", "memory"} <= launcher["resources"]["requests"].keys()


@cases
def test_every_long_running_container_has_probes(case: str) -> None:
    for document, template in templates(rendered(case)):
        if document["kind"] in JOBS:
            continue
        for container in template["spec"]["containers"]:
            assert {"startupProbe", "livenessProbe"} <= container.keys(), name_of(document)
            assert ("readinessProbe" in container) == ("ports" in container), name_of(document)
            ports = {port["name"] for port in container.get("ports", [])}
            numbers = {port["containerPort"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind, {})
                assert probe.get("httpGet", {}).get("port") in ports | {None}
                assert probe.get("grpc", {}).get("port") in numbers | {None}


@cases
def test_quantities_are_valid_and_requests_do_not_exceed_limits(case: str) -> None:
    documents = _with_instance(rendered(case))
    for resources in _found(documents, "resources"):
        if not isinstance(resources, dict):
            continue  # in a Role
        for what, asked in resources.get("requests", {}).items():
            assert _number(asked) <= _number(resources.get("limits", {}).get(what, asked))


@cases
def test_no_document_contains_a_secret(case: str) -> None:
    documents = rendered(case)

    assert of_kind(documents, "Secret") == []
    for variable in _variables(_with_instance(documents)):
        if re.search("PASSWORD|SECRET|TOKEN|ACCESS_KEY", variable["name"]):
            assert "value" not in variable, variable["name"]
    storage = instance(documents)["storage"]["postgres"]["postgres_db"]
    assert storage["password"] == {"env": "DAGSTER_PG_PASSWORD"}


@cases
def test_every_writable_path_is_a_volume(case: str) -> None:
    for document, template in templates(rendered(case)):
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
        for container in template["spec"]["containers"]:
            mounts = container["volumeMounts"]
            assert "/tmp" in {mount["mountPath"] for mount in mounts}, name_of(document)  # noqa: S108 - in a container
            assert {mount["name"] for mount in mounts} <= volumes, name_of(document)
            assert len({mount["mountPath"] for mount in mounts}) == len(mounts), name_of(document)
            assert not any("subPath" in mount for mount in mounts), "subPath mounts are never updated"


@cases
def test_no_variable_is_set_twice(case: str) -> None:
    for document, template in templates(rendered(case)):
        for container in template["spec"]["containers"]:
            names = Counter(variable["name"] for variable in container.get("env", []))
            assert [name for name, number in names.items() if number > 1] == [], name_of(document)


def test_there_is_never_more_than_one_daemon() -> None:
    for case in CASES:
        daemon = named(rendered(case), "Deployment", "-daemon")
        assert (daemon["spec"]["replicas"], daemon["spec"]["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize(
    ("values", "rolled"),
    [
        ({"dagsterDaemon": {"runRetries": {"maxRetries": 3}}}, "daemon webserver"),
        (
            {"dagster-user-deployments": {"deployments": [{"name": "analytics-dagster", "port": 4000}]}},
            "code-location daemon webserver",
        ),
        (
            {"analytics": {"scheduleGroups": {"groups": [{"name": "a", "select": "*"}]}}},
            "code-location daemon webserver",
        ),
        ({"dagsterWebserver": {"logLevel": "info"}}, "webserver"),
        ({"networkPolicies": {"enabled": False}}, ""),
    ],
    ids=str,
)
def test_a_change_restarts_only_the_pods_that_read_it(values: dict[str, Any], rolled: str) -> None:
    before, after = _pods(rendered("default")), _pods(render(values))

    assert {component for component in before if before[component] != after[component]} == set(rolled.split())


@cases
def test_the_objects_that_a_hook_reads_exist_before_it_runs(case: str) -> None:
    documents = rendered(case)
    hooks = {name_of(document): _hook(document) for document in documents if _hook(document) is not None}
    for document, template in templates(documents):
        hook = _hook(document)
        if hook is None:
            continue
        needed = [f"ConfigMap {name}" for volume in template["spec"]["volumes"] for name in _config_maps(volume)]
        if "serviceAccountName" in template["spec"]:
            needed.append(f"ServiceAccount {template['spec']['serviceAccountName']}")
        for name in needed:
            events, weight = hooks[name] or (set(), 0)
            assert hook[0] <= events, f"{name_of(document)} needs {name}"
            assert weight < hook[1], f"{name_of(document)} needs {name}"


def test_passwords_are_generated_before_the_migration() -> None:
    documents = rendered("default")
    made, migrated = (_hook(named(documents, "Job", end)) for end in ("-secret", "-migrate"))

    assert made is not None
    assert migrated is not None
    assert made[1] < migrated[1]


@pytest.mark.parametrize("case", ["prod", "everything on"])
def test_the_alerts_watch_has_no_permissions_and_only_the_secrets_of_its_channels(case: str) -> None:
    documents = rendered(case)
    (watch,) = of_kind(documents, "CronJob")
    spec = watch["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]

    assert container["args"][:3] == ["analytics-dagster", "alerts", "watch"]
    assert spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in spec
    assert [list(one) for one in container["envFrom"]] == [["secretRef"]]
    references = [one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one]
    assert len(references) == 1, "the password of Dagster's storage"
    names = {one["name"] for one in container["env"]}
    assert not {name for name in names if name.startswith(("AWS_", "ANALYTICS_POSTGRES_"))}
    assert watch["spec"]["concurrencyPolicy"] == "Forbid"


def test_code_runs_and_alerts_watch_get_the_alert_routes_unchanged(tmp_path: Path) -> None:
    documents = rendered("everything on")
    file = tmp_path / "alerts.yaml"
    file.write_text(named(documents, "ConfigMap", "-alert-routes")["data"]["alerts.yaml"])
    routes = load_routes(Settings(alerts_file=file, slack_token=SecretStr("any")))
    assert routes.channels["data"].quiet_hours is not None
    for kind in ("Deployment", "CronJob"):
        found = [
            container
            for document, template in templates(of_kind(documents, kind))
            for container in template["spec"]["containers"]
            if any(variable["name"] == "ANALYTICS_ALERTS_FILE" for variable in container["env"])
        ]
        assert len(found) == 1
        assert "/etc/analytics-dagster-alerts" in {mount["mountPath"] for mount in found[0]["volumeMounts"]}


def test_the_alerts_watch_can_connect_to_postgresql_and_nothing_connects_to_it() -> None:
    documents = rendered("everything on")
    (watch,) = of_kind(documents, "CronJob")
    component = watch["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
    allowed = named(documents, "NetworkPolicy", "-postgresql")["spec"]["ingress"][0]["from"][0]["podSelector"]
    assert component in allowed["matchExpressions"][0]["values"]
    assert named(documents, "NetworkPolicy", f"-{component}")["spec"]["ingress"] == []
    assert of_kind(rendered("default"), "CronJob") == []


def test_the_chart_does_not_query_the_cluster() -> None:
    """`lookup` is empty under `helm template` and GitOps: the same values must give the same documents."""
    assert render({}) == render({})


def _labels(documents: list[Document]) -> Iterator[dict[str, str]]:
    yield from (document["metadata"].get("labels", {}) for document in documents)
    yield from (_labels_of(template) for _, template in templates(documents))


def _labels_of(template: Document) -> dict[str, str]:
    labels: dict[str, str] = template["metadata"]["labels"]
    return labels


def _labels_of_a_run(documents: list[Document]) -> dict[str, str]:
    own: dict[str, str] = instance(documents)["run_launcher"]["config"]["labels"]
    return {"app.kubernetes.io/component": "run_worker", **own}


def _selectors(documents: list[Document]) -> Iterator[tuple[Document, dict[str, str]]]:
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] == "Service":
            yield document, spec["selector"]
        if document["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            yield document, spec["selector"]["matchLabels"]
        if document["kind"] == "NetworkPolicy":
            yield document, spec["podSelector"]["matchLabels"]


def _selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def _selected(documents: list[Document], selector: dict[str, str]) -> list[Document]:
    return [template for _, template in templates(documents) if _selects(selector, _labels_of(template))]


def _services(documents: list[Document]) -> list[Document]:
    return of_kind(documents, "Service")


def _with_instance(documents: list[Document]) -> list[Any]:
    return [*documents, instance(documents)]


def _found(part: Any, key: str) -> Iterator[Any]:
    """Yield every value of a key at any depth."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == key:
                yield value
            yield from _found(value, key)
    elif isinstance(part, list):
        for value in part:
            yield from _found(value, key)


def _variables(part: Any) -> Iterator[dict[str, Any]]:
    for variables in _found(part, "env"):
        if isinstance(variables, list):
            yield from variables


def _references(documents: list[Document]) -> Iterator[tuple[Document, str, str]]:
    """Yield every ConfigMap and Secret of a pod or a run."""
    launcher = {"kind": "run", "metadata": {"name": RELEASE}, "spec": instance(documents)["run_launcher"]["config"]}
    for document in [*documents, launcher]:
        if document["kind"] not in ("Deployment", "StatefulSet", *JOBS, "run"):
            continue
        for volume in _found(document, "configMap"):
            yield document, "configMap", volume["name"]
        for key in ("configMapRef", "secretRef", "secretKeyRef", "secret"):
            for reference in _found(document, key):
                kind = "configMap" if key == "configMapRef" else "secret"
                yield document, kind, reference.get("name") or reference["secretName"]
        yield from ((document, "secret", name) for names in _found(document, "env_secrets") for name in names)
        yield from ((document, "configMap", name) for names in _found(document, "env_config_maps") for name in names)


def _config_maps(volume: dict[str, Any]) -> Iterator[str]:
    yield from (one["name"] for one in _found(volume, "configMap"))


_PROD = ("dagster-postgresql", "warehouse-postgresql", "alert-channels")


def _is_given(name: str, case: str) -> bool:
    return name.startswith("given-") or (case == "prod" and name in _PROD)


def _number(quantity: Any) -> Decimal:
    match = re.fullmatch(r"([0-9.]+)(m|[kMGTPE]i?)?", str(quantity))
    assert match, quantity
    powers = {"m": Decimal("0.001"), None: Decimal(1)}
    powers |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)}
    powers |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)}
    return Decimal(match[1]) * powers[match[2]]


def _pods(documents: list[Document]) -> dict[str, str]:
    return {
        template["metadata"]["labels"]["app.kubernetes.io/component"]: json.dumps(template, sort_keys=True)
        for document, template in templates(documents)
        if document["kind"] not in JOBS
    }


def _hook(document: Document) -> tuple[set[str], int] | None:
    annotations = document["metadata"].get("annotations") or {}
    if "helm.sh/hook" not in annotations:
        return None
    return set(annotations["helm.sh/hook"].split(",")), int(annotations["helm.sh/hook-weight"])
