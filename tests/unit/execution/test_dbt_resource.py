"""The worker gets the arguments and the environment that dagster-dbt gives to dbt."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from analytics_dagster.dagster_internals.guard import NO_INTERNALS
from analytics_dagster.execution import dbt_resource, dbt_worker_pool
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_resource import DbtResource, can_count_live
from analytics_dagster.settings import DbtRunner
from analytics_dagster.warehouse import Warehouse
from tests.conftest import LENDING_LIBRARY

pytestmark = pytest.mark.slow

LOCATION = cast(
    "BuildContext",
    SimpleNamespace(
        project=SimpleNamespace(is_current=lambda: True), partial_parse=lambda _variables: Path("/target/never_parsed")
    ),
)
WAREHOUSE = Warehouse(adapter="duckdb", path="/library.duckdb", lock_timeout=1.0)
LAZY = "analytics_dagster.dagster_internals.lazy_dagster_dbt"
VARIABLES = {"rate": 7, "name": "ana"}
ARGUMENTS = ["build", "--select", "books", "--vars", json.dumps(VARIABLES, sort_keys=True)]

RECORDS_REQUEST = """#!{python}
import json, os, sys
request = {{"arguments": sys.argv[1:], "environment": dict(os.environ)}}
if {is_worker}:
    request = json.loads(sys.stdin.readline())
open({answer!r}, "w").write(json.dumps(request))
"""


@pytest.fixture
def _no_waiting_worker() -> Iterator[None]:
    # Another test may have left one.
    dbt_worker_pool.end()
    yield
    dbt_worker_pool.end()


@pytest.mark.usefixtures("_no_waiting_worker")
def test_the_worker_gets_the_same_arguments_and_environment_as_the_dbt_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_worker_pool, "_WORKER", _program(tmp_path / "worker.py", is_worker=True))
    command = _program(tmp_path / "dbt", is_worker=False)
    monkeypatch.setattr(dbt_resource, "dbt_executable", lambda: str(command))
    monkeypatch.delenv(NO_INTERNALS, raising=False)
    requests = {}
    for runner in DbtRunner:
        ours = DbtResource(
            project_dir=str(LENDING_LIBRARY),
            profiles_dir=str(LENDING_LIBRARY / "profiles"),
            profile="library",
            target="laptop",
            runner=runner.value,
            artifacts="failed",
            artifacts_days=7.0,
        )
        invocation = ours.invoke(
            ARGUMENTS, target_path=tmp_path, location=LOCATION, variables=VARIABLES, warehouse=WAREHOUSE
        )
        assert invocation.process.stdout is not None
        invocation.process.stdout.read()
        invocation.process.wait(timeout=60)
        with invocation.process:
            requests[runner] = json.loads((tmp_path / "answer.json").read_text())
    warm, plain = requests[DbtRunner.WARM], requests[DbtRunner.PLAIN]
    # dagster-dbt has its own order of arguments.
    assert warm["arguments"][0] == plain["arguments"][0] == "build"
    assert sorted(warm["arguments"]) == sorted(plain["arguments"])
    # Python sets it if the locale names no character set.
    expected = {name: value for name, value in plain["environment"].items() if name != "LC_CTYPE"}
    assert warm["environment"] == {**expected, "DBT_LOG_FORMAT_FILE": "debug"}


def test_an_invocation_starts_with_the_last_parse_of_the_same_vars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = tmp_path / "partial_parse.msgpack"
    parsed.write_text("parsed")
    monkeypatch.setattr(dbt_worker_pool, "run", lambda _command: SimpleNamespace(args=[], stdout=None))
    monkeypatch.delenv(NO_INTERNALS, raising=False)
    vars_of_the_parse: list[object] = []

    def partial_parse(variables: object) -> Path:
        vars_of_the_parse.append(variables)
        return parsed

    location = SimpleNamespace(project=LOCATION.project, partial_parse=partial_parse)
    (tmp_path / "run").mkdir()
    DbtResource(
        project_dir=str(LENDING_LIBRARY),
        profiles_dir=str(LENDING_LIBRARY / "profiles"),
        profile="library",
        target="laptop",
        runner="warm",
        artifacts="failed",
        artifacts_days=7.0,
    ).invoke(
        ARGUMENTS,
        target_path=tmp_path / "run",
        location=cast("BuildContext", location),
        variables=VARIABLES,
        warehouse=WAREHOUSE,
    )
    assert (tmp_path / "run" / parsed.name).read_text() == "parsed"
    assert VARIABLES in vars_of_the_parse
    assert all(variables == VARIABLES for variables in vars_of_the_parse)


def _program(path: Path, *, is_worker: bool) -> Path:
    """Write a program that records its arguments and environment."""
    answer = str(path.with_name("answer.json"))
    path.write_text(RECORDS_REQUEST.format(python=sys.executable, is_worker=is_worker, answer=answer))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("adapter", "path", "expected"),
    [
        ("duckdb", Path("/shop.duckdb"), True),
        ("duckdb", None, False),
        ("postgres", None, True),
    ],
)
def test_rows_are_counted_live_if_the_warehouse_takes_several_queries(
    adapter: str, path: Path | None, *, expected: bool
) -> None:
    assert can_count_live(Warehouse(adapter=adapter, path=str(path or ""), lock_timeout=1.0)) is expected


def test_dagster_dbt_is_imported_without_dbt_which_can_be_imported_later() -> None:
    modules = _modules(f"import {LAZY}, sys; before = 'dbt' in sys.modules; import dbt.version")
    assert modules == {"before": False, "after": True}


def test_without_warm_up_dagster_dbt_is_imported_with_dbt() -> None:
    modules = _modules(
        f"import os, sys; os.environ['ANALYTICS_DBT_RUNNER'] = 'plain'; import {LAZY};before = 'dbt' in sys.modules"
    )
    assert modules == {"before": True, "after": True}


def _modules(code: str) -> Mapping[str, Any]:
    report = "import json; print(json.dumps({'before': before, 'after': 'dbt' in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", f"{code}; {report}"], capture_output=True, text=True, check=True)
    modules: Mapping[str, Any] = json.loads(done.stdout)
    return modules
