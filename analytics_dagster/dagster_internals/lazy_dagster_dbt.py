"""Imports what the location uses of dagster-dbt without importing dbt, which takes half of the time of the import.

Reason: dagster-dbt imports dbt for the names of node types and statuses, and has its own if dbt is absent (dbt Fusion).
Cost of the public alternative (a plain import): about one CPU second per process. dbt can be imported afterwards.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any, cast

from packaging.version import Version

from analytics_dagster.dagster_internals.guard import available
from analytics_dagster.settings import uses_warm_dbt


def _import() -> None:
    modules = cast("dict[str, Any]", sys.modules)
    if not uses_warm_dbt() or "dbt" in modules or "dagster_dbt" in modules:
        return
    available("dagster_dbt, imported without dbt", _import_without_dbt, "importing dbt too, which takes longer")


def _import_without_dbt() -> ModuleType:
    modules = cast("dict[str, Any]", sys.modules)
    # Python's documented way to make an import fail.
    modules["dbt"] = None
    try:
        package = importlib.import_module("dagster_dbt")
    except ImportError:
        # Modules that a failed import leaves behind would be used as the package.
        for name in [name for name in modules if name.partition(".")[0] == "dagster_dbt"]:
            del modules[name]
        raise
    finally:
        del modules["dbt"]
    _set_dbt_version()
    return package


def _set_dbt_version() -> None:
    """Set dbt's version wherever dagster-dbt keeps it: without it, a `DbtCliResource` of anyone makes no adapter."""
    found = Version(version("dbt-core"))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "dagster_dbt" and vars(module).get(_VERSION, found) is None:
            vars(module)[_VERSION] = found


_VERSION = "DBT_PYTHON_VERSION"

_import()

from dagster_dbt import (  # noqa: E402 - only now
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
)

__all__ = [
    "DagsterDbtTranslator",
    "DagsterDbtTranslatorSettings",
    "DbtCliInvocation",
    "DbtCliResource",
    "DbtProject",
]
