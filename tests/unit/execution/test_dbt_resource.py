"""What the resource overrides of dagster-dbt is still there, and what it tells dbt is what dagster-dbt tells it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dagster_dbt import DbtCliResource
from dagster_dbt.core import resource

from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.execution.dbt_resource import DbtResource, dbt_executable, when_to_count
from analytics_dagster.execution.dbt_worker_pool import RowCounts
from analytics_dagster.settings import DbtRunner
from analytics_dagster.warehouse import Warehouse
from tests.conftest import LENDING_LIBRARY

pytestmark = pytest.mark.slow

LAZY = "analytics_dagster.dagster_internals.lazy_dagster_dbt"
VARIABLES = {"rate": 7, "name": "ana"}
ARGUMENTS = ["build", "--select", "books", "--vars", json.dumps(VARIABLES, sort_keys=True)]

TELLS = """#!{python}
import json, os, sys
order = {{"arguments": sys.argv[1:], "environment": dict(os.environ)}}
if {is_runner}:
    order = json.loads(sys.stdin.readline())
open({answer!r}, "w").write(json.dumps(order))
"""


@pytest.mark.parametrize("name", ["_cli_version", "_initialize_dbt_core_adapter"])
def test_what_is_overridden_is_a_member_of_dagster_dbts_resource(name: str) -> None:
    assert name in vars(DbtCliResource)
    assert name in DbtCliResource.cli.__code__.co_names
    assert name in vars(DbtResource)


def test_dagster_dbt_keeps_dbts_version_where_it_is_corrected() -> None:
    assert "DBT_PYTHON_VERSION" in vars(resource)


@pytest.fixture
def _no_process_is_left() -> Iterator[None]:
    # Nor one that another test has left.
    dbt_worker_pool.end()
    yield
    dbt_worker_pool.end()


@pytest.mark.usefixtures("_no_process_is_left")
def test_dbt_made_ready_gets_the_arguments_and_the_environment_that_the_dbt_command_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_worker_pool, "_RUNNER", _program(tmp_path / "runner.py", is_runner=True))
    command = _program(tmp_path / "dbt", is_runner=False)
    told = {}
    for runner in DbtRunner:
        ours = DbtResource(
            project_dir=str(LENDING_LIBRARY),
            profiles_dir=str(LENDING_LIBRARY / "profiles"),
            profile="library",
            target="laptop",
            dbt_executable=str(command),
            with_adapter=False,
            runner=runner.value,
        )
        call = ours.call(ARGUMENTS, target_path=tmp_path, variables=VARIABLES, is_current=lambda: True)
        assert call.process.stdout is not None
        call.process.stdout.read()
        call.process.wait(timeout=60)
        with call.process:
            told[runner] = json.loads((tmp_path / "answer.json").read_text())
    warm, plain = told[DbtRunner.WARM], told[DbtRunner.PLAIN]
    # dagster-dbt has an order of its own for them.
    assert warm["arguments"][0] == plain["arguments"][0] == "build"
    assert sorted(warm["arguments"]) == sorted(plain["arguments"])
    # Set by Python itself where it is started in a locale that says nothing of characters.
    expected = {name: value for name, value in plain["environment"].items() if name != "LC_CTYPE"}
    assert warm["environment"] == {**expected, "DBT_LOG_FORMAT_FILE": "debug"}


def _program(path: Path, *, is_runner: bool) -> Path:
    """Make a program that writes down what it was told."""
    answer = str(path.with_name("answer.json"))
    path.write_text(TELLS.format(python=sys.executable, is_runner=is_runner, answer=answer))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("adapter", "path", "expected"),
    [
        ("duckdb", Path("/shop.duckdb"), RowCounts.LIVE),
        ("duckdb", None, RowCounts.AT_THE_END),
        ("postgres", None, RowCounts.LIVE),
    ],
)
def test_rows_are_counted_meanwhile_where_the_warehouse_takes_several_queries(
    adapter: str, path: Path | None, expected: RowCounts
) -> None:
    assert when_to_count(Warehouse(adapter=adapter, path=str(path or ""), lock_timeout=1.0)) is expected


def test_dagster_dbt_is_imported_without_dbt_which_can_be_imported_all_the_same() -> None:
    told = _modules(f"import {LAZY}, sys; before = 'dbt' in sys.modules; import dbt.version")
    assert told == {"before": False, "after": True}


def test_where_dbt_is_not_made_ready_dagster_dbt_is_imported_as_ever() -> None:
    told = _modules(
        f"import os, sys; os.environ['ANALYTICS_DBT_RUNNER'] = 'plain'; import {LAZY};before = 'dbt' in sys.modules"
    )
    assert told == {"before": True, "after": True}


def _modules(code: str) -> Mapping[str, Any]:
    tell = "import json; print(json.dumps({'before': before, 'after': 'dbt' in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", f"{code}; {tell}"], capture_output=True, text=True, check=True)
    told: Mapping[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.integration
def test_the_version_is_the_one_that_dbt_itself_tells() -> None:
    project, profiles = str(LENDING_LIBRARY), str(LENDING_LIBRARY / "profiles")
    stock = DbtCliResource(project_dir=project, profiles_dir=profiles, dbt_executable=dbt_executable())
    ours = DbtResource(project_dir=project, profiles_dir=profiles, dbt_executable=dbt_executable(), with_adapter=False)
    assert ours._cli_version == stock._cli_version
