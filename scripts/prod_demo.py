#!/usr/bin/env python
"""Run the shop's main job as in production, on this machine: on PostgreSQL and on DuckLake, with files in S3.

Starts a real PostgreSQL and a real S3 server in a temporary folder, writes the sample data to the landing zone in the
bucket, and runs `analytics-dagster build` for each warehouse. It prints the same summary as `make run`.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.servers import S3, Postgres, run_both  # noqa: E402 - the path must be set first

TARGETS = {"postgres": "prod", "ducklake": "ducklake"}
"""The target of the bundled profile for each warehouse."""

_OURS = ("ANALYTICS_", "DAGSTER_", "DBT_", "AWS_")


@dataclass(frozen=True)
class Production:
    """The servers, and a folder for the local files of the runs."""

    folder: Path
    postgres: Postgres
    s3: S3

    def environment(self, warehouse: str) -> Mapping[str, str]:
        """Return the environment for runs in a warehouse, without the settings of the shell."""
        bucket = f"s3://{self.s3.bucket}"
        own = self.runs(warehouse)
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
            **self.postgres.environment,
            **self.s3.environment,
            "ANALYTICS_ENVIRONMENT": "prod",
            "ANALYTICS_DBT_PROJECT_DIR": str(ROOT / "dbt_project"),
            "ANALYTICS_DBT_TARGET": TARGETS[warehouse],
            "ANALYTICS_DBT_TARGET_PATH": str(own / "target"),
            "ANALYTICS_DATA_DIR": str(own / "data"),
            "ANALYTICS_LANDING_URL": f"{bucket}/landing",
            "ANALYTICS_REPORTS_URL": f"{bucket}/{warehouse}/reports",
            "ANALYTICS_OUTBOUND_URL": f"{bucket}/{warehouse}/outbound",
            "ANALYTICS_LAKE_DATA_PATH": f"{bucket}/lake",
            "DAGSTER_HOME": str(own / "home"),
            "DBT_LOG_PATH": str(own / "logs"),
        }

    def runs(self, warehouse: str) -> Path:
        """Return the folder for the local files of a warehouse's runs."""
        return self.folder / "runs" / warehouse

    def deliver(self, *arguments: str) -> None:
        """Write sample data to the landing zone in the bucket."""
        script = str(ROOT / "scripts" / "sample_data.py")
        landing = f"s3://{self.s3.bucket}/landing"
        self._run(self.environment("postgres"), sys.executable, script, "--landing", landing, *arguments)

    def build(self, warehouse: str, *arguments: str) -> None:
        """Run the main job in a warehouse; it prints its summary."""
        command = Path(sys.executable).with_name("analytics-dagster")
        self._run(self.environment(warehouse), str(command), "build", *arguments)

    def start(self, warehouse: str, *arguments: str) -> subprocess.Popen[str]:
        """Start the main job in a warehouse; return the process."""
        command = Path(sys.executable).with_name("analytics-dagster")
        return subprocess.Popen(
            [str(command), "build", *arguments],
            env=dict(self.environment(warehouse)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _run(self, environment: Mapping[str, str], *command: str) -> None:
        subprocess.run(command, env=dict(environment), cwd=ROOT, check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code: 1 if a build failed."""
    parser = argparse.ArgumentParser(description="Run the main job on PostgreSQL and DuckLake, with files in S3.")
    parser.add_argument("warehouses", nargs="*", choices=[[], *TARGETS], help="the warehouses; default: both")
    parser.add_argument("--now", help="write sample data up to this time (ISO) instead of now")
    parser.add_argument("--days-ahead", help="how many days of the sample year are in the future")
    options = parser.parse_args(arguments)
    sample = [f"--{name}={value}" for name in ("now", "days-ahead") if (value := vars(options)[name.replace("-", "_")])]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops the servers, too
    with tempfile.TemporaryDirectory(prefix="analytics-prod-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL does not run as root
        started = time.monotonic()
        with run_both(folder) as (postgres, s3):
            print(f"PostgreSQL and S3 are ready after {time.monotonic() - started:.1f} s", flush=True)
            production = Production(folder, postgres, s3)
            try:
                production.deliver(*sample)
                for warehouse in options.warehouses or TARGETS:
                    print(f"\n=== {warehouse}", flush=True)
                    production.build(warehouse)
            except subprocess.CalledProcessError as error:
                print(f"error: {' '.join(error.cmd[:2])} exited with {error.returncode}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
