"""The placeholder for a profile that can't be used: the real names, and always a DuckDB in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from analytics_dagster.project.files import DbtProjectFiles, find_project
from analytics_dagster.project.placeholder_profile import FOLDER, write_placeholder
from analytics_dagster.project.profile import load_target
from analytics_dagster.settings import Environment, Settings

SNOWFLAKE = """
shop:
  target: "{{ env_var('SHOP_TARGET', 'cloud') }}"
  outputs:
    cloud: {type: snowflake, account: a, password: "{{ env_var('SHOP_PASSWORD') }}", schema: ANALYTICS}
    lake: {type: bigquery, dataset: "{{ env_var('SHOP_DATASET') }}"}
"""


@pytest.mark.parametrize(
    ("profiles", "settings", "target", "schema"),
    [
        (None, {}, "dev", "main"),
        (None, {"environment": Environment.PROD}, "prod", "main"),
        (None, {"dbt_target": "rehearsal", "environment": Environment.PROD}, "rehearsal", "main"),
        (SNOWFLAKE, {}, "cloud", "ANALYTICS"),
        (SNOWFLAKE, {"dbt_target": "cloud"}, "cloud", "ANALYTICS"),
        # The variable of its schema is not set.
        (SNOWFLAKE, {"dbt_target": "lake"}, "lake", "main"),
        (SNOWFLAKE, {"dbt_target": "cellar"}, "cellar", "main"),
        (SNOWFLAKE, {"dbt_profile": "another"}, "dev", "main"),
        ("another: {}", {}, "dev", "main"),
        ("shop: [no mapping]", {}, "dev", "main"),
        ("shop: {target: 7, outputs: none}", {}, "dev", "main"),
        ("shop: {unclosed", {}, "dev", "main"),
    ],
)
def test_a_placeholder_has_the_real_names_as_far_as_they_can_be_read(
    tmp_path: Path, profiles: str | None, settings: dict[str, object], target: str, schema: str
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    if profiles is not None:
        (real / "profiles.yml").write_text(profiles)
    files = find(tmp_path, dbt_profiles_dir=real, **settings)
    moved, placeholder = write_placeholder(files)
    name = str(settings.get("dbt_profile", "shop"))
    assert (placeholder.profile, placeholder.name, placeholder.adapter) == (name, target, "duckdb")
    assert moved.artifacts == placeholder.profiles_dir == files.artifacts / FOLDER
    credentials = {"type": "duckdb", "path": ":memory:", "schema": schema}
    assert yaml.safe_load((placeholder.profiles_dir / "profiles.yml").read_text()) == {
        name: {"target": target, "outputs": {target: credentials}}
    }
    found = load_target(replace(files, profiles_dirs=(placeholder.profiles_dir,), target=None))
    assert found.credentials == credentials, "our own reader finds it, with its default target"


def test_an_existing_placeholder_is_not_rewritten_so_that_its_manifest_is_not_stale(tmp_path: Path) -> None:
    path = write_placeholder(find(tmp_path))[1].profiles_dir / "profiles.yml"
    written = path.stat().st_mtime_ns
    write_placeholder(find(tmp_path))
    assert path.stat().st_mtime_ns == written
    write_placeholder(find(tmp_path, dbt_target="prod"))
    assert "prod" in path.read_text()


def find(folder: Path, **settings: object) -> DbtProjectFiles:
    (folder / "dbt_project.yml").write_text("profile: shop\n")
    return find_project(Settings.model_validate({"dbt_project_dir": folder, "dbt_profiles_dir": folder, **settings}))
