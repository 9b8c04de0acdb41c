"""What the location uses of dagster-dbt, imported without dbt: that is half of the time of the import.

dagster-dbt imports dbt for its names of node types and statuses, and has its own where there is no dbt, as with dbt
Fusion. Nothing of what is used here needs more; dbt can be imported afterwards as ever.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, cast

from analytics_dagster.settings import is_dbt_made_ready


def _import() -> None:
    modules = cast("dict[str, Any]", sys.modules)
    if not is_dbt_made_ready() or "dbt" in modules or "dagster_dbt" in modules:
        importlib.import_module("dagster_dbt")
        return
    # Python's documented way to make an import fail.
    modules["dbt"] = None
    try:
        importlib.import_module("dagster_dbt")
    finally:
        del modules["dbt"]


_import()

from dagster_dbt import (  # noqa: E402 - only now
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
)
from dagster_dbt.dagster_dbt_translator import DbtManifestWrapper  # noqa: E402 - only now

__all__ = [
    "DagsterDbtTranslator",
    "DagsterDbtTranslatorSettings",
    "DbtCliInvocation",
    "DbtCliResource",
    "DbtManifestWrapper",
    "DbtProject",
]
