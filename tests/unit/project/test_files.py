"""What `dbt_project.yml` says about the profile and about folders, with its Jinja rendered like dbt does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from analytics_dagster.errors import ProjectError
from analytics_dagster.project.files import DbtProjectFiles, find_project
from analytics_dagster.project.fingerprint import read_inputs
from analytics_dagster.project.profile import Target
from analytics_dagster.settings import Settings


def files_of(folder: Path, content: str, **settings: Any) -> DbtProjectFiles:
    (folder / "dbt_project.yml").write_text(content)
    return find_project(Settings(dbt_project_dir=folder, **settings))


def target_of(folder: Path, **credentials: Any) -> Target:
    return Target("shop", "dev", "duckdb", folder, {"type": "duckdb", "path": "shop.duckdb", **credentials})


@pytest.mark.parametrize(
    ("profile", "variables", "expected"),
    [
        ("plain", {}, "plain"),
        ("\"{{ env_var('SHOP_PROFILE') }}\"", {}, "from_env"),
        ("\"{{ env_var('ABSENT', 'default') }}\"", {}, "default"),
        ("\"shop_{{ var('country') }}\"", {"country": "de"}, "shop_de"),
    ],
)
def test_the_profiles_name_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, variables: dict[str, Any], expected: str
) -> None:
    monkeypatch.setenv("SHOP_PROFILE", "from_env")
    assert files_of(tmp_path, f"profile: {profile}\n", dbt_vars=variables).profile == expected


@pytest.mark.parametrize("key", ["profile", "target-path"])
def test_a_target_in_a_value_that_chooses_it_is_an_error_with_the_remedy(tmp_path: Path, key: str) -> None:
    with pytest.raises(ProjectError, match=r"dbt_project\.yml can't be rendered at .*'target' is undefined") as raised:
        files_of(tmp_path, f"{key}: 'x_{{{{ target.name }}}}'\n")
    assert "ANALYTICS_DBT_PROFILE or ANALYTICS_DBT_TARGET_PATH" in raised.value.remedy


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("''", "dbt_packages"),
        ("vendor", "vendor"),
        ("\"{{ env_var('SHOP_PACKAGES', 'vendor/dbt') }}\"", "vendor/dbt"),
        ("\"{{ var('packages') }}\"", "of_var"),
        ('"packages_{{ target.name }}_{{ target.type }}"', "packages_dev_duckdb"),
        ("\"{{ target.schema }}/{{ target['path'] }}\"", "main/shop.duckdb"),
    ],
)
def test_the_folder_of_packages_is_rendered(tmp_path: Path, path: str, expected: str) -> None:
    files = files_of(tmp_path, f"packages-install-path: {path}\n", dbt_vars={"packages": "of_var"})
    assert files.packages_dir(target_of(tmp_path).properties) == tmp_path / expected


def test_packages_in_a_rendered_folder_are_installed_once(tmp_path: Path) -> None:
    files = files_of(tmp_path, "packages-install-path: \"{{ env_var('ABSENT', 'vendor') }}\"\n")
    target = target_of(tmp_path).properties
    assert not files.needs_packages(target), "none are declared"
    (tmp_path / "packages.yml").touch()
    assert files.needs_packages(target)
    (tmp_path / "vendor").mkdir()
    os.utime(tmp_path / "packages.yml", (1, 1))
    assert not files.needs_packages(target)


def test_a_folder_that_cannot_be_rendered_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    files = files_of(tmp_path, "packages-install-path: \"{{ env_var('NO_SUCH_VARIABLE') }}\"\n")
    with pytest.raises(ProjectError, match=r"dbt_project\.yml can't be rendered.* NO_SUCH_VARIABLE is not set"):
        files.packages_dir({})


@pytest.mark.parametrize(
    ("configuration", "folder"),
    [
        ("packages-install-path: \"{{ env_var('ABSENT', 'vendor') }}\"", "vendor/shared/models"),
        ("model-paths: [\"{{ env_var('ABSENT', 'transform') }}\"]", "transform"),
        ('macro-paths: ["macros_{{ target.type }}"]', "macros_duckdb"),
        ("seed-paths: [\"{{ var('seeds') }}\"]", "somewhere"),
        ("source-paths: [old]", "old"),
        ("docs-paths: [\"{{ 'pages' }}\"]", "pages"),
    ],
)
def test_files_in_rendered_folders_are_inputs_of_the_manifest(tmp_path: Path, configuration: str, folder: str) -> None:
    files = files_of(tmp_path, f"{configuration}\n", dbt_vars={"seeds": "somewhere"})
    path = tmp_path / folder / "a.sql"
    path.parent.mkdir(parents=True)
    path.touch()
    assert str(path.resolve()) in read_inputs(files, target_of(tmp_path)).files
