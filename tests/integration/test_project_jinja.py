"""A project with Jinja in `dbt_project.yml` and the profile: packages are installed once, changes in them are found."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import COMMAND

pytestmark = pytest.mark.integration

FILES = {
    "dbt_project.yml": """name: store
version: "1.0"
profile: "{{ env_var('STORE_PROFILE', 'store') }}"
packages-install-path: "{{ env_var('STORE_PACKAGES', 'vendor') }}/{{ var('folder', 'dbt') }}"
target-path: "{{ env_var('STORE_TARGET', 'build/dbt') }}"
flags: {send_anonymous_usage_stats: false}
""",
    "profiles.yml": """store:
  target: "{{ var('target', 'dev') }}"
  outputs:
    dev: {type: duckdb, path: "{{ var('file') }}.duckdb", schema: "{{ var('schema', 'main') }}"}
""",
    "packages.yml": "packages: [{local: shared_package}]\n",
    "groups.yaml": "groups: [{name: all_of_it, default: true, select: '*'}]\n",
    "models/reader.sql": "select * from {{ ref('shared', 'calendar') }}",
    "shared_package/dbt_project.yml": "name: shared\nversion: '1.0'\n",
    "shared_package/models/calendar.sql": "select 1 as id",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    done = run(folder, "build")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "ANALYTICS_DBT_PROJECT_DIR": str(folder),
        "ANALYTICS_SCHEDULE_GROUPS_FILE": str(folder / "groups.yaml"),
        "ANALYTICS_DBT_VARS": '{"file": "a_warehouse", "schema": "marts"}',
        "DAGSTER_HOME": str(folder / "home"),
    }
    command = [str(COMMAND), *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_the_profiles_vars_are_those_of_the_location(store: Path) -> None:
    assert (store / "a_warehouse.duckdb").exists()
    assert (store / "vendor" / "dbt" / "shared").exists()
    assert (store / "build" / "dbt" / "manifest.json").exists()
    done = run(store, "doctor")
    assert "a_warehouse.duckdb" in done.stdout, done.stdout + done.stderr


def test_installed_packages_are_not_installed_again(store: Path) -> None:
    installed = (store / "vendor" / "dbt").stat().st_mtime_ns
    model = store / "models" / "reader.sql"
    model.write_text(model.read_text() + "-- changed")
    package = store / "shared_package"
    package.rename(store / "away")
    # dbt links a local package: it is still readable at its new place.
    (store / "vendor" / "dbt" / "shared").unlink(missing_ok=True)
    (store / "vendor" / "dbt" / "shared").symlink_to(store / "away")
    os.utime(store / "vendor" / "dbt", ns=(installed + 10**9, installed + 10**9))
    done = run(store, "plan")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Preparing the dbt project" in done.stdout + done.stderr
    (store / "away").rename(package)
    (store / "vendor" / "dbt" / "shared").unlink()
    (store / "vendor" / "dbt" / "shared").symlink_to(package)


def test_a_change_in_a_package_is_found(store: Path) -> None:
    assert "Preparing" not in run(store, "plan").stderr
    (store / "shared_package" / "models" / "calendar.sql").write_text("select 2 as id")
    done = run(store, "plan")
    assert "calendar.sql changed" in done.stdout + done.stderr
