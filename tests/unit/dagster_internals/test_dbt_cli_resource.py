"""The overridden members of dagster-dbt's resource exist and are used; the fallback is the stock resource."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dagster_dbt import DbtCliInvocation, DbtCliResource

from analytics_dagster.dagster_internals.dbt_cli_resource import (
    DBT_VERSION,
    QuickDbtCliResource,
    make_dbt_cli,
    open_adapter,
)
from analytics_dagster.dagster_internals.guard import NO_INTERNALS
from analytics_dagster.execution.dbt_resource import dbt_executable
from tests.conftest import LENDING_LIBRARY

pytestmark = pytest.mark.slow

SETTINGS = {
    "project_dir": str(LENDING_LIBRARY),
    "profiles_dir": str(LENDING_LIBRARY / "profiles"),
    "dbt_executable": dbt_executable(),
}


@pytest.mark.parametrize("name", ["_cli_version", "_initialize_dbt_core_adapter"])
def test_an_overridden_member_is_one_that_dagster_dbt_uses(name: str) -> None:
    assert name in vars(DbtCliResource)
    assert name in DbtCliResource.cli.__code__.co_names
    assert name in vars(QuickDbtCliResource)


def test_every_module_of_dagster_dbt_knows_dbts_version_after_our_import() -> None:
    code = (
        "import sys\n"
        "import analytics_dagster.dagster_internals.lazy_dagster_dbt\n"
        "assert 'dbt' not in sys.modules\n"
        "import dagster_dbt\n"
        "from dagster_dbt.core import resource\n"
        "from dagster_dbt import compat, utils\n"
        "versions = {str(one.DBT_PYTHON_VERSION) for one in (dagster_dbt, resource, compat, utils)}\n"
        f"assert versions == {{'{DBT_VERSION}'}}, versions\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.integration
def test_a_stock_resource_has_an_adapter_after_our_import(tmp_path: Path) -> None:
    code = (
        "import analytics_dagster.dagster_internals.lazy_dagster_dbt\n"
        "from dagster_dbt import DbtCliResource\n"
        f"dbt = DbtCliResource(**{SETTINGS})\n"
        "assert dbt.cli(['parse'], raise_on_error=False).wait().adapter is not None\n"
    )
    shutil.copytree(LENDING_LIBRARY, tmp_path / "library")
    code = code.replace(str(LENDING_LIBRARY), str(tmp_path / "library"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_quick_resource_is_used_if_its_members_are_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NO_INTERNALS, raising=False)
    assert type(make_dbt_cli(**SETTINGS)) is QuickDbtCliResource


@pytest.mark.parametrize("name", ["_cli_version", "_initialize_dbt_core_adapter"])
def test_without_an_overridden_member_the_stock_resource_is_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(DbtCliResource, name)
    assert type(make_dbt_cli(**SETTINGS)) is DbtCliResource


def test_with_another_signature_the_stock_resource_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DbtCliResource, "_initialize_dbt_core_adapter", lambda self: self)
    assert type(make_dbt_cli(**SETTINGS)) is DbtCliResource


def test_without_an_adapter_of_the_stock_resource_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_INTERNALS, "1")
    invocation = cast("DbtCliInvocation", SimpleNamespace(adapter=None))
    with open_adapter(make_dbt_cli(**SETTINGS), invocation) as adapter:
        assert adapter is None


@pytest.mark.integration
def test_the_version_is_the_one_that_dbt_itself_reports() -> None:
    stock: Any = DbtCliResource(**cast("dict[str, Any]", SETTINGS))
    assert stock._cli_version == DBT_VERSION


def test_the_working_directory_is_restored_after_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(NO_INTERNALS, raising=False)
    cli = cast("QuickDbtCliResource", make_dbt_cli(**SETTINGS))
    seen: list[Path] = []

    def initialize(_self: DbtCliResource, _args: object) -> None:
        seen.append(Path.cwd())
        raise OSError("no profile")

    monkeypatch.setattr(DbtCliResource, "_initialize_dbt_core_adapter", initialize)
    with pytest.raises(OSError, match="no profile"):
        cli.make_adapter(["build"])
    assert (seen, Path.cwd()) == ([LENDING_LIBRARY], tmp_path)
