"""The stand-in for a profile that can't be used: named as the real one, and never anything but DuckDB in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analytics_dagster.project.placeholder_profile import make_stand_in
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
    ("profiles", "asked", "target", "schema"),
    [
        (None, {}, "dev", "main"),
        (None, {"environment": Environment.PROD}, "prod", "main"),
        (None, {"dbt_target": "rehearsal", "environment": Environment.PROD}, "rehearsal", "main"),
        (SNOWFLAKE, {}, "cloud", "ANALYTICS"),
        (SNOWFLAKE, {"dbt_target": "cloud"}, "cloud", "ANALYTICS"),
        # Its schema is a variable that is absent.
        (SNOWFLAKE, {"dbt_target": "lake"}, "lake", "main"),
        (SNOWFLAKE, {"dbt_target": "cellar"}, "cellar", "main"),
        (SNOWFLAKE, {"dbt_profile": "another"}, "dev", "main"),
        ("another: {}", {}, "dev", "main"),
        ("shop: [no mapping]", {}, "dev", "main"),
        ("shop: {target: 7, outputs: none}", {}, "dev", "main"),
        ("shop: {unclosed", {}, "dev", "main"),
    ],
)
def test_a_stand_in_has_the_names_of_what_it_stands_for_as_far_as_they_can_be_read(
    tmp_path: Path, profiles: str | None, asked: dict[str, object], target: str, schema: str
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    if profiles is not None:
        (real / "profiles.yml").write_text(profiles)
    settings = Settings.model_validate({"dbt_project_dir": tmp_path, "dbt_profiles_dir": real, **asked})
    made = make_stand_in(settings, "shop", tmp_path / "stand_in")
    name = str(asked.get("dbt_profile", "shop"))
    assert (made.profile, made.name, made.adapter) == (name, target, "duckdb")
    credentials = {"type": "duckdb", "path": ":memory:", "schema": schema}
    assert yaml.safe_load((made.profiles_dir / "profiles.yml").read_text()) == {
        name: {"target": target, "outputs": {target: credentials}}
    }
    unasked = {"dbt_profiles_dir": made.profiles_dir, "dbt_target": None, "environment": Environment.DEV}
    found = load_target(settings.model_copy(update=unasked), "shop")
    assert found.credentials == credentials, "our own reader finds it, with the target that it names itself"


def test_a_stand_in_that_is_there_is_left_alone_so_that_what_was_parsed_with_it_is_not_stale(tmp_path: Path) -> None:
    settings = Settings(dbt_project_dir=tmp_path, dbt_profiles_dir=tmp_path)
    make_stand_in(settings, "shop", tmp_path / "stand_in")
    written = (tmp_path / "stand_in" / "profiles.yml").stat().st_mtime_ns
    make_stand_in(settings, "shop", tmp_path / "stand_in")
    assert (tmp_path / "stand_in" / "profiles.yml").stat().st_mtime_ns == written
    make_stand_in(settings.model_copy(update={"dbt_target": "prod"}), "shop", tmp_path / "stand_in")
    assert "prod" in (tmp_path / "stand_in" / "profiles.yml").read_text()
