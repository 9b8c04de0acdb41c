"""The values of the chart: generated files are up to date, and invalid values are rejected with their place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scripts.chart_files import CHART, chart_files
from scripts.chart_model import Values
from tests.unit.chart.rendered import CASES, helm, instance, render, rendered


@pytest.mark.parametrize("path", chart_files(), ids=lambda path: path.name)
def test_generated_chart_files_are_up_to_date(path: Any) -> None:
    assert path.read_text(encoding="utf-8") == chart_files()[path], "run `make chart`"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"dagsterWebsever": {}}, "dagsterWebsever"),
        ({"dagsterWebserver": {"replicas": 2}}, "replicas"),
        ({"dagsterWebserver": {"replicaCount": "two"}}, "replicaCount"),
        ({"dagsterWebserver": {"replicaCount": -1}}, "replicaCount"),
        ({"dagsterWebserver": {"pathPrefix": "dagster/"}}, "pathPrefix"),
        ({"dagsterDaemon": {"replicaCount": 2}}, "replicaCount"),
        ({"dagsterDaemon": {"resources": {"limits": {"memory": "1Gib"}}}}, "memory"),
        ({"dagsterDaemon": {"tolerations": [{"keys": "a"}]}}, "keys"),
        ({"dagsterDaemon": {"env": {"A": "b"}}}, "env"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"analytics": {"environment": "dev"}}, "environment"),
        ({"analytics": {"settings": {"ANALYTICS_UNIT_TESTS": True}}}, "ANALYTICS_UNIT_TESTS"),
        ({"analytics": {"scheduleGroups": {"groups": [{"name": "hourly", "slect": "a"}]}}}, "scheduleGroups"),
        (
            {"analytics": {"scheduleGroups": {"groups": [{"name": "a", "select": "a", "tolerations": [{"keys": 1}]}]}}},
            "scheduleGroups",
        ),
        ({"analytics": {"alertRoutes": {"channels": {}, "rules": [{"nam": "a"}]}}}, "alertRoutes"),
        ({"warehouse": {"type": "oracle"}}, "type"),
        ({"warehouse": {"postgresql": {"database": 'a"; drop table b'}}}, "database"),
        ({"dagster-user-deployments": {"deployments": [{"name": "Has Spaces"}]}}, "name"),
        ({"dagster-user-deployments": {"deployments": [{}]}}, "name"),
        ({"postgresql": {"postgresqlPassword": "secret"}}, "postgresqlPassword"),
        ({"postgresql": {"service": {"port": 70000}}}, "port"),
    ],
    ids=str,
)
def test_an_invalid_value_is_rejected_with_its_place(values: dict[str, Any], expected: str) -> None:
    result = helm("template", "shop", values=values)

    assert result.returncode != 0
    assert "schema" in result.stderr
    assert expected in result.stderr


def test_helm_3_also_rejects_invalid_values() -> None:
    values = {"dagsterWebsever": {}, "dagsterDaemon": {"resources": {"limits": {"memory": "1Gib"}}}}
    result = helm("template", "shop", values=values, version="3")

    assert result.returncode != 0
    assert "dagsterWebsever" in result.stderr
    assert "dagsterDaemon.resources.limits.memory" in result.stderr


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"postgresql": {"enabled": False, "existingSecret": "a"}}, "postgresql.postgresqlHost"),
        ({"postgresql": {"enabled": False, "postgresqlHost": "a"}}, "postgresql.existingSecret"),
        ({"generatedSecrets": {"enabled": False}, "s3": {"existingSecret": "a"}}, "postgresql.existingSecret"),
        ({"generatedSecrets": {"enabled": False}, "postgresql": {"existingSecret": "a"}}, "s3.existingSecret"),
        ({"s3": {"enabled": False}}, "s3.authentication: workloadIdentity"),
        ({"s3": {"authentication": "workloadIdentity"}}, "s3.authentication"),
        ({"rbacEnabled": False}, "generatedSecrets: the Job that generates passwords needs permissions"),
        ({"warehouse": {"type": "profile"}}, "warehouse.profile.existingSecret"),
        ({"warehouse": {"postgresql": {"host": "a", "username": "b"}}}, "warehouse.postgresql"),
        ({"dagster-user-deployments": {"deployments": [{"name": "a"}, {"name": "a"}]}}, "more than one has the name a"),
        ({"tests": {"location": "a"}}, "tests.location: a is not a code location (analytics-dagster)"),
        ({"analytics": {"settings": {"ANALYTICS_SLACK_TOKEN": "x"}}}, "ANALYTICS_SLACK_TOKEN"),
        ({"alertsWatch": {"enabled": True}}, "alertsWatch.existingSecret: name the Secret"),
        ({"dagsterWebserver": {"autoscaling": {"enabled": True, "minReplicas": 9}}}, "minReplicas"),
        ({"ingress": {"enabled": True, "dagsterWebserver": {"tls": {"enabled": True}}}}, "TLS needs a host"),
    ],
    ids=str,
)
def test_contradictory_values_are_rejected_with_the_remedy(values: dict[str, Any], expected: str) -> None:
    result = helm("template", "shop", values=values)

    assert result.returncode != 0
    assert expected in result.stderr


def test_all_contradictions_are_reported_together() -> None:
    result = helm("template", "shop", values={"postgresql": {"enabled": False}, "s3": {"enabled": False}})

    assert result.stderr.count("\n  - ") == 3


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", ["3", "4"])
def test_helm_lint_passes(case: str, version: str) -> None:
    done = helm("lint", "--strict", "--quiet", values=CASES[case], version=version)

    assert (done.returncode, done.stdout.strip()) == (0, "")


@pytest.mark.parametrize("case", CASES)
def test_helm_3_and_4_render_the_same_documents(case: str) -> None:
    three, four = rendered(case, version="3"), rendered(case)

    assert sorted(map(repr, three)) == sorted(map(repr, four))


@pytest.mark.parametrize(
    ("case", "expected", "unexpected"),
    [
        (
            "default",
            ["port-forward service/shop-analytics-dagster-webserver 3000:80", "delete secret/", "turned on"],
            [],
        ),
        ("dev", ["turned off, because analytics.environment is staging"], []),
        ("prod", ["at https://dagster.example.com", "s3://example-analytics/landing"], ["bundled", "delete secret/"]),
        ("everything on", ["at https://a.example.com/dagster"], []),
        ("everything off", ["The bundled PostgreSQL and S3"], ["helm --namespace", "delete secret/"]),
    ],
)
def test_the_notes_list_the_next_steps(case: str, expected: list[str], unexpected: list[str]) -> None:
    # Helm 3 calls the cluster even for a client-side dry run.
    done = helm("install", "shop", "--namespace", "analytics", "--dry-run=client", values=CASES[case])
    notes = done.stdout.partition("NOTES:")[2]

    assert done.returncode == 0, done.stderr
    assert [text for text in expected if text not in notes] == []
    assert [text for text in unexpected if text in notes] == []


def test_every_value_is_used_by_a_template() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir())

    assert [key for key in _keys(Values().model_dump(by_alias=True)) if not re.search(rf"\b{key}\b", text)] == []


def test_every_value_in_a_template_exists() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir())
    values = Values().model_dump(by_alias=True)

    paths = sorted(set(re.findall(r"\.Values\.([A-Za-z0-9.]+)", text)))
    assert [path for path in paths if not _has(values, path.split("."))] == []


def test_a_code_location_with_only_a_name_gets_all_defaults() -> None:
    minimal = render({"dagster-user-deployments": {"deployments": [{"name": "analytics-dagster"}]}})

    assert minimal == rendered("default")


def test_a_code_location_can_override_one_key_of_a_default() -> None:
    values = {"dagster-user-deployments": {"deployments": [{"name": "a", "startupProbe": {"failureThreshold": 9}}]}}

    (probe,) = [
        document["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        for document in render(values)
        if document["kind"] == "Deployment" and document["metadata"]["name"].endswith("-code-a")
    ]
    assert probe == {
        "grpc": {"port": 3030, "service": "DagsterApi"},
        "failureThreshold": 9,
        "periodSeconds": 5,
        "timeoutSeconds": 5,
    }


def test_additional_keys_of_dagster_yaml_are_rendered() -> None:
    assert instance(rendered("everything on"))["code_servers"] == {"reload_timeout": 300}


def _keys(values: Any) -> set[str]:
    if not isinstance(values, dict):
        return set()
    found = set()
    for key, value in values.items():
        # Kubernetes types are passed on without changes.
        inside = _keys(value) if key not in _PASSED_ON else set()
        found |= {key} | inside
    return found


_PASSED_ON = {
    "resources",
    "podSecurityContext",
    "securityContext",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "podTemplateSpecMetadata",
    "podSpecConfig",
    "jobSpecConfig",
    "purgeAfterDays",
}


def _has(values: Any, path: list[str]) -> bool:
    if not path:
        return True
    return isinstance(values, dict) and path[0] in values and _has(values[path[0]], path[1:])
