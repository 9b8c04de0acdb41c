"""The public API: cheap to import, and merged into other definitions as documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from pydantic import SecretStr

import analytics_dagster
from analytics_dagster import AnalyticsError, Settings, build_dbt_definitions, prepare_dbt_definitions
from analytics_dagster.location import build_location

if TYPE_CHECKING:
    from tests.conftest import Library

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "building_blocks.md").read_text(encoding="utf-8")
DEFINITIONS, ARGUMENTS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
GROUPS = {"opening_time", "closing_time"}


def test_importing_the_package_imports_nothing_slow() -> None:
    code = "import sys, analytics_dagster; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dagster", "dbt", "pydantic", "analytics_dagster.settings"} & set(modules)


def test_the_page_lists_the_public_names() -> None:
    listed = PAGE.partition("<!-- public -->")[2].partition("<!-- /public -->")[0]
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(analytics_dagster.__all__)
    for name in analytics_dagster.__all__:
        assert getattr(analytics_dagster, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'build_definitions'"):
        _ = analytics_dagster.build_definitions  # type: ignore[attr-defined]


@pytest.fixture
def team(prepared: Library, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a team's code location with a prepared dbt project."""
    (prepared.folder / "dbt_project").symlink_to(prepared.project)
    (prepared.folder / "schedule_groups.yaml").symlink_to(prepared.project / "schedule_groups.yaml")
    monkeypatch.setenv("ANALYTICS_SCHEDULE_GROUPS_FILE", str(prepared.project / "schedule_groups.yaml"))
    monkeypatch.chdir(prepared.folder)
    monkeypatch.setenv("ANALYTICS_DBT_PROFILES_DIR", str(prepared.project / "profiles"))
    monkeypatch.setenv("ANALYTICS_DATA_DIR", str(prepared.folder / "data"))
    return prepared.folder


def _run(code: str, folder: Path) -> dict[str, Any]:
    names: dict[str, Any] = {"__file__": str(folder / "definitions.py"), "__name__": "definitions"}
    exec(compile(code, names["__file__"], "exec"), names)  # noqa: S102 - of our own page
    return names


def test_the_pages_definitions_are_merged_and_load(team: Path) -> None:
    defs: dg.Definitions = _run(DEFINITIONS, team)["defs"]
    dg.Definitions.validate_loadable(defs)
    repository = defs.get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= GROUPS | {"forecasting"}
    assert dg.AssetKey(["forecast"]) in repository.asset_graph.materializable_asset_keys
    assert dg.AssetKey(["circulation", "late_returns"]) in repository.asset_graph.materializable_asset_keys


def test_only_our_jobs_have_our_executor(team: Path) -> None:
    defs: dg.Definitions = _run(DEFINITIONS, team)["defs"]
    assert defs.executor is None
    executors = {name: defs.resolve_job_def(name).executor_def.name for name in [*GROUPS, "forecasting"]}
    assert {executors[name] for name in GROUPS} == {"in_process_in_turn"}
    assert executors["forecasting"] == dg.multi_or_in_process_executor.name


def test_settings_replace_the_environment(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_TIME_ZONE", "Asia/Tokyo")
    # The page sets the cron of another group.
    code = ARGUMENTS.replace('"nightly"', '"opening_time"')
    defs: dg.Definitions = _run(code, team)["dbt_definitions"]
    opening = next(one for one in defs.schedules or () if one.name == "opening_time_schedule")
    assert isinstance(opening, dg.ScheduleDefinition)
    assert (opening.cron_schedule, opening.execution_timezone) == ("30 4 * * *", "Europe/Berlin")


def test_a_prepared_project_is_not_parsed_again(team: Path) -> None:
    lines: list[str] = []
    made = prepare_dbt_definitions(
        team / "dbt_project", groups_file=team / "schedule_groups.yaml", announce=lines.append
    )
    assert (made, lines) == (False, [])


def test_an_argument_takes_precedence_over_the_settings(team: Path) -> None:
    settings = Settings(dbt_project_dir=team / "dbt_project")
    with pytest.raises(AnalyticsError, match="is not a dbt project"):
        build_dbt_definitions(team / "nowhere", settings=settings)


def test_building_changes_no_state_of_the_process(team: Path) -> None:
    code = (
        "import gc\n"
        "from dagster._core.definitions import input\n"
        "before = gc.get_threshold(), input.resolve_dagster_type, gc.get_freeze_count()\n"
        "from analytics_dagster import build_dbt_definitions\n"
        "build_dbt_definitions('dbt_project', groups_file='schedule_groups.yaml')\n"
        "assert before == (gc.get_threshold(), input.resolve_dagster_type, gc.get_freeze_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=team, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("function", ["build", "prepare"])
def test_a_team_that_imports_dagster_dbt_afterwards_gets_all_of_it(team: Path, function: str) -> None:
    # A changed group makes the cached definitions stale, so that ours need dagster-dbt.
    path = team / "schedule_groups.yaml"
    path.write_text(path.read_text().replace("- name: opening_time", "- name: opening_time\n    retries: 3"))
    code = (
        "import sys\n"
        f"from analytics_dagster import {function}_dbt_definitions\n"
        f"{function}_dbt_definitions('dbt_project', groups_file='schedule_groups.yaml')\n"
        "assert 'dagster_dbt' in sys.modules, 'the definitions are not cached'\n"
        "from dagster_dbt import compat\n"
        "from dbt.node_types import NodeType\n"
        "assert compat.NodeType is NodeType\n"
        "assert compat.DBT_PYTHON_VERSION is not None\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=team, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_the_standalone_location_brings_the_slack_resource(team: Path) -> None:
    settings = Settings(
        dbt_project_dir=team / "dbt_project",
        slack_token=SecretStr("xoxb-1"),
        slack_channel="#data",
        dagster_home=team / "home",
    )
    own = dg.Definitions(resources={"slack": "of the team"})
    merged = dg.Definitions.merge(own, build_dbt_definitions(settings=settings))
    assert merged.resources is not None
    assert merged.resources["slack"] == "of the team"
    assert "slack" in (build_location(settings).definitions.resources or {})
