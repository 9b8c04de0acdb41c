"""The command line starts quickly and prints user errors without a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from analytics_dagster.cli import app
from analytics_dagster.planning.groups_file import BUNDLED
from analytics_dagster.settings import CHECKOUT

if TYPE_CHECKING:
    from tests.conftest import Library, Preparation

HEAVY = {"dagster", "dagster_dbt", "dbt", "duckdb", "pandas", "yaml", "jinja2"}


def test_help_imports_neither_dagster_nor_dbt() -> None:
    code = (
        "import sys\n"
        "from analytics_dagster.cli import app\n"
        "try:\n    app(['--help'])\n"
        "finally:\n    print('modules:', *sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    help_text, modules = said.split("modules:")
    assert not HEAVY & set(modules.split())
    assert all(command in help_text for command in ("init", "doctor", "prepare", "plan", "schema", "build", "dev"))


def test_the_schema_is_json_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from analytics_dagster.cli import app\n"
        "try:\n    app(['schema'])\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["title"] == "ScheduleGroups"
    assert not HEAVY & set(done.stderr.split())


def _no_project(library: Library) -> dict[str, str]:
    return {"ANALYTICS_DBT_PROJECT_DIR": str(library.folder)}


def _unknown_target(_: Library) -> dict[str, str]:
    return {"ANALYTICS_DBT_TARGET": "cellar"}


def _bad_cron(_: Library) -> dict[str, str]:
    return {"ANALYTICS_CRON__CLOSING_TIME": "soon"}


def _unknown_group(_: Library) -> dict[str, str]:
    return {"ANALYTICS_CRON__WEEKLY": "0 0 * * 0"}


def _bad_time_zone(_: Library) -> dict[str, str]:
    return {"ANALYTICS_TIME_ZONE": "Mars/Olympus_Mons"}


def _production_without_its_variables(_: Library) -> dict[str, str]:
    project = str(CHECKOUT / "dbt_project")
    return {
        "ANALYTICS_ENVIRONMENT": "prod",
        "ANALYTICS_DBT_PROJECT_DIR": project,
        "ANALYTICS_DBT_PROFILES_DIR": project,
        "ANALYTICS_SCHEDULE_GROUPS_FILE": str(BUNDLED),
        "ANALYTICS_POSTGRES_USER": "analytics",
    }


@pytest.mark.parametrize("command", ["prepare", "build"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_no_project, ["ProjectError", "is not a dbt project", "ANALYTICS_DBT_PROJECT_DIR"]),
        (_unknown_target, ["ProfileError", "'cellar'", "laptop, server"]),
        (_bad_cron, ["ScheduleGroupError", "ANALYTICS_CRON__CLOSING_TIME", "'soon'"]),
        (_unknown_group, ["ScheduleGroupError", "weekly", "closing_time, opening_time"]),
        (_bad_time_zone, ["SettingsError", "ANALYTICS_TIME_ZONE", "Mars/Olympus_Mons"]),
        (
            _production_without_its_variables,
            # All missing variables at once, and no others.
            [
                "ProfileError",
                "not set: ANALYTICS_POSTGRES_HOST, ANALYTICS_POSTGRES_PASSWORD, ANALYTICS_POSTGRES_DBNAME.",
                "from a Secret",
            ],
        ),
    ],
)
def test_a_user_error_is_printed_without_a_traceback_and_exits_with_2(
    library: Library, monkeypatch: pytest.MonkeyPatch, command: str, change: object, expected: list[str]
) -> None:
    assert callable(change)
    for name, value in {**library.environment, **change(library)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(library.folder)
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert all(part in result.stderr for part in expected), result.stderr
    assert "-> " in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert not (library.folder / "home").exists(), "nothing was started"


def test_building_an_unknown_group_lists_the_groups(preparation: Preparation, tmp_path: Path) -> None:
    done = preparation.library.run("build", "--group", "weekly", DAGSTER_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "There is no schedule group weekly" in done.stderr
    assert "opening_time, closing_time" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dotenv_file_sets_variables_that_the_shell_does_not(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in library.environment.items():
        monkeypatch.setenv(name, value)
    # Set first, so that it is restored after the test.
    monkeypatch.setenv("ANALYTICS_DBT_TARGET", "")
    monkeypatch.delenv("ANALYTICS_DBT_TARGET")
    (library.folder / ".env").write_text("ANALYTICS_DBT_TARGET=cellar\n")
    monkeypatch.chdir(library.folder)
    result = CliRunner().invoke(app, ["prepare"])
    assert result.exit_code == 2
    assert "'cellar'" in result.stderr


# --- plan ---------------------------------------------------------------------------------------------------


@pytest.fixture
def at_the_library(preparation: Preparation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the environment of the prepared library."""
    for name, value in preparation.library.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("at_the_library")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "6 nodes and 8 tests in 2 schedule groups"),
        (["--group", "closing_time"], "closing_time, group 2 of 2"),
        (["--node", "shelf"], "opening_time selects it by `select: shelf`"),
        (["--node", "unique_members_member"], "closing_time builds everything that it reads"),
    ],
)
def test_a_plan_without_a_problem_exits_with_0(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["plan", *arguments])
    assert result.exit_code == 0, result.stderr
    assert told in result.stdout
    assert result.stderr == ""


@pytest.mark.usefixtures("at_the_library")
@pytest.mark.parametrize(("command", "stream"), [("plan", "stderr"), ("doctor", "stdout")])
def test_a_misspelled_setting_is_reported_once_by_each_command(
    monkeypatch: pytest.MonkeyPatch, command: str, stream: str
) -> None:
    monkeypatch.setenv("ANALYTICS_TIMEZONE", "UTC")
    result = CliRunner().invoke(app, [command])
    assert "Did you mean ANALYTICS_TIME_ZONE?" in " ".join(getattr(result, stream).split())
    assert result.output.count("ANALYTICS_TIMEZONE is") == 1


@pytest.mark.usefixtures("at_the_library")
@pytest.mark.parametrize(
    ("arguments", "key"),
    [([], "groups"), (["--group", "closing_time"], "groups"), (["--node", "shelf"], "unique_id")],
)
def test_plan_json_prints_only_json(arguments: list[str], key: str) -> None:
    result = CliRunner().invoke(app, ["plan", "--json", *arguments])
    assert result.exit_code == 0
    assert key in json.loads(result.stdout)


@pytest.mark.usefixtures("at_the_library")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--group", "closing_tim"], "Did you mean closing_time?"),
        (["--node", "shelve"], "model.lending_library.shelf"),
        (["--node", "loans_loan_id"], "matches several nodes"),
        (["--node", ""], "has no node"),
        (["--group", "closing_time", "--node", "shelf"], "can't be combined"),
        (["--no-such-option"], "No such option"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_plan_of_an_unknown_name_exits_with_2_and_prints_nothing(
    arguments: list[str], told: str, form: list[str]
) -> None:
    result = CliRunner().invoke(app, ["plan", *form, *arguments])
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""
