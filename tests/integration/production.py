"""A real PostgreSQL and a real S3 server for tests, and the targets of the bundled profile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg2

from analytics_dagster.project.extensions import ensure_extensions
from analytics_dagster.project.files import find_project
from analytics_dagster.project.profile import Target, load_target
from analytics_dagster.settings import CHECKOUT, Settings
from analytics_dagster.warehouse import Warehouse, build_warehouse
from scripts.servers import S3, Postgres, run_both

PROJECT = CHECKOUT / "dbt_project"
EXTENSIONS = ["ducklake", "postgres_scanner", "httpfs"]


@dataclass(frozen=True)
class Servers:
    """A real PostgreSQL and a real S3 server."""

    postgres: Postgres
    s3: S3

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables for the bundled profile."""
        lake = {"ANALYTICS_LAKE_DATA_PATH": f"s3://{self.s3.bucket}/lake"}
        return {**self.postgres.environment, **self.s3.environment, **lake}

    @property
    def options(self) -> Mapping[str, Any]:
        """The fsspec options of the bucket."""
        return {"key": self.s3.key, "secret": self.s3.secret, "endpoint_url": self.s3.url}

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in PostgreSQL; return its rows, if it has any."""
        server = self.postgres
        connection = psycopg2.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, dbname=server.database
        )
        connection.autocommit = True
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def objects(self, prefix: str = "") -> list[str]:
        """Return the keys of the objects in the bucket."""
        client = boto3.client(
            "s3",
            endpoint_url=self.s3.url,
            region_name="us-east-1",
            aws_access_key_id=self.s3.key,
            aws_secret_access_key=self.s3.secret,
        )
        with closing(client):
            listed = client.list_objects_v2(Bucket=self.s3.bucket, Prefix=prefix)
        return [str(one["Key"]) for one in listed.get("Contents", [])]


@contextmanager
def run_servers() -> Iterator[Servers]:
    """Run both servers; install DuckDB's extensions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL does not run as root
        ensure_extensions(EXTENSIONS, "~/.duckdb/extensions")
        with run_both(folder) as (postgres, s3):
            yield Servers(postgres, s3)


def target_of(name: str) -> Target:
    """Return a target of the bundled profile with the current environment."""
    return load_target(find_project(Settings(dbt_project_dir=PROJECT, dbt_target=name)))


def opened(name: str) -> Warehouse:
    """Return the warehouse of a target, without opening it."""
    return build_warehouse(target_of(name), PROJECT, lock_timeout=1)
