"""Renders the chart with helm for a matrix of values, and finds things in the documents."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml
from filelock import FileLock

from scripts.chart_files import CHART
from scripts.install_helm import FOLDER, install_helm

Document = dict[str, Any]

RELEASE = "shop"
NAMESPACE = "analytics"

_PROBE = {"periodSeconds": 30}
_RESOURCES = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}
_EXTRA = {
    "env": [{"name": "GREETING", "value": "hello"}],
    "envConfigMaps": ["given-config"],
    "envSecrets": ["given-secret"],
    "volumes": [{"name": "certificates", "secret": {"secretName": "given-secret"}}],
    "volumeMounts": [{"name": "certificates", "mountPath": "/certificates", "readOnly": True}],
}
_PLACED = {
    "nodeSelector": {"pool": "analytics"},
    "tolerations": [{"key": "analytics", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "arch", "operator": "In", "values": ["amd64"]}]}]
            }
        }
    },
    "priorityClassName": "important",
    "annotations": {"note": "a pod"},
    "labels": {"team": "analytics"},
    "resources": _RESOURCES,
}
_POD = {**_EXTRA, **_PLACED, "livenessProbe": _PROBE, "readinessProbe": _PROBE, "startupProbe": _PROBE}
_GROUPS = {
    "groups": [
        {
            "name": "hourly",
            "select": "tag:hourly",
            "resources": {"requests": {"memory": "4Gi"}},
            "node_selector": {"pool": "memory"},
            "tolerations": [{"key": "memory", "operator": "Exists", "effect": "NoSchedule"}],
            "priority_class_name": "batch",
        },
        {"name": "nightly", "select": "tag:nightly", "default": True},
    ]
}

_ROUTES = {
    "channels": {"data": {"slack": "#data", "quiet_hours": {"from": "22:00", "to": "07:00"}}},
    "rules": [{"name": "all", "to": "data", "continue": True}],
    "maintenance": [{"from": "2026-12-01T22:00:00+01:00", "to": "2026-12-02T02:00:00+01:00"}],
}

CASES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "dev": {"-f": "values-dev.yaml"},
    "prod": {"-f": "values-prod.yaml"},
    "everything on": {
        "commonLabels": {"cost-center": "42"},
        "image": {"repository": "example/analytics", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "given-registry"}],
        "serviceAccounts": {"code": {"annotations": {"iam.gke.io/gcp-service-account": "a@b.example"}}},
        "analytics": {
            "scheduleGroups": _GROUPS,
            "alertRoutes": _ROUTES,
            "settings": {"ANALYTICS_UNIT_TESTS": "true"},
        },
        "warehouse": {"writers": 3},
        "dagsterWebserver": {
            **_POD,
            "replicaCount": 3,
            "enableReadOnly": True,
            "pathPrefix": "/dagster",
            "autoscaling": {"enabled": True},
            "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"lb": "internal"}},
        },
        "dagsterDaemon": {**_POD, "runMonitoring": {"maxRuntimeSeconds": 7200, "maxResumeRunAttempts": 1}},
        "dagster-user-deployments": {"deployments": [{"name": "shop", **_POD}]},
        "runLauncher": {
            "config": {
                "k8sRunLauncher": {
                    **_EXTRA,
                    **{key: value for key, value in _PLACED.items() if key != "annotations"},
                    "runK8sConfig": {"podSpecConfig": {"dnsPolicy": "Default"}},
                }
            }
        },
        "computeLogManager": {
            "config": {
                "s3ComputeLogManager": {
                    "verifyCertPath": "/certificates/ca.pem",
                    "uploadExtraArgs": {"ServerSideEncryption": "AES256"},
                }
            }
        },
        "postgresql": {**_PLACED, "persistence": {"storageClass": "fast"}},
        "s3": {**_PLACED, "persistence": {"storageClass": "fast"}},
        "generatedSecrets": _PLACED,
        "migrate": _PLACED,
        "alertsWatch": {**_PLACED, "enabled": True, "existingSecret": "given-secret", "env": _EXTRA["env"]},
        "tests": {**_PLACED, "assetSelection": ["marts/orders"]},
        "ingress": {
            "enabled": True,
            "annotations": {"a": "b"},
            "ingressClassName": "nginx",
            "dagsterWebserver": {"host": "a.example.com", "tls": {"enabled": True, "secretName": "given-certificate"}},
            "readOnlyDagsterWebserver": {"host": "b.example.com"},
        },
        "networkPolicies": {"webserverFrom": [{"namespaceSelector": {"matchLabels": {"ingress": "yes"}}}]},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "telemetry": {"enabled": True},
        "additionalInstanceConfig": {"code_servers": {"reload_timeout": 300}},
        "extraManifests": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-extra"},
                "data": {"a": "b"},
            }
        ],
    },
    "everything off": {
        "rbacEnabled": False,
        "serviceAccounts": {name: {"create": False} for name in ("webserver", "daemon", "code")},
        "dagsterWebserver": {"podDisruptionBudget": {"enabled": False}},
        "dagsterDaemon": {
            "runMonitoring": {"enabled": False},
            "runRetries": {"enabled": False},
            "sensors": {"useThreads": False},
            "schedules": {"useThreads": False},
            "runCoordinator": {
                "config": {"queuedRunCoordinator": {"dequeueUseThreads": False, "tagConcurrencyLimits": []}}
            },
        },
        "dagster-user-deployments": {"enabled": False},
        "computeLogManager": {"type": "NoOpComputeLogManager"},
        "postgresql": {"existingSecret": "given-secret", "persistence": {"enabled": False}},
        "s3": {"existingSecret": "given-secret", "persistence": {"enabled": False}},
        "generatedSecrets": {"enabled": False},
        "migrate": {"enabled": False},
        "tests": {"enabled": False},
        "networkPolicies": {"enabled": False},
        "retention": {"enabled": False},
    },
    "external": {
        "postgresql": {
            "enabled": False,
            "postgresqlHost": "db.example.com",
            "existingSecret": "given-secret",
            "existingSecretPasswordKey": "pw",
            "postgresqlParams": {"sslmode": "verify-full"},
        },
        "s3": {
            "enabled": False,
            "endpointUrl": "https://s3.example.com",
            "existingSecret": "given-secret",
            "accessKeyIdKey": "id",
            "secretAccessKeyKey": "key",
        },
        "warehouse": {
            "type": "profile",
            "target": "snowflake",
            "profile": {"existingSecret": "given-secret", "existingSecretKey": "profile"},
        },
    },
    "several locations": {
        "dagster-user-deployments": {
            "deployments": [
                {"name": "shop"},
                {"name": "bank", "image": {"repository": "example/bank", "tag": "7"}, "port": 4000, **_EXTRA},
                {
                    "name": "a-location-with-quite-a-long-name-indeed",
                    "dagsterApiGrpcArgs": ["--module-name", "another.definitions"],
                    "includeConfigInLaunchedRuns": {"enabled": False},
                },
            ]
        }
    },
}
"""Values by name. Objects named `given-…` exist already and are not part of the chart."""

LONGEST = "a-release-with-the-longest-name-that-helm-lets-you-ge"
"""53 characters."""


def helm(*arguments: str, values: Mapping[str, Any], version: str = "4") -> subprocess.CompletedProcess[str]:
    """Run helm on the chart."""
    with FileLock(f"{sys.prefix}/helm.lock"):
        install_helm()
    values = dict(values)
    file = values.pop("-f", None)
    files = ["--values", str(CHART / file)] if file else []
    return subprocess.run(
        [str(FOLDER / version / "helm"), *arguments, str(CHART), *files, "--values", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(FOLDER), "PATH": ""},
    )


def render(values: Mapping[str, Any], release: str = RELEASE, version: str = "4") -> list[Document]:
    """Return the documents for values; fail with the message of helm if it rejects them."""
    done = helm("template", release, "--namespace", NAMESPACE, values=values, version=version)
    assert done.returncode == 0, done.stderr
    # The C loader is five times faster.
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


@cache
def rendered(case: str, release: str = RELEASE, version: str = "4") -> list[Document]:
    """Return the documents of a case."""
    return render(CASES[case], release, version)


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """Return the documents of some kinds."""
    return [document for document in documents if document["kind"] in kinds]


def name_of(document: Document) -> str:
    """Return the name of a document for messages."""
    return f"{document['kind']} {document['metadata']['name']}"


def named(documents: list[Document], kind: str, end: str) -> Document:
    """Return the document of a kind whose name has this ending."""
    (found,) = [one for one in of_kind(documents, kind) if one["metadata"]["name"].endswith(end)]
    return found


def templates(documents: list[Document]) -> Iterator[tuple[Document, Document]]:
    """Yield each workload, Job and CronJob with its pod template."""
    for document in of_kind(documents, "Deployment", "StatefulSet", "Job"):
        yield document, document["spec"]["template"]
    for document in of_kind(documents, "CronJob"):
        yield document, document["spec"]["jobTemplate"]["spec"]["template"]


def instance(documents: list[Document]) -> dict[str, Any]:
    """Return the content of `dagster.yaml`."""
    content = named(documents, "ConfigMap", "-instance")["data"]["dagster.yaml"]
    loaded: dict[str, Any] = yaml.safe_load(content)
    return loaded
