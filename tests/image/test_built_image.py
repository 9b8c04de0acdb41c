"""Builds the image without an image registry, and runs the commands that a cluster runs.

debootstrap creates the base, a Debian with Python; buildah builds the image without a daemon. IMAGE_BUILD_OPTIONS has
additional options of buildah (`--volume /etc/pip.conf:/etc/pip.conf:ro`), DEBIAN_MIRROR the mirror of debootstrap.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.local_cluster import serves, wait_until
from tests.integration.ui import Ui, free_port

pytestmark = [pytest.mark.integration, pytest.mark.thorough, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
NAME = "localhost/analytics-dagster-test"
BASE = f"{NAME}-base"
WRITABLE = "/tmp"  # noqa: S108 - the only writable folder of the image
COMMIT = "0123456789abcdef"
PROD = {
    "ANALYTICS_ENVIRONMENT": "prod",
    "ANALYTICS_DBT_TARGET": "prod",
    "ANALYTICS_POSTGRES_HOST": "127.0.0.1",
    "ANALYTICS_POSTGRES_PORT": "1",
    "ANALYTICS_POSTGRES_USER": "dbt",
    "ANALYTICS_POSTGRES_PASSWORD": "hunter22",
    "ANALYTICS_POSTGRES_DBNAME": "warehouse",
    "ANALYTICS_POSTGRES_SCHEMA": "analytics",
    "ANALYTICS_LANDING_URL": f"{WRITABLE}/landing",
    "ANALYTICS_REPORTS_URL": f"{WRITABLE}/reports",
    "ANALYTICS_OUTBOUND_URL": f"{WRITABLE}/outbound",
}


@dataclass(frozen=True)
class Image:
    """A container of the image that runs commands as the user of the image."""

    container: str
    storage: Sequence[str]

    def command(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Sequence[str]:
        """Return the command that runs another command in the container, with the entry point of the image."""
        given = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        entry = "/opt/analytics/entrypoint"
        return [
            "buildah",
            *self.storage,
            "run",
            "--isolation",
            "chroot",
            *given,
            self.container,
            "--",
            entry,
            *arguments,
        ]

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command in the container; it must succeed. Return its output."""
        done = subprocess.run(
            self.command(*arguments, environment=environment), capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """Return the buildah options for a temporary storage."""
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, buildah and debootstrap (missing: {', '.join(missing) or 'root'})")
    folder = tmp_path_factory.mktemp("images")
    return ["--storage-driver", "vfs", "--root", str(folder / "root"), "--runroot", str(folder / "run")]


@pytest.fixture(scope="module")
def base(storage: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Create the base image: Debian with Python."""
    root = tmp_path_factory.mktemp("debian") / "root"
    mirror = [found] if (found := os.environ.get("DEBIAN_MIRROR")) else []
    include = "--include=python3,python3-venv,ca-certificates"
    check("debootstrap", "--variant=minbase", include, "bookworm", str(root), *mirror)
    (root / "usr" / "local" / "bin" / "python").symlink_to("/usr/bin/python3")
    container = check("buildah", *storage, "from", "scratch")
    check("buildah", *storage, "add", container, str(root), "/")
    check("buildah", *storage, "commit", "--rm", container, BASE)
    return BASE


@pytest.fixture(scope="module")
def image(storage: Sequence[str], base: str) -> Iterator[Image]:
    options = shlex.split(os.environ.get("IMAGE_BUILD_OPTIONS", ""))
    arguments = [
        f"--build-arg={name}={value}" for name, value in (("BASE", base), ("COMMIT", COMMIT), ("VERSION", "9"))
    ]
    check("buildah", *storage, "bud", "--isolation", "chroot", *options, *arguments, "--tag", NAME, str(ROOT))
    container = check("buildah", *storage, "from", NAME)
    yield Image(container, storage)
    check("buildah", *storage, "rm", container)


def check(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2400)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout.strip()


def test_the_image_has_commit_and_version_labels_and_an_unprivileged_user(image: Image) -> None:
    inspected = json.loads(check("buildah", *image.storage, "inspect", "--type", "image", NAME))
    config = inspected["OCIv1"]["config"]
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
    assert (labels["revision"], labels["version"]) == (COMMIT, "9")
    assert config["User"] == "10001:10001"
    assert image.run("id", "-u").strip() == "10001"


def test_only_temporary_folders_are_writable(image: Image) -> None:
    search = "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/dev/*' 2>/dev/null"
    # Folders without permission make the search exit with an error.
    found = image.run("sh", "-c", f"{search} || true")
    assert {path for path in found.split() if not path.startswith(WRITABLE)} <= {"/var/tmp", "/run/lock"}  # noqa: S108


@pytest.mark.parametrize("tool", ["pip", "gcc", "git", "curl"])
def test_the_image_has_no_installer_and_no_compiler(image: Image, tool: str) -> None:
    assert image.run("sh", "-c", f"command -v {tool} || echo none").strip() == "none"
    assert image.run("sh", "-c", "/opt/venv/bin/python -m pip 2>&1 || true").strip().endswith("No module named pip")


def test_the_manifest_of_the_image_is_valid_for_the_connection_of_the_cluster(image: Image) -> None:
    output = image.run("analytics-dagster", "prepare", environment=PROD)
    assert "The manifest is up to date." in output


def test_the_plan_of_the_image_has_no_problems(image: Image) -> None:
    planned = json.loads(image.run("analytics-dagster", "plan", "--json", environment=PROD))
    assert set(planned["groups"]) == {"hourly", "nightly"}
    assert planned["problems"] == []


def test_ducklake_extensions_load_without_a_network(image: Image) -> None:
    code = (
        "import duckdb, os; folder = os.environ['ANALYTICS_DUCKDB_EXTENSIONS']; "
        "c = duckdb.connect(config={'extension_directory': folder}); "
        "[c.execute(f'load {name}') for name in ('ducklake', 'httpfs', 'postgres_scanner')]; print('loaded')"
    )
    assert image.run("python", "-c", code).strip() == "loaded"


def test_the_web_server_and_the_code_location_of_the_image_serve(image: Image, tmp_path: Path) -> None:
    grpc, web = free_port(), free_port()
    code = image.command(
        *("dagster", "api", "grpc", "--host", "127.0.0.1", "--port", str(grpc), "-m", "analytics_dagster.definitions"),
        environment={**PROD, "DAGSTER_HOME": WRITABLE},
    )
    server = image.command(
        *("dagster-webserver", "--host", "127.0.0.1", "--port", str(web)),
        *("--grpc-host", "127.0.0.1", "--grpc-port", str(grpc)),
        environment={"DAGSTER_HOME": WRITABLE},
    )
    log = tmp_path / "log"
    with log.open("wb") as output, subprocess.Popen(code, stdout=output, stderr=output) as location:
        try:
            # Like in a cluster: wait for the readiness probe first.
            wait_until(lambda: serves(grpc, "DagsterApi"), 120, "the code location serves", log.read_text)
            with subprocess.Popen(server, stdout=output, stderr=output) as webserver:
                try:
                    Ui(web, webserver, log).wait_until_loaded()
                finally:
                    webserver.terminate()
        finally:
            location.terminate()
