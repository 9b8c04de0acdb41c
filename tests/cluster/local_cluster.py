"""Runs the rendered chart without Kubernetes: each container is a local process with a separate file system.

A container sees the files of the machine, read-only, and its volumes. It runs as the user of the chart, with its
command, arguments and environment. Service names resolve to the loopback address. `kubernetes_api` serves the API calls
that launch runs. PostgreSQL and S3 are real servers.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.chart_files import CHART
from scripts.local_process import LocalProcess
from tests.cluster.kubernetes_api import KubernetesApi, Object
from tests.cluster.permissions import granted_permissions

ROOT = CHART.parent.parent
"""The root of the checkout."""

TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


def image_environment() -> dict[str, str]:
    """Return the environment of the Dockerfile, with the paths of this machine."""
    last = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[-1]
    found = dict[str, str]()
    for block in re.findall(r"^ENV ((?:.*\\\n)*.*)$", last, re.MULTILINE):
        for word in shlex.split(block.replace("\\\n", " ")):
            name, _, value = word.partition("=")
            found[name] = value
    return {**found, "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}


@dataclass
class LocalCluster:
    """The processes of one release in one namespace."""

    documents: list[Object]
    namespace: str
    folder: Path
    image: Mapping[str, str]
    """Additional environment variables of the image."""

    secrets: dict[str, Object] = field(default_factory=dict)
    running: dict[str, LocalProcess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start the API, and create the files that containers need for it."""
        self._stack = ExitStack()
        self._count = 0
        accounts = {f"token-{name}": name for name in self._names("ServiceAccount")}
        self._certificate()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "ca.crt", self.folder / "key.pem")
        self.api = self._stack.enter_context(
            KubernetesApi(
                self.namespace, self.start_pod, accounts, granted_permissions(self.documents), self.secrets, tls=context
            )
        )
        names = " ".join(self._names("Service"))
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost {names}\n", encoding="utf-8")
        self._forward()

    def close(self) -> None:
        """Stop all processes."""
        for name in list(self.running):
            self.stop(name, grace=0)
        self._stack.close()

    def _names(self, kind: str) -> list[str]:
        return [document["metadata"]["name"] for document in self.documents if document["kind"] == kind]

    def find(self, kind: str, end: str) -> Object:
        """Return the document of a kind whose name has this ending."""
        (found,) = [one for one in self.documents if one["kind"] == kind and one["metadata"]["name"].endswith(end)]
        return found

    def run_hook(self, end: str) -> None:
        """Run the Job of a hook; it must succeed."""
        job = self.find("Job", end)
        process = self.start_pod({**job["spec"]["template"], "metadata": {"name": job["metadata"]["name"]}})
        seconds = float(job["spec"]["activeDeadlineSeconds"])
        wait_until(lambda: process.exit_code() is not None, seconds, f"the hook {end}", process.log)
        assert process.exit_code() == 0, process.log()

    def upgrade(self, documents: list[Object]) -> set[str]:
        """Do what `helm upgrade` and Kubernetes do; return the workloads whose pods were replaced.

        Hooks run first, in order of their weight. Then pods with a changed template restart.
        """
        old = {end: self._workload(end)["spec"]["template"] for end in self.running}
        self.documents = documents
        hooks = [one for one in documents if one["kind"] == "Job" and "pre-upgrade" in _annotation(one, "hook")]
        for hook in sorted(hooks, key=lambda one: int(_annotation(one, "hook-weight"))):
            self.run_hook(hook["metadata"]["name"])
        changed = {end for end, template in old.items() if self._workload(end)["spec"]["template"] != template}
        for end in changed:
            self.stop(end)
            self.start(end)
        return changed

    def run_cron_job(self, end: str, seconds: float = 120) -> tuple[int, str]:
        """Run the pod of a CronJob once; return its exit code and log."""
        template = self.find("CronJob", end)["spec"]["jobTemplate"]["spec"]["template"]
        process = self.start_pod({**template, "metadata": {"name": end.strip("-")}})
        wait_until(lambda: process.exit_code() is not None, seconds, f"the pod of {end}", process.log)
        code = process.exit_code()
        assert code is not None
        return code, process.log()

    def _workload(self, end: str) -> Object:
        kinds = ("Deployment", "StatefulSet")
        (found,) = [one for one in self.documents if one["kind"] in kinds and one["metadata"]["name"].endswith(end)]
        return found

    def start(self, end: str) -> LocalProcess:
        """Start the pod of a Deployment or a StatefulSet."""
        workload = self._workload(end)
        self.running[end] = self.start_pod({**workload["spec"]["template"], "metadata": workload["metadata"]})
        return self.running[end]

    def stop(self, end: str, grace: float = 30) -> None:
        """Stop a pod."""
        self.running.pop(end).stop(grace)

    def wait_until_healthy(self, end: str, seconds: float = 180) -> float:
        """Wait until all probes of a workload pass; return the seconds."""
        (container,) = self._workload(end)["spec"]["template"]["spec"]["containers"]
        probes = [container[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in container]
        started = time.monotonic()
        process = self.running[end]
        for probe in probes:
            passes = partial(self._probe, process, container, probe)
            wait_until(passes, seconds, f"{end}: {probe}", process.log)
        return time.monotonic() - started

    def _probe(self, process: LocalProcess, container: Object, probe: Object) -> bool:
        assert process.exit_code() is None, f"the container has exited:\n{process.log()[-3000:]}"
        if "httpGet" in probe:
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            return answers(f"http://127.0.0.1:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}")
        if "grpc" in probe:
            return serves(probe["grpc"]["port"], probe["grpc"]["service"])
        # Like kubelet: in the file system and folder of the container, with its user and environment.
        owner = Path(f"/proc/{process.pid}").stat()
        user = [f"--setuid={owner.st_uid}", f"--setgid={owner.st_gid}"]
        enter = ["nsenter", "--target", str(process.pid), "--mount", "--root", *user, "env", "--chdir=/tmp"]
        environment = Path(f"/proc/{process.pid}/environ").read_text(encoding="utf-8").split("\0")
        variables = dict(line.split("=", 1) for line in environment if "=" in line)
        done = subprocess.run([*enter, *probe["exec"]["command"]], env=variables, capture_output=True, check=False)
        return done.returncode == 0

    def start_pod(self, pod: Object) -> LocalProcess:
        """Start the container of a pod."""
        self._count += 1
        spec = pod["spec"]
        (container,) = spec["containers"]
        folder = self.folder / f"{self._count}-{pod['metadata']['name']}"
        folder.mkdir()
        volumes = {volume["name"]: self._volume(volume, folder) for volume in spec.get("volumes", [])}
        for claim in ("data",):
            if any(mount["name"] == claim for mount in container["volumeMounts"]) and claim not in volumes:
                # A volume claim is kept when its pod is deleted.
                volumes[claim] = self.folder / f"claim-{pod['metadata']['name']}"
                volumes[claim].mkdir(exist_ok=True)
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        read_only = [mount["mountPath"] for mount in container["volumeMounts"] if mount.get("readOnly")]
        if spec.get("automountServiceAccountToken", True):
            mounts[TOKENS] = self._token(spec["serviceAccountName"], folder)
        user = {**spec["securityContext"], **container["securityContext"]}
        for path in volumes.values():
            if user["fsGroupChangePolicy"] != "OnRootMismatch" or path.stat().st_gid != user["fsGroup"]:
                _own(path, user["fsGroup"])
        environment = {**image_environment(), **self.image, **self._environment(container)}
        environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"] = "127.0.0.1", str(self.api.port)
        program = _program(container["image"])
        script = _script(mounts, read_only, self.folder / "hosts", (user["runAsUser"], user["runAsGroup"]))
        (folder / "start.sh").write_text(script, encoding="utf-8")
        command = ["unshare", "--mount", "sh", str(folder / "start.sh"), *program, *container["args"]]
        # The image `postgres` is stopped with SIGINT, because SIGTERM waits for all clients.
        stop_signal = signal.SIGINT if container["image"].startswith("postgres:") else signal.SIGTERM
        return LocalProcess(command, folder / "log.txt", environment, stop_signal)

    def _volume(self, volume: Object, folder: Path) -> Path:
        path = folder / "volumes" / str(volume["name"])
        path.mkdir(parents=True)
        sources = volume["projected"]["sources"] if "projected" in volume else [volume]
        for source in sources:
            if "configMap" in source:
                for name, text in self._config_map(source["configMap"]["name"])["data"].items():
                    (path / name).write_text(text, encoding="utf-8")
            elif "secret" in source:
                data = self.secrets[source["secret"]["secretName"]]["data"]
                for item in source["secret"]["items"]:
                    (path / item["path"]).write_bytes(base64.b64decode(data[item["key"]]))
            else:
                assert source.get("emptyDir") == {}, source
        return path

    def _config_map(self, name: str) -> Object:
        (found,) = [one for one in self.documents if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name]
        return found

    def _environment(self, container: Object) -> dict[str, str]:
        found = {}
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                value = base64.b64decode(self.secrets[reference["name"]]["data"][reference["key"]]).decode()
            else:
                value = variable.get("value", "")
            found[variable["name"]] = value
        assert not container.get("envFrom"), "envFrom is not supported"
        return found

    def _token(self, account: str, folder: Path) -> Path:
        path = folder / "token"
        path.mkdir()
        (path / "token").write_text(f"token-{account}", encoding="utf-8")
        (path / "namespace").write_text(self.namespace, encoding="utf-8")
        shutil.copy(self.folder / "ca.crt", path / "ca.crt")
        _own(path, 10001)
        return path

    def _certificate(self) -> None:
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=local-cluster",
                "-addext", "subjectAltName=IP:127.0.0.1",
                "-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "ca.crt"),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip

    def _forward(self) -> None:
        """Forward the port of each Service to the port of its pods, if they differ."""
        for service in (document for document in self.documents if document["kind"] == "Service"):
            for workload in (one for one in self.documents if one["kind"] in ("Deployment", "StatefulSet")):
                labels = workload["spec"]["template"]["metadata"]["labels"]
                if not service["spec"]["selector"].items() <= labels.items():
                    continue
                (container,) = workload["spec"]["template"]["spec"]["containers"]
                ports = {port["name"]: port["containerPort"] for port in container["ports"]}
                for port in service["spec"]["ports"]:
                    target = ports[port["targetPort"]]
                    if target != port["port"]:
                        self._stack.enter_context(closing(_forwarder(port["port"], target)))


def _annotation(document: Object, name: str) -> str:
    return str(document["metadata"].get("annotations", {}).get(f"helm.sh/{name}", ""))


def _program(image: str) -> list[str]:
    """Return the entry point of an image: ours, or a replacement for that of PostgreSQL and SeaweedFS."""
    repository = image.partition("@")[0].rpartition(":")[0]
    if repository == "postgres":
        return ["sh", str(Path(__file__).with_name("postgres_entrypoint.sh"))]
    if repository == "chrislusf/seaweedfs":
        return [f"{sys.prefix}/bin/weed"]
    return ["/bin/sh", str(ROOT / "scripts" / "entrypoint.sh")]


def _script(mounts: Mapping[str, Path], read_only: Collection[str], hosts: Path, user: tuple[int, int]) -> str:
    """Return the script that creates the file system of a container and executes its program.

    The file system is that of the machine with a temporary overlay, mounted read-only.
    """
    root = "/mnt/root"
    lines = [
        "set -eu",
        "mount --make-rprivate /",
        "mount -t tmpfs none /mnt",
        f"mkdir /mnt/layer /mnt/work /mnt/kept {root}",
        f"mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/layer,workdir=/mnt/work {root}",
        *(f"mount --rbind /{path} {root}/{path}" for path in ("proc", "dev", "sys")),
        # These folders are empty in an image.
        *(f"mount -t tmpfs none {root}/{path}" for path in ("tmp", "opt", "run")),
        f"mount --bind {hosts} {root}/etc/hosts",
        # The user has a name in the image.
        f"echo 'container:x:{user[0]}:{user[1]}::/tmp:/bin/sh' >> {root}/etc/passwd",
    ]
    # A Python in a home folder can be readable only for its owner.
    lines += [f"chmod o+x {root}{path}" for path in Path(os.path.realpath(sys.executable)).parents]
    for path, source in sorted(mounts.items()):
        target = f"{root}{path}".replace("/var/run/", "/run/")
        lines += [f"mkdir -p {target}", f"mount --bind {source} {target}"]
        lines += [f"mount -o remount,ro,bind {target}"] if path in read_only else []
    for kept in (ROOT, Path(sys.prefix)):
        lines += [f"mkdir -p {root}{kept}", f"mount --bind {kept} {root}{kept}"]
        lines += [f"mount -o remount,ro,bind {root}{kept}"]
    identity = f"setpriv --reuid {user[0]} --regid {user[1]} --clear-groups --no-new-privs --bounding-set=-all"
    # exec: the program gets the signals.
    lines += [f"mount -o remount,ro {root}", f'exec chroot {root} {identity} env --chdir=/tmp "$@"']
    return "\n".join(lines) + "\n"


def _own(path: Path, group: int) -> None:
    for one in [path, *path.rglob("*")]:
        with suppress(FileNotFoundError):
            os.chown(one, -1, group)
            one.chmod(one.stat().st_mode | (0o070 if one.is_dir() else 0o060))


def wait_until(condition: Callable[[], bool], seconds: float, what: str, log: Callable[[], str] | None = None) -> None:
    """Wait for a condition; on a timeout raise an error with its name and the end of a log."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s\n{log()[-3000:] if log else ''}")
        time.sleep(0.5)


def answers(url: str) -> bool:
    """Return whether a URL answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status) == 200
    except OSError:
        return False


def serves(port: int, service: str) -> bool:
    """Return whether the gRPC health check of a server succeeds, as kubelet does it."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=service)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def ask(url: str, query: str, **variables: Any) -> Any:
    """Send a GraphQL query; return the data of the response."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert not answer.get("errors"), answer["errors"]
    return answer["data"]


def _forwarder(port: int, target: int) -> socket.socket:
    """Forward a port of the loopback interface to another."""
    server = socket.create_server(("127.0.0.1", port))

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = server.accept()
                threading.Thread(target=_relay, args=(near, target), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return server


def _relay(near: socket.socket, target: int) -> None:
    with near, suppress(OSError), socket.create_connection(("127.0.0.1", target)) as far:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
