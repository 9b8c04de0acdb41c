"""What the resource overrides of dagster-dbt is still there, and says what dagster-dbt itself would say."""

from __future__ import annotations

import pytest
from dagster_dbt import DbtCliResource

from analytics_dagster.transform.dbt_resource import DbtResource, dbt_executable
from tests.conftest import LENDING_LIBRARY


@pytest.mark.parametrize("name", ["_cli_version", "_initialize_dbt_core_adapter"])
def test_what_is_overridden_is_a_member_of_dagster_dbts_resource(name: str) -> None:
    assert name in vars(DbtCliResource)
    assert name in DbtCliResource.cli.__code__.co_names
    assert name in vars(DbtResource)


@pytest.mark.integration
def test_the_version_is_the_one_that_dbt_itself_tells() -> None:
    project, profiles = str(LENDING_LIBRARY), str(LENDING_LIBRARY / "profiles")
    stock = DbtCliResource(project_dir=project, profiles_dir=profiles, dbt_executable=dbt_executable())
    ours = DbtResource(project_dir=project, profiles_dir=profiles, dbt_executable=dbt_executable(), with_adapter=False)
    assert ours._cli_version == stock._cli_version
