"""A small Kubernetes API for tests: Jobs, Pods, logs, events and Secrets of one namespace, with strict permissions.

It serves only the calls of the project. It records a fault for an unknown request (answered with 501), a missing
permission, a body that is invalid for the Kubernetes schema, and an unsupported parameter. The kubelet function
starts the container of a Pod.
"""

from __future__ import annotations

import json
import re
import secrets
import ssl
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
from typing_extensions import Self

from tests.cluster.permissions import Permission

VERSION = "1.37"

Object = dict[str, Any]


class Process(Protocol):
    """The process of a container."""

    def exit_code(self) -> int | None:
        """Return the exit code, or None while the process runs."""

    def log(self) -> str:
        """Return the log."""

    def stop(self, grace: float) -> None:
        """Ask the process to stop, and kill it after ``grace`` seconds."""


Kubelet = Callable[[Object], Process]
"""Starts the container of a Pod."""


@dataclass
class _Pod:
    content: Object
    process: Process


@dataclass(frozen=True)
class _Answer:
    status: HTTPStatus
    body: Object | str


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.answer = _Answer(
            status,
            {
                "apiVersion": "v1",
                "kind": "Status",
                "status": "Failure",
                "code": status.value,
                "reason": reason,
                "message": message,
            },
        )


@dataclass(frozen=True)
class _Request:
    permission: Permission
    name: str
    parameters: Mapping[str, str]
    body: Object | None


@dataclass
class KubernetesApi(AbstractContextManager["KubernetesApi"]):
    """The API of a namespace; ``accounts`` maps tokens to service accounts."""

    namespace: str
    kubelet: Kubelet
    accounts: Mapping[str, str]
    permissions: frozenset[Permission]
    secrets: dict[str, Object] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    faults: list[str] = field(default_factory=list)
    """Invalid requests; tests assert that there are none."""

    used: set[Permission] = field(default_factory=set)
    """The permissions that requests used."""

    def __post_init__(self) -> None:
        """Bind a free port."""
        self._jobs: dict[str, Object] = {}
        self._pods: dict[str, _Pod] = {}
        self._events: list[Object] = []
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and all Pods."""
        self._server.shutdown()
        self._server.server_close()
        for pod in self._pods.values():
            pod.process.stop(0)

    @property
    def port(self) -> int:
        """The port of the API."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """The URL of the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def unused(self) -> frozenset[Permission]:
        """The granted permissions that no request used."""
        return frozenset(
            permission for permission in self.permissions if not any(permission.covers(asked) for asked in self.used)
        )

    def jobs(self) -> list[Object]:
        """Return the existing Jobs with their status."""
        with self._lock:
            return [self._with_status(job) for job in self._jobs.values()]

    def pods(self) -> list[Object]:
        """Return the existing Pods with their status."""
        with self._lock:
            return [_with_phase(pod) for pod in self._pods.values()]

    def kill_pod(self, name: str) -> None:
        """Kill the container of a Pod, as if its node were lost."""
        self._pods[name].process.stop(0)

    def answer(self, method: str, target: str, token: str, body: bytes) -> _Answer:
        """Return the response to a request."""
        with self._lock:
            try:
                return self._answer(method, target, token, body)
            except _RefusedError as refused:
                return refused.answer

    def _answer(self, method: str, target: str, token: str, body: bytes) -> _Answer:
        split = urlsplit(target)
        for route in _ROUTES:
            match = re.fullmatch(route.path, split.path)
            if route.method != method or match is None:
                continue
            parameters = {name: values[-1] for name, values in parse_qs(split.query).items()}
            self._require(parameters.keys() <= route.parameters, f"{method} {target}: an unsupported parameter")
            self._require(match["namespace"] == self.namespace, f"{method} {target}: another namespace")
            name = match.groupdict().get("name", "")
            permission = Permission(self.accounts.get(token, ""), route.verb, route.group, route.resource, name)
            self._authorize(permission)
            content = json.loads(body) if body else None
            return route.serve(self, _Request(permission, name, parameters, content))
        self._require(known=False, problem=f"{method} {target}: not served")
        raise AssertionError

    def _require(self, known: bool, problem: str) -> None:  # noqa: FBT001 - reads like an assertion
        if not known:
            self.faults.append(problem)
            raise _RefusedError(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", problem)

    def _authorize(self, asked: Permission) -> None:
        if not asked.account:
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "unknown token")
        # A permission with a name cannot allow the creation of an object.
        nameless = Permission(asked.account, asked.verb, asked.group, asked.resource)
        covering = next((permission for permission in self.permissions if permission.covers(asked)), None)
        if covering is None:
            problem = f"{asked.account} may not {asked.verb} {asked.resource} in the group {asked.group!r}"
            self.faults.append(problem)
            raise _RefusedError(HTTPStatus.FORBIDDEN, "Forbidden", problem)
        self.used.add(asked if covering.name else nameless)

    def _validated(self, content: Object | None, kind: str) -> Object:
        try:
            if content is None or content["kind"] != kind:
                raise _RefusedError(HTTPStatus.BAD_REQUEST, "BadRequest", f"no {kind}")
            kubernetes_validate.validate(content, VERSION, strict=True)
        except (KeyError, kubernetes_validate.ValidationError) as error:
            self.faults.append(f"an invalid {kind}: {error}")
            raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", str(error)) from error
        return content

    def create_job(self, request: _Request) -> _Answer:
        """Store a Job and start its Pod."""
        job = self._validated(request.body, "Job")
        name = job["metadata"]["name"]
        if name in self._jobs:
            raise _RefusedError(HTTPStatus.CONFLICT, "AlreadyExists", f'jobs.batch "{name}" already exists')
        job["metadata"] |= _identity(self.namespace)
        self._jobs[name] = job
        self._start_pod(job)
        return _Answer(HTTPStatus.CREATED, self._with_status(job))

    def list_jobs(self, request: _Request) -> _Answer:
        """Return the Jobs that the selectors select."""
        return _listed("batch/v1", "JobList", self.jobs(), request)

    def delete_job(self, request: _Request) -> _Answer:
        """Delete a Job. Its Pods stay, as in Kubernetes without a propagation policy."""
        if self._jobs.pop(request.name, None) is None:
            raise _missing("jobs.batch", request.name)
        return _Answer(HTTPStatus.OK, {"apiVersion": "v1", "kind": "Status", "status": "Success"})

    def get_job_status(self, request: _Request) -> _Answer:
        """Return a Job with its status."""
        if request.name not in self._jobs:
            raise _missing("jobs.batch", request.name)
        return _Answer(HTTPStatus.OK, self._with_status(self._jobs[request.name]))

    def list_pods(self, request: _Request) -> _Answer:
        """Return the Pods that the selectors select."""
        return _listed("v1", "PodList", self.pods(), request)

    def delete_pod(self, request: _Request) -> _Answer:
        """Stop a Pod within its grace period."""
        pod = self._pods.pop(request.name, None)
        if pod is None:
            raise _missing("pods", request.name)
        grace = float(pod.content["spec"].get("terminationGracePeriodSeconds", 30))
        threading.Thread(target=pod.process.stop, args=(grace,), daemon=True).start()
        return _Answer(HTTPStatus.OK, _with_phase(pod))

    def get_pod_log(self, request: _Request) -> _Answer:
        """Return the log of a Pod."""
        if request.name not in self._pods:
            raise _missing("pods", request.name)
        lines = self._pods[request.name].process.log().splitlines(keepends=True)
        count = int(request.parameters.get("tailLines", len(lines)))
        return _Answer(HTTPStatus.OK, "".join(lines[max(0, len(lines) - count) :]))

    def list_events(self, request: _Request) -> _Answer:
        """Return the events that the selectors select."""
        return _listed("v1", "EventList", self._events, request)

    def create_secret(self, request: _Request) -> _Answer:
        """Store a Secret."""
        secret = self._validated(request.body, "Secret")
        name = secret["metadata"]["name"]
        if name in self.secrets:
            raise _RefusedError(HTTPStatus.CONFLICT, "AlreadyExists", f'secrets "{name}" already exists')
        secret["metadata"] |= _identity(self.namespace)
        self.secrets[name] = secret
        return _Answer(HTTPStatus.CREATED, secret)

    def get_secret(self, request: _Request) -> _Answer:
        """Return a Secret."""
        if request.name not in self.secrets:
            raise _missing("secrets", request.name)
        return _Answer(HTTPStatus.OK, self.secrets[request.name])

    def _start_pod(self, job: Object) -> None:
        name = f"{job['metadata']['name']}-{secrets.token_hex(3)[:5]}"
        template = job["spec"]["template"]
        labels = {"job-name": job["metadata"]["name"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        content = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                **_identity(self.namespace),
                "name": name,
                "labels": {**template["metadata"].get("labels", {}), **labels},
            },
            "spec": template["spec"],
        }
        self._pods[name] = _Pod(content, self.kubelet(content))
        self._record_event(content, "Scheduled", f"Successfully assigned {self.namespace}/{name}")
        self._record_event(job, "SuccessfulCreate", f"Created pod: {name}")

    def _record_event(self, about: Object, reason: str, message: str) -> None:
        metadata = about["metadata"]
        self._events.append(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {**_identity(self.namespace), "name": f"{metadata['name']}.{secrets.token_hex(8)}"},
                "involvedObject": {"kind": about["kind"], "name": metadata["name"], "uid": metadata["uid"]},
                "reason": reason,
                "message": message,
                "type": "Normal",
                "lastTimestamp": _now(),
            }
        )

    def _with_status(self, job: Object) -> Object:
        name = job["metadata"]["name"]
        pods = [pod for pod in self._pods.values() if pod.content["metadata"]["labels"]["job-name"] == name]
        codes = [pod.process.exit_code() for pod in pods]
        counts = {
            "active": sum(code is None for code in codes),
            "succeeded": sum(code == 0 for code in codes),
            "failed": sum(code not in (None, 0) for code in codes),
        }
        return {**job, "status": {what: count for what, count in counts.items() if count}}


def _identity(namespace: str) -> Object:
    return {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": _now(), "resourceVersion": "1"}


def _now() -> str:
    return datetime.now(tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_phase(pod: _Pod) -> Object:
    code = pod.process.exit_code()
    started = pod.content["metadata"]["creationTimestamp"]
    if code is None:
        phase, state = "Running", {"running": {"startedAt": started}}
    else:
        phase = "Failed" if code else "Succeeded"
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": started}
        state = {"terminated": {**ended, "finishedAt": _now()}}
    container = pod.content["spec"]["containers"][0]
    status = {
        "phase": phase,
        "startTime": started,
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": code is None,
                "restartCount": 0,
                "state": state,
            }
        ],
    }
    return {**pod.content, "status": status}


def _listed(version: str, kind: str, items: list[Object], request: _Request) -> _Answer:
    wanted = [item for item in items if _is_selected(item, request.parameters)]
    body = {"apiVersion": version, "kind": kind, "metadata": {"resourceVersion": "1"}, "items": wanted}
    return _Answer(HTTPStatus.OK, body)


def _is_selected(item: Object, parameters: Mapping[str, str]) -> bool:
    for selector in filter(None, parameters.get("labelSelector", "").split(",")):
        key, _, value = selector.partition("=")
        if item["metadata"].get("labels", {}).get(key) != value.lstrip("="):
            return False
    for selector in filter(None, parameters.get("fieldSelector", "").split(",")):
        path, _, value = selector.partition("=")
        found: Any = item
        for part in path.split("."):
            found = found.get(part, {})
        if found != value.lstrip("="):
            return False
    return True


def _missing(what: str, name: str) -> _RefusedError:
    return _RefusedError(HTTPStatus.NOT_FOUND, "NotFound", f'{what} "{name}" not found')


@dataclass(frozen=True)
class _Route:
    method: str
    path: str
    verb: str
    group: str
    resource: str
    serve: Callable[[KubernetesApi, _Request], _Answer]
    parameters: frozenset[str] = frozenset()


_SELECTORS = frozenset({"labelSelector", "fieldSelector"})
_NAME = "(?P<name>[-a-z0-9.]+)"
_BATCH = "/apis/batch/v1/namespaces/(?P<namespace>[^/]+)"
_CORE = "/api/v1/namespaces/(?P<namespace>[^/]+)"
_LOG = frozenset({"container", "tailLines", "_preload_content", "timestamps"})
_ROUTES = (
    _Route("POST", f"{_BATCH}/jobs", "create", "batch", "jobs", KubernetesApi.create_job),
    _Route("GET", f"{_BATCH}/jobs", "list", "batch", "jobs", KubernetesApi.list_jobs, _SELECTORS),
    _Route("DELETE", f"{_BATCH}/jobs/{_NAME}", "delete", "batch", "jobs", KubernetesApi.delete_job),
    _Route("GET", f"{_BATCH}/jobs/{_NAME}/status", "get", "batch", "jobs/status", KubernetesApi.get_job_status),
    _Route("GET", f"{_CORE}/pods", "list", "", "pods", KubernetesApi.list_pods, _SELECTORS),
    _Route("DELETE", f"{_CORE}/pods/{_NAME}", "delete", "", "pods", KubernetesApi.delete_pod),
    _Route("GET", f"{_CORE}/pods/{_NAME}/log", "get", "", "pods/log", KubernetesApi.get_pod_log, _LOG),
    _Route("GET", f"{_CORE}/events", "list", "", "events", KubernetesApi.list_events, _SELECTORS),
    _Route("POST", f"{_CORE}/secrets", "create", "", "secrets", KubernetesApi.create_secret),
    _Route("GET", f"{_CORE}/secrets/{_NAME}", "get", "", "secrets", KubernetesApi.get_secret),
)


def _handler(api: KubernetesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").partition(" ")[2]  # `Bearer` in any case
            answer = api.answer(self.command, self.path, token, body)
            is_text = isinstance(answer.body, str)
            content = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            encoded = content.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Log nothing."""

    return Handler
